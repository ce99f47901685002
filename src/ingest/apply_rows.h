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

extern void kafka_apply_rows_begin(KafkaApplyRows *rows, KafkaApply *apply);
extern bool kafka_apply_rows_next(void *arg, Datum *values, bool *nulls);
extern const KafkaMessage *kafka_apply_rows_message(KafkaApplyRows *rows);
extern void kafka_apply_rows_end(KafkaApplyRows *rows);

#endif							/* KAFKA_APPLY_ROWS_H */
