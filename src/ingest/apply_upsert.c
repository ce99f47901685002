/*-------------------------------------------------------------------------
 *
 * apply_upsert.c
 *	  Messages into a table that has the last one of each key: mode upsert.
 *
 * NOTES
 *	  Of a batch, only the last row of each key counts; a message without value
 *	  deletes the key's row.  Then two statements do it: a DELETE, and an
 *	  INSERT ... ON CONFLICT DO UPDATE.  A key that was deleted and came again
 *	  is deleted first, for columns that the source does not have get their
 *	  defaults again, as they would in two batches.
 *
 *	  A worker that is behind has the rows of several batches collected before
 *	  they are written (worker_collect.c).
 *
 *	  The order of messages is that of their partition, as everywhere.  Messages
 *	  of one key in several partitions have no order, so the key should be
 *	  Kafka's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "compat.h"
#include "ingest/apply_rows.h"
#include "ingest/apply_sql.h"
#include "ingest/upsert_rows.h"
#include "nodes/bitmapset.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static const char *const flags[] = {"deleted", "present"};

static void check(KafkaApply *apply);
static void apply_upsert(KafkaApply *apply);
static KafkaUpsertRows *open_rows(KafkaApply *apply, TupleDesc tupdesc,
								  const int *places, int nkeys);
static List *target_columns(KafkaApply *apply);
static List *key_columns(KafkaApply *apply);
static List *named_columns(KafkaApply *apply);
static List *primary_key(KafkaApply *apply);
static void check_unique(Relation target, const List *keys);
static bool is_unique_on(Relation target, Oid index, const Bitmapset *keys);
static int *key_places(KafkaApply *apply, const List *keys);
static char *make_delete(KafkaApply *apply, const int *places, int nkeys);
static char *make_insert(KafkaApply *apply, const int *places, int nkeys);
static void append_order(StringInfo sql, KafkaApply *apply,
						 const int *places, int nkeys);
static bool is_place(const int *places, int nkeys, int place);
static void take_rows(KafkaApply *apply, KafkaUpsertRows *rows,
					  const int *places, int nkeys);
static void check_key(KafkaApply *apply, const KafkaApplyTuples *tuples,
					  const int *places, int nkeys, bool tombstone);
static bool put_rows(const KafkaUpsertRows *rows, KafkaSqlBatch *batch);

const KafkaApplyMethod kafka_apply_upsert = {"upsert", check, apply_upsert};

static void
check(KafkaApply *apply)
{
	KafkaSqlBatch batch;
	List	   *keys;
	int		   *places;
	int			nkeys;

	apply->columns = kafka_map_columns(apply->source, apply->target);
	kafka_check_upsert(apply->target, apply->subscription->owner);
	keys = key_columns(apply);
	nkeys = list_length(keys);
	check_unique(apply->target, keys);
	places = key_places(apply, keys);
	kafka_sql_begin(&batch, apply->target, apply->columns, flags,
					lengthof(flags));
	(void) kafka_upsert_rows_create(batch.tupdesc, places, nkeys);
	kafka_sql_check(&batch, make_delete(apply, places, nkeys));
	kafka_sql_check(&batch, make_insert(apply, places, nkeys));
	kafka_sql_end(&batch);
}

static void
apply_upsert(KafkaApply *apply)
{
	List	   *keys = key_columns(apply);
	int			nkeys = list_length(keys);
	int		   *places = key_places(apply, keys);
	const char *statements[2];
	KafkaUpsertRows *rows;
	KafkaSqlBatch batch;
	bool		deletes;

	kafka_sql_begin(&batch, apply->target, apply->columns, flags,
					lengthof(flags));
	rows = open_rows(apply, batch.tupdesc, places, nkeys);
	if (apply->first < apply->last)
		take_rows(apply, rows, places, nkeys);
	if (apply->collect)
	{
		kafka_sql_end(&batch);
		return;
	}
	deletes = put_rows(rows, &batch);
	statements[0] = make_delete(apply, places, nkeys);
	statements[1] = make_insert(apply, places, nkeys);
	apply->rows = deletes ?
		kafka_sql_run(&batch, apply->target, statements, 2) :
		kafka_sql_run(&batch, apply->target, statements + 1, 1);
	kafka_sql_end(&batch);
}

/*
 * Returns the rows that this batch is added to: its own, or those collected.
 *
 * Raises an ERROR where those were made for another table than the target is
 * now.
 */
