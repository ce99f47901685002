/*-------------------------------------------------------------------------
 *
 * upsert_rows.h
 *	  The last row of each key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_UPSERT_ROWS_H
#define KAFKA_UPSERT_ROWS_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "nodes/pg_list.h"

typedef struct KafkaUpsertRow
{
	uint32		hash;			/* of the key */
	MinimalTuple tuple;			/* the last one; its key at least */
	bool		deleted;		/* what was there before is to be deleted */
	bool		present;		/* the row is to be stored */
} KafkaUpsertRow;

typedef struct KafkaUpsertRows
{
	MemoryContext context;		/* of the tuples */
	TupleDesc	tupdesc;
	List	   *target;			/* whoever keeps the rows notes here which
								 * columns of the target they are for */
	int			nkeys;
	int		   *keys;			/* their columns, from 0 on */
	FmgrInfo   *hash;			/* of each key */
	FmgrInfo   *equal;
	Oid		   *collations;
	KafkaUpsertRow *rows;		/* in the order of first appearance */
	int			nrows;
	int			allocated;
	int		   *slots;			/* index into rows, or -1; open addressing */
	uint32		nslots;			/* a power of 2 */
} KafkaUpsertRows;

extern KafkaUpsertRows *kafka_upsert_rows_create(TupleDesc tupdesc,
												 const int *keys, int nkeys);
extern void kafka_upsert_rows_put(KafkaUpsertRows *rows, const Datum *values,
								  const bool *nulls, bool tombstone);

#endif							/* KAFKA_UPSERT_ROWS_H */
