/*-------------------------------------------------------------------------
 *
 * apply_insert.c
 *	  Messages into a table through the executor.
 *
 * NOTES
 *	  The way for targets that COPY cannot write as an INSERT does: views, which
 *	  are rewritten or have INSTEAD OF triggers, tables whose row-level security
 *	  is for the subscription's owner, and foreign tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/apply_rows.h"
#include "ingest/apply_sql.h"

static void check(KafkaApply *apply);
static void apply_insert(KafkaApply *apply);
static char *make_statement(KafkaApply *apply);

const KafkaApplyMethod kafka_apply_insert = {"insert", check, apply_insert};

static void
check(KafkaApply *apply)
{
	KafkaSqlBatch batch;

	apply->columns = kafka_map_columns(apply->source, apply->target);
	kafka_check_insert(apply->target, apply->subscription->owner,
					   apply->columns);
	kafka_sql_begin(&batch, apply->target, apply->columns, NULL, 0);
	kafka_sql_check(&batch, make_statement(apply));
	kafka_sql_end(&batch);
}

static char *
make_statement(KafkaApply *apply)
{
	StringInfoData sql;

	initStringInfo(&sql);
	kafka_sql_append_insert(&sql, apply->target, apply->columns);
	return sql.data;
}

static void
apply_insert(KafkaApply *apply)
{
	const char *sql = make_statement(apply);
	KafkaApplyTuples tuples;
	KafkaSqlBatch batch;

	kafka_sql_begin(&batch, apply->target, apply->columns, NULL, 0);
	kafka_apply_tuples_begin(&tuples, apply, 0);
	while (kafka_apply_tuples_next(&tuples))
		kafka_sql_put(&batch, tuples.values, tuples.nulls);
	kafka_apply_tuples_end(&tuples);
	apply->rows = kafka_sql_run(&batch, apply->target, &sql, 1);
	kafka_sql_end(&batch);
}
