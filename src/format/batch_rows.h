/*-------------------------------------------------------------------------
 *
 * batch_rows.h
 *	  The rows of some messages of a batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_BATCH_ROWS_H
#define KAFKA_BATCH_ROWS_H

#include "batch.h"
#include "format/format.h"

/* messages, and their bytes, that are decoded ahead to catch errors */
#define KAFKA_AHEAD_MESSAGES 500
#define KAFKA_AHEAD_BYTES 1000000

typedef struct KafkaBatchRows
{
	KafkaRowMap *map;
	KafkaBatch *batch;
	int			first;			/* messages [first, last) */
	int			last;
	bool		careful;		/* an error makes the message a bad one */

	int			next;			/* messages [next, last) are left */
	bool		open;			/* the one before them may have more rows */
	KafkaRows  *ahead;			/* NULL, or decoded ahead to catch errors */
	int			origins[KAFKA_AHEAD_MESSAGES];	/* of those ahead */
	int			failed;			/* messages that could not be decoded */
} KafkaBatchRows;

extern KafkaBatchRows *kafka_batch_rows_create(KafkaRowMap *map,
											   KafkaBatch *batch, int first,
											   int last, bool careful);
extern void kafka_batch_rows_restart(KafkaBatchRows *rows);
extern bool kafka_batch_rows_next(KafkaBatchRows *rows, bool more,
								  Datum *values, bool *nulls);

#endif							/* KAFKA_BATCH_ROWS_H */
