/*-------------------------------------------------------------------------
 *
 * upsert_rows.c
 *	  The last row of each key.
 *
 * NOTES
 *	  A hash table with the equality of the key columns' types, which is the
 *	  one of the unique index.  A key that is deleted and comes again is both:
 *	  what was there is deleted, and the row is stored, so that it does not
 *	  matter whether a batch ends in between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "compat.h"
#include "ingest/upsert_rows.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#define FIRST_SLOTS 1024

static void look_up_key(KafkaUpsertRows *rows, int i);
static uint32 hash_key(KafkaUpsertRows *rows, const Datum *values);
static uint32 find_slot(KafkaUpsertRows *rows, uint32 hash,
						const Datum *values);
static bool is_equal(KafkaUpsertRows *rows, const KafkaUpsertRow *row,
					 const Datum *values);
static KafkaUpsertRow *add_row(KafkaUpsertRows *rows, uint32 slot,
							   uint32 hash);
static void grow(KafkaUpsertRows *rows);

/*
 * kafka_upsert_rows_create
 *		Makes an empty set of rows, in the current memory context; keys are the
 *		columns, from 0 on, that identify one.
 *
 * Raises an ERROR where a key's type has no hash function.
 */
KafkaUpsertRows *
kafka_upsert_rows_create(TupleDesc tupdesc, const int *keys, int nkeys)
{
	KafkaUpsertRows *rows = palloc0(sizeof(KafkaUpsertRows));

	rows->context = CurrentMemoryContext;
	rows->tupdesc = tupdesc;
	rows->nkeys = nkeys;
	rows->keys = palloc_array(int, nkeys);
	rows->hash = palloc_array(FmgrInfo, nkeys);
	rows->equal = palloc_array(FmgrInfo, nkeys);
	rows->collations = palloc_array(Oid, nkeys);
	for (int i = 0; i < nkeys; i++)
	{
		rows->keys[i] = keys[i];
		look_up_key(rows, i);
	}
	rows->allocated = FIRST_SLOTS / 2;
	rows->rows = palloc_array(KafkaUpsertRow, rows->allocated);
	rows->nslots = FIRST_SLOTS;
	rows->slots = palloc_array(int, rows->nslots);
	memset(rows->slots, -1, sizeof(int) * rows->nslots);
	return rows;
}

static void
look_up_key(KafkaUpsertRows *rows, int i)
{
	Form_pg_attribute attr = TupleDescAttr(rows->tupdesc, rows->keys[i]);
	TypeCacheEntry *type = lookup_type_cache(attr->atttypid,
											 TYPECACHE_HASH_PROC |
											 TYPECACHE_EQ_OPR_FINFO);

	if (!OidIsValid(type->hash_proc) || !OidIsValid(type->eq_opr_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s cannot be a key of a subscription, for it has no hash function",
						format_type_be(attr->atttypid))));
	fmgr_info(type->hash_proc, &rows->hash[i]);
	fmgr_info(type->eq_opr_finfo.fn_oid, &rows->equal[i]);
	rows->collations[i] = attr->attcollation;
}

/*
 * kafka_upsert_rows_put
 *		Takes a row in place of the one before it that has the key, or, with
 *		tombstone, has the key deleted.  No key is NULL.
 */
void
kafka_upsert_rows_put(KafkaUpsertRows *rows, const Datum *values,
					  const bool *nulls, bool tombstone)
{
	uint32		hash = hash_key(rows, values);
	uint32		slot = find_slot(rows, hash, values);
	KafkaUpsertRow *row;
	MemoryContext old = MemoryContextSwitchTo(rows->context);

	if (rows->slots[slot] >= 0)
	{
		row = &rows->rows[rows->slots[slot]];
		pfree(row->tuple);
	}
	else
		row = add_row(rows, slot, hash);
	row->tuple = kafka_compat_form_minimal_tuple(rows->tupdesc, values, nulls);
	row->deleted = row->deleted || tombstone;
	row->present = !tombstone;
	MemoryContextSwitchTo(old);
}

static uint32
hash_key(KafkaUpsertRows *rows, const Datum *values)
{
	uint32		hash = 0;

	for (int i = 0; i < rows->nkeys; i++)
		hash = hash_combine(hash,
							DatumGetUInt32(FunctionCall1Coll(&rows->hash[i],
															 rows->collations[i],
															 values[rows->keys[i]])));
	return murmurhash32(hash);
}

/*
 * Returns the slot of the key, or the free one where it belongs.
 */
static uint32
find_slot(KafkaUpsertRows *rows, uint32 hash, const Datum *values)
{
	uint32		slot = hash & (rows->nslots - 1);

	while (rows->slots[slot] >= 0 &&
		   !(rows->rows[rows->slots[slot]].hash == hash &&
			 is_equal(rows, &rows->rows[rows->slots[slot]], values)))
		slot = (slot + 1) & (rows->nslots - 1);
	return slot;
}

static bool
is_equal(KafkaUpsertRows *rows, const KafkaUpsertRow *row, const Datum *values)
{
	HeapTupleData tuple;

	tuple.t_len = row->tuple->t_len + MINIMAL_TUPLE_OFFSET;
	tuple.t_data = (HeapTupleHeader) ((char *) row->tuple - MINIMAL_TUPLE_OFFSET);
	for (int i = 0; i < rows->nkeys; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(&tuple, rows->keys[i] + 1,
										 rows->tupdesc, &isnull);

		if (!DatumGetBool(FunctionCall2Coll(&rows->equal[i],
											rows->collations[i], value,
											values[rows->keys[i]])))
			return false;
	}
	return true;
}

static KafkaUpsertRow *
add_row(KafkaUpsertRows *rows, uint32 slot, uint32 hash)
{
	KafkaUpsertRow *row;

	if (rows->nrows == rows->allocated)
	{
		rows->allocated *= 2;
		rows->rows = repalloc_huge(rows->rows,
								   sizeof(KafkaUpsertRow) * rows->allocated);
	}
	rows->slots[slot] = rows->nrows;
	row = &rows->rows[rows->nrows++];
	memset(row, 0, sizeof(KafkaUpsertRow));
	row->hash = hash;
	if ((uint32) rows->nrows > rows->nslots / 2)
		grow(rows);
	return row;
}

/*
 * Doubles the slots.
 */
static void
grow(KafkaUpsertRows *rows)
{
	pfree(rows->slots);
	rows->nslots *= 2;
	rows->slots = palloc_array(int, rows->nslots);
	memset(rows->slots, -1, sizeof(int) * rows->nslots);
	for (int i = 0; i < rows->nrows; i++)
	{
		uint32		slot = rows->rows[i].hash & (rows->nslots - 1);

		while (rows->slots[slot] >= 0)
			slot = (slot + 1) & (rows->nslots - 1);
		rows->slots[slot] = i;
	}
}
