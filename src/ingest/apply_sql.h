/*-------------------------------------------------------------------------
 *
 * apply_sql.h
 *	  Rows of a batch as a relation of SQL statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_APPLY_SQL_H
#define KAFKA_APPLY_SQL_H

#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

/* The relation's name in the statements. */
#define KAFKA_SQL_BATCH "kafka_batch"

typedef struct KafkaSqlBatch
{
	TupleDesc	tupdesc;		/* columns c1, c2, ..., then flags */
	Tuplestorestate *store;
} KafkaSqlBatch;

extern void kafka_sql_begin(KafkaSqlBatch *batch, Relation target,
							const List *columns, const char *const *flags,
							int nflags);
extern void kafka_sql_put(KafkaSqlBatch *batch, const Datum *values,
						  const bool *nulls);
extern void kafka_sql_check(const KafkaSqlBatch *batch, const char *sql);
extern uint64 kafka_sql_run(const KafkaSqlBatch *batch, Relation target,
							const char *const *statements, int n);
extern void kafka_sql_end(KafkaSqlBatch *batch);

extern void kafka_sql_append_target(StringInfo sql, Relation target);
extern void kafka_sql_append_insert(StringInfo sql, Relation target,
									const List *columns);
extern const char *kafka_sql_equal(Relation target, AttrNumber attnum);
extern const char *kafka_sql_column(Relation target, AttrNumber attnum);

#endif							/* KAFKA_APPLY_SQL_H */