static KafkaUpsertRows *
open_rows(KafkaApply *apply, TupleDesc tupdesc, const int *places, int nkeys)
{
	KafkaUpsertRows *rows = apply->collected == NULL ? NULL : *apply->collected;
	MemoryContext old;

	if (apply->collected == NULL)
		return kafka_upsert_rows_create(tupdesc, places, nkeys);
	if (rows == NULL)
	{
		old = MemoryContextSwitchTo(apply->collection);
		rows = kafka_upsert_rows_create(CreateTupleDescCopy(tupdesc), places,
										nkeys);
		rows->target = target_columns(apply);
		MemoryContextSwitchTo(old);
		*apply->collected = rows;
	}
	if (!equalTupleDescs(rows->tupdesc, tupdesc) || rows->nkeys != nkeys ||
		memcmp(rows->keys, places, sizeof(int) * nkeys) != 0 ||
		!equal(rows->target, target_columns(apply)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has changed",
						RelationGetRelationName(apply->target))));
	return rows;
}

/*
 * Returns the numbers of the target's columns that rows have.
 */
static List *
target_columns(KafkaApply *apply)
{
	List	   *attnums = NIL;
	ListCell   *lc;

	foreach(lc, apply->columns)
		attnums = lappend_int(attnums, ((KafkaColumnMap *) lfirst(lc))->target);
	return attnums;
}

/*
 * Returns the numbers of the target's columns that identify a row.
 */
static List *
key_columns(KafkaApply *apply)
{
	return apply->subscription->key_columns != NIL ? named_columns(apply) :
		primary_key(apply);
}

static List *
named_columns(KafkaApply *apply)
{
	Oid			relid = RelationGetRelid(apply->target);
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, apply->subscription->key_columns)
	{
		AttrNumber	attnum = get_attnum(relid, lfirst(lc));

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" of table \"%s\" does not exist",
							(char *) lfirst(lc),
							RelationGetRelationName(apply->target))));
		keys = list_append_unique_int(keys, attnum);
	}
	return keys;
}

static List *
primary_key(KafkaApply *apply)
{
	Bitmapset  *set = RelationGetIndexAttrBitmap(apply->target,
												 INDEX_ATTR_BITMAP_PRIMARY_KEY);
	List	   *keys = NIL;
	int			member = -1;

	while ((member = bms_next_member(set, member)) >= 0)
		keys = lappend_int(keys, member + FirstLowInvalidHeapAttributeNumber);
	if (keys == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key",
						RelationGetRelationName(apply->target)),
				 errhint("Name the columns of a unique index in key_columns.")));
	return keys;
}

/*
 * Raises an ERROR unless a unique index is on exactly these columns.
 */
static void
check_unique(Relation target, const List *keys)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	foreach(lc, keys)
		set = bms_add_member(set, lfirst_int(lc));
	foreach(lc, RelationGetIndexList(target))
	{
		if (is_unique_on(target, lfirst_oid(lc), set))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg("table \"%s\" has no unique index on exactly the key columns",
					RelationGetRelationName(target)),
			 errhint("It must not be partial, on expressions or deferrable.")));
}

static bool
is_unique_on(Relation target, Oid index, const Bitmapset *keys)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	Bitmapset  *set = NULL;
	bool		unique;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < form->indnkeyatts; i++)
		set = bms_add_member(set, Max(form->indkey.values[i], 0));
	unique = form->indisunique && form->indimmediate && form->indisvalid &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		bms_equal(set, keys);
	ReleaseSysCache(tuple);
	return unique;
}

/*
 * Returns where the keys are among apply->columns; an ERROR where the source
 * does not have one.
 */
static int *
key_places(KafkaApply *apply, const List *keys)
{
	int		   *places = palloc_array(int, list_length(keys));
	ListCell   *key;
	ListCell   *lc;

	foreach(key, keys)
	{
		int			place = -1;

		foreach(lc, apply->columns)
		{
			if (((KafkaColumnMap *) lfirst(lc))->target == lfirst_int(key))
				place = foreach_current_index(lc);
		}
		if (place < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("source table \"%s\" has no column \"%s\", which is a key of \"%s\"",
							RelationGetRelationName(apply->source),
							NameStr(TupleDescAttr(RelationGetDescr(apply->target),
												  lfirst_int(key) - 1)->attname),
							RelationGetRelationName(apply->target))));
		places[foreach_current_index(key)] = place;
	}
	return places;
}

static char *
make_delete(KafkaApply *apply, const int *places, int nkeys)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "DELETE FROM ");
	kafka_sql_append_target(&sql, apply->target);
	appendStringInfoString(&sql, " AS t USING " KAFKA_SQL_BATCH
						   " AS b WHERE b.deleted");
	for (int i = 0; i < nkeys; i++)
	{
		KafkaColumnMap *column = list_nth(apply->columns, places[i]);

		appendStringInfo(&sql, " AND t.%s %s b.c%d",
						 kafka_sql_column(apply->target, column->target),
						 kafka_sql_equal(apply->target, column->target),
						 places[i] + 1);
	}
	return sql.data;
}

