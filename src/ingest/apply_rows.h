/*-------------------------------------------------------------------------
 *
 * apply_rows.h
 *	  The rows of some messages, for the ways to apply them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_APPLY_ROWS_H
#define KAFKA_APPLY_ROWS_H

#include "format/batch_rows.h"
#include "ingest/apply.h"
#include "ingest/batch_search.h"
#include "ingest/relations.h"

typedef struct KafkaApplyRows
{
	KafkaApply *apply;
	int64		count;			/* rows returned */

	KafkaRowMap *map;
	KafkaBatchRows *rows;
	bool		direct;			/* source's columns are the target's */
	Datum	   *values;			/* of the source's columns, otherwise */
	bool	   *nulls;
	KafkaColumnMap **columns;
	int			ncolumns;
	ExprContext *econtext;
} KafkaApplyRows;

/* The same, with the columns of apply->columns only, in their order. */
typedef struct KafkaApplyTuples
{
	KafkaApplyRows rows;
	MemoryContext context;		/* of a row's values */
	Datum	   *row;			/* of the whole target */
	bool	   *row_nulls;
	Datum	   *values;			/* of the columns */
	bool	   *nulls;
} KafkaApplyTuples;

extern void kafka_apply_rows_begin(KafkaApplyRows *rows, KafkaApply *apply);
extern bool kafka_apply_rows_next(void *arg, Datum *values, bool *nulls);
extern const KafkaMessage *kafka_apply_rows_message(KafkaApplyRows *rows);
extern void kafka_apply_rows_end(KafkaApplyRows *rows);
extern void kafka_apply_tuples_begin(KafkaApplyTuples *tuples,
									 KafkaApply *apply, int extra);
extern bool kafka_apply_tuples_next(KafkaApplyTuples *tuples);
extern void kafka_apply_tuples_end(KafkaApplyTuples *tuples);

#endif							/* KAFKA_APPLY_ROWS_H */
