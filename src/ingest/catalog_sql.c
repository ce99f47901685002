/*-------------------------------------------------------------------------
 *
 * catalog_sql.c
 *	  How the extension's own tables are read and written.
 *
 * NOTES
 *	  The tables are read and written as their owner, with a search_path that
 *	  no user can put anything into, and with values only as parameters: who
 *	  may do what is decided by the callers, before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "ingest/catalog.h"
#include "ingest/catalog_sql.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

/*
 * kafka_catalog_enter
 *		Becomes the owner of the extension's tables, with a search_path that
 *		only finds what PostgreSQL ships.
 *
 * An ERROR undoes it with the transaction.
 */
void
kafka_catalog_enter(KafkaCatalogScope *scope)
{
	Oid			relation = kafka_catalog_relation();
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"kafka_fdw\" does not exist")));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	scope->context = CurrentMemoryContext;
	scope->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&scope->userid, &scope->sec_context);
	SetUserIdAndSecContext(owner, scope->sec_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
kafka_catalog_leave(KafkaCatalogScope *scope)
{
	SPI_finish();
	SetUserIdAndSecContext(scope->userid, scope->sec_context);
	AtEOXact_GUC(true, scope->nestlevel);
}

/*
 * kafka_catalog_run
 *		Runs a statement between enter and leave; nulls may be NULL where no
 *		parameter is.
 *
 * The result is SPI's.
 */
void
kafka_catalog_run(KafkaStatement *statement, Datum *values, const bool *nulls)
{
	char		flags[KAFKA_STATEMENT_ARGS];
	int			result;

	if (statement->plan == NULL)
	{
		/* planned once: the tables are small, and a batch has little time */
		SPIPlanPtr	plan = SPI_prepare_cursor(statement->sql, statement->nargs,
											  statement->types,
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	for (int i = 0; i < statement->nargs; i++)
		flags[i] = nulls != NULL && nulls[i] ? 'n' : ' ';
	result = SPI_execute_plan(statement->plan, values, flags, false, 0);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
}

/*
 * kafka_catalog_column
 *		Returns a column of the last result that is NOT NULL.
 */
Datum
kafka_catalog_column(int row, int column)
{
	bool		isnull;
	Datum		value = kafka_catalog_column_or_null(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return value;
}

/*
 * kafka_catalog_column_or_null
 *		Returns a column of the last result; *isnull says whether it is NULL.
 */
Datum
kafka_catalog_column_or_null(int row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

/*
 * kafka_catalog_text
 *		Returns a text of the last result, or NULL.
 */
char *
kafka_catalog_text(int row, int column)
{
	bool		isnull;
	Datum		value = kafka_catalog_column_or_null(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * kafka_catalog_names
 *		Returns the strings of a text[] of the last result; NULL has none.
 */
List *
kafka_catalog_names(int row, int column)
{
	bool		isnull;
	Datum		value = kafka_catalog_column_or_null(row, column, &isnull);
	List	   *names = NIL;
	Datum	   *elements;
	int			n;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
		names = lappend(names, TextDatumGetCString(elements[i]));
	return names;
}

/*
 * kafka_catalog_numbers
 *		Returns the numbers of an int4[] of the last result; NULL has none.
 */
Bitmapset *
kafka_catalog_numbers(int row, int column)
{
	bool		isnull;
	Datum		value = kafka_catalog_column_or_null(row, column, &isnull);
	Bitmapset  *numbers = NULL;
	Datum	   *elements;
	int			n;

	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
		numbers = bms_add_member(numbers, DatumGetInt32(elements[i]));
	return numbers;
}

/*
 * kafka_catalog_put_text
 *		Returns a text as a parameter; NULL where there is none.
 */
Datum
kafka_catalog_put_text(const char *text, bool *isnull)
{
	*isnull = text == NULL;

	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

/*
 * kafka_catalog_put_names
 *		Returns strings as a text[]; NULL where there are none.
 */
Datum
kafka_catalog_put_names(const List *names, bool *isnull)
{
	Datum	   *elements = palloc_array(Datum, list_length(names));
	ListCell   *lc;

	*isnull = names == NIL;
	foreach(lc, names)
		elements[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, list_length(names),
										   TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * kafka_catalog_put_numbers
 *		Returns numbers as an int4[]; NULL where there are none.
 */
Datum
kafka_catalog_put_numbers(const Bitmapset *numbers, bool *isnull)
{
	Datum	   *elements = palloc_array(Datum, bms_num_members(numbers));
	int			member = -1;
	int			n = 0;

	*isnull = numbers == NULL;
	while ((member = bms_next_member(numbers, member)) >= 0)
		elements[n++] = Int32GetDatum(member);
	return PointerGetDatum(construct_array(elements, n, INT4OID,
										   sizeof(int32), true, TYPALIGN_INT));
}
