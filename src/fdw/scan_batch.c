/*-------------------------------------------------------------------------
 *
 * scan_batch.c
 *	  Scans a batch of messages in place of a topic.
 *
 * NOTES
 *	  A subscription's command sees a batch of messages as the rows of its
 *	  source.  Conditions that a scan would push down are checked by the
 *	  executor like all others, so every scan goes through the whole batch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fdw/scan_batch.h"
#include "format/batch_rows.h"
#include "utils/rel.h"

/*
 * kafka_scan_batch_begin
 *		Returns the rows to scan, in the executor's context, or NULL where the
 *		table shows its topic.
 */
KafkaBatchRows *
kafka_scan_batch_begin(ForeignScanState *node,
					   const KafkaTableOptions *options,
					   const Bitmapset *needed)
{
	const KafkaBatchView *view = kafka_batch_view;
	Relation	rel = node->ss.ss_currentRelation;
	KafkaRowMap *map;

	if (view == NULL || view->relation != RelationGetRelid(rel))
		return NULL;
	if (view->careful)
		kafka_compat_allow_subtransactions(node->ss.ps.state);
	map = kafka_rowmap_create(rel, options, needed);
	return kafka_batch_rows_create(map, view->batch, view->first, view->last,
								   view->careful);
}

/*
 * kafka_scan_batch_next
 *		Returns the next row, or an empty slot at the end.
 */
TupleTableSlot *
kafka_scan_batch_next(KafkaBatchRows *rows, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	if (!kafka_batch_rows_next(rows, true, slot->tts_values,
							   slot->tts_isnull))
		return slot;
	return ExecStoreVirtualTuple(slot);
}

/*
 * kafka_scan_batch_restart
 *		Begins again with the first row.
 */
void
kafka_scan_batch_restart(KafkaBatchRows *rows)
{
	kafka_batch_rows_restart(rows);
}
