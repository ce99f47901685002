/*-------------------------------------------------------------------------
 *
 * scan_batch.h
 *	  Scans a batch of messages in place of a topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SCAN_BATCH_H
#define KAFKA_SCAN_BATCH_H

#include "fdw/fdw.h"
#include "options.h"

struct KafkaBatchRows;

extern struct KafkaBatchRows *kafka_scan_batch_begin(ForeignScanState *node,
													 const KafkaTableOptions *options,
													 const Bitmapset *needed);
extern TupleTableSlot *kafka_scan_batch_next(struct KafkaBatchRows *rows,
											 TupleTableSlot *slot);
extern void kafka_scan_batch_restart(struct KafkaBatchRows *rows);

#endif							/* KAFKA_SCAN_BATCH_H */
