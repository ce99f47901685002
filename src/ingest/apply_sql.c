/*-------------------------------------------------------------------------
 *
 * apply_sql.c
 *	  Rows of a batch as a relation of SQL statements.
 *
 * NOTES
 *	  The rows are in a tuplestore that the statements know by a name, as those
 *	  of a trigger know its transition tables.  Their columns have the types of
 *	  the target's, and names of their own.
 *
 *	  Statements are made of the target's catalog names, always quoted and
 *	  qualified, and of nothing else.  They run with the rights of the
 *	  subscription's owner, so that row-level security and privileges are the
 *	  executor's business, or, where the owner may act as the table's owner and
 *	  no policy is for the former, of the table's owner (see apply_copy.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "compat.h"
#include "executor/spi.h"
#include "ingest/apply.h"
#include "ingest/apply_sql.h"
#include "ingest/relations.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static void connect(const KafkaSqlBatch *batch);
static uint64 run_all(const KafkaSqlBatch *batch,
					  const char *const *statements, int n);
static bool runs_as_table_owner(Relation target);

/*
 * kafka_sql_begin
 *		Makes an empty batch of these columns of the target (KafkaColumnMap),
 *		and of boolean flags.
 */
void
kafka_sql_begin(KafkaSqlBatch *batch, Relation target, const List *columns,
				const char *const *flags, int nflags)
{
	int			n = list_length(columns);
	ListCell   *lc;

	batch->tupdesc = CreateTemplateTupleDesc(n + nflags);
	foreach(lc, columns)
	{
		const KafkaColumnMap *column = lfirst(lc);
		AttrNumber	i = foreach_current_index(lc) + 1;
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(target),
											   column->target - 1);

		TupleDescInitEntry(batch->tupdesc, i, psprintf("c%d", i),
						   attr->atttypid, attr->atttypmod, 0);
		TupleDescInitEntryCollation(batch->tupdesc, i, attr->attcollation);
	}
	for (int i = 0; i < nflags; i++)
		TupleDescInitEntry(batch->tupdesc, n + i + 1, flags[i], BOOLOID, -1, 0);
	batch->store = tuplestore_begin_heap(false, false, work_mem);
}

/*
 * kafka_sql_put
 *		Adds a row.
 */
void
kafka_sql_put(KafkaSqlBatch *batch, const Datum *values, const bool *nulls)
{
	tuplestore_putvalues(batch->store, batch->tupdesc,
						 unconstify(Datum *, values),
						 unconstify(bool *, nulls));
}

/*
 * kafka_sql_check
 *		Raises an ERROR where the statement could not be run.
 */
void
kafka_sql_check(const KafkaSqlBatch *batch, const char *sql)
{
	connect(batch);
	if (SPI_prepare(sql, 0, NULL) == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql,
			 SPI_result_code_string(SPI_result));
	SPI_finish();
}

/*
 * kafka_sql_run
 *		Runs the statements, and returns how many rows they have changed.
 */
uint64
kafka_sql_run(const KafkaSqlBatch *batch, Relation target,
			  const char *const *statements, int n)
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;
	uint64		rows;

	if (!runs_as_table_owner(target))
		return run_all(batch, statements, n);
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(target->rd_rel->relowner,
						   sec_context | SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	kafka_apply_fire_triggers();
	rows = run_all(batch, statements, n);
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, sec_context);
	return rows;
}

static bool
runs_as_table_owner(Relation target)
{
	Oid			owner = target->rd_rel->relowner;

	return owner != GetUserId() &&
		target->rd_rel->relkind != RELKIND_VIEW &&
		kafka_compat_can_set_role(GetUserId(), owner) &&
		check_enable_rls(RelationGetRelid(target), GetUserId(), true) !=
		RLS_ENABLED;
}

static uint64
run_all(const KafkaSqlBatch *batch, const char *const *statements, int n)
{
	uint64		rows = 0;

	connect(batch);
	for (int i = 0; i < n; i++)
	{
		int			result = SPI_execute(statements[i], false, 0);

		if (result < 0)
			elog(ERROR, "could not run \"%s\": %s", statements[i],
				 SPI_result_code_string(result));
		rows += SPI_processed;
	}
	SPI_finish();
	return rows;
}

/*
 * Connects to SPI, where the batch is a relation.
 */
static void
connect(const KafkaSqlBatch *batch)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	int			result;

	enr->md.name = KAFKA_SQL_BATCH;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = batch->tupdesc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = tuplestore_tuple_count(batch->store);
	enr->reldata = batch->store;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_register_relation(enr);
	if (result != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register a batch: %s",
			 SPI_result_code_string(result));
}

void
kafka_sql_end(KafkaSqlBatch *batch)
{
	tuplestore_end(batch->store);
}

/*
 * kafka_sql_append_target
 *		Appends the target's name.
 */
void
kafka_sql_append_target(StringInfo sql, Relation target)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(target));

	appendStringInfoString(sql,
						   quote_qualified_identifier(schema, RelationGetRelationName(target)));
}

/*
 * kafka_sql_append_insert
 *		Appends an INSERT of the columns, without any WHERE clause.
 *
 * Columns that are GENERATED ALWAYS AS IDENTITY get their values too, as COPY
 * gives them.
 */
void
kafka_sql_append_insert(StringInfo sql, Relation target, const List *columns)
{
	ListCell   *lc;

	appendStringInfoString(sql, "INSERT INTO ");
	kafka_sql_append_target(sql, target);
	appendStringInfoString(sql, " AS t (");
	foreach(lc, columns)
	{
		const KafkaColumnMap *column = lfirst(lc);

		appendStringInfo(sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 kafka_sql_column(target, column->target));
	}
	appendStringInfoString(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	for (int i = 1; i <= list_length(columns); i++)
		appendStringInfo(sql, "%sb.c%d", i > 1 ? ", " : "", i);
	appendStringInfoString(sql, " FROM " KAFKA_SQL_BATCH " AS b");
}

/*
 * kafka_sql_column
 *		Returns the quoted name of a column of the target.
 */
const char *
kafka_sql_column(Relation target, AttrNumber attnum)
{
	return quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(target),
												  attnum - 1)->attname));
}

/*
 * kafka_sql_equal
 *		Returns the equality operator of a column's type, wherever it is, for
 *		the search_path may find another one.
 */
const char *
kafka_sql_equal(Relation target, AttrNumber attnum)
{
	Oid			typid = TupleDescAttr(RelationGetDescr(target),
									  attnum - 1)->atttypid;
	Oid			operator = lookup_type_cache(typid, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator for type %s",
						format_type_be(typid))));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)",
					quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}