static char *
make_insert(KafkaApply *apply, const int *places, int nkeys)
{
	StringInfoData sql;
	const char *separator = "";
	ListCell   *lc;

	initStringInfo(&sql);
	kafka_sql_append_insert(&sql, apply->target, apply->columns);
	appendStringInfoString(&sql, " WHERE b.present");
	append_order(&sql, apply, places, nkeys);
	appendStringInfoString(&sql, " ON CONFLICT (");
	for (int i = 0; i < nkeys; i++)
	{
		KafkaColumnMap *column = list_nth(apply->columns, places[i]);

		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 kafka_sql_column(apply->target, column->target));
	}
	appendStringInfoString(&sql, nkeys < list_length(apply->columns) ?
						   ") DO UPDATE SET " : ") DO NOTHING");
	foreach(lc, apply->columns)
	{
		KafkaColumnMap *column = lfirst(lc);
		const char *name = kafka_sql_column(apply->target, column->target);

		if (is_place(places, nkeys, foreach_current_index(lc)))
			continue;
		appendStringInfo(&sql, "%s%s = excluded.%s", separator, name, name);
		separator = ", ";
	}
	return sql.data;
}

/*
 * Appends an order by the key, for an index is faster to go through in its
 * order, and workers that share keys do not wait for each other in a circle.
 */
static void
append_order(StringInfo sql, KafkaApply *apply, const int *places, int nkeys)
{
	TupleDesc	tupdesc = RelationGetDescr(apply->target);

	for (int i = 0; i < nkeys; i++)
	{
		KafkaColumnMap *column = list_nth(apply->columns, places[i]);
		Oid			typid = TupleDescAttr(tupdesc, column->target - 1)->atttypid;

		if (!OidIsValid(lookup_type_cache(typid, TYPECACHE_LT_OPR)->lt_opr))
			return;
	}
	for (int i = 0; i < nkeys; i++)
		appendStringInfo(sql, "%s b.c%d", i > 0 ? "," : " ORDER BY",
						 places[i] + 1);
}

static bool
is_place(const int *places, int nkeys, int place)
{
	for (int i = 0; i < nkeys; i++)
		if (places[i] == place)
			return true;
	return false;
}

/*
 * Takes the rows of the messages.
 */
static void
take_rows(KafkaApply *apply, KafkaUpsertRows *rows, const int *places,
		  int nkeys)
{
	KafkaApplyTuples tuples;

	kafka_apply_tuples_begin(&tuples, apply, lengthof(flags));
	while (kafka_apply_tuples_next(&tuples))
	{
		bool		tombstone =
		kafka_apply_rows_message(&tuples.rows)->value == NULL;

		check_key(apply, &tuples, places, nkeys, tombstone);
		kafka_upsert_rows_put(rows, tuples.values, tuples.nulls, tombstone);
	}
	kafka_apply_tuples_end(&tuples);
}

/*
 * Raises an ERROR for a row without a key.
 */
static void
check_key(KafkaApply *apply, const KafkaApplyTuples *tuples,
		  const int *places, int nkeys, bool tombstone)
{
	for (int i = 0; i < nkeys; i++)
	{
		KafkaColumnMap *column = list_nth(apply->columns, places[i]);

		if (!tuples->nulls[places[i]])
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("key column \"%s\" of a message is null",
						NameStr(TupleDescAttr(RelationGetDescr(apply->target),
											  column->target - 1)->attname)),
				 tombstone ?
				 errdetail("The message has no value, so it deletes a row, which only a key from the message's key can name.") : 0));
	}
}

/*
 * Puts the rows into the batch, and says whether some of them are to be
 * deleted.
 */
static bool
put_rows(const KafkaUpsertRows *rows, KafkaSqlBatch *batch)
{
	int			n = batch->tupdesc->natts;
	Datum	   *values = palloc_array(Datum, n);
	bool	   *nulls = palloc_array(bool, n);
	bool		deletes = false;

	for (int i = 0; i < rows->nrows; i++)
	{
		const KafkaUpsertRow *row = &rows->rows[i];
		HeapTupleData tuple;

		tuple.t_len = row->tuple->t_len + MINIMAL_TUPLE_OFFSET;
		tuple.t_data = (HeapTupleHeader) ((char *) row->tuple - MINIMAL_TUPLE_OFFSET);
		heap_deform_tuple(&tuple, batch->tupdesc, values, nulls);
		values[n - 2] = BoolGetDatum(row->deleted);
		values[n - 1] = BoolGetDatum(row->present);
		nulls[n - 2] = nulls[n - 1] = false;
		kafka_sql_put(batch, values, nulls);
		deletes = deletes || row->deleted;
	}
	return deletes;
}
