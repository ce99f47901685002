/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Scans topics.
 *
 * NOTES
 *	  The snapshot, the end of every partition, is taken once, when the first
 *	  row is asked for, and kept for rescans: a scan reads nothing else.
 *	  Conditions are evaluated when a scan or a rescan starts, and become the
 *	  work that is to be done (work.c), which is read in chunks (scan_read.c).
 *	  In a parallel scan the leader does this for all (scan_parallel.c).
 *
 *	  Everything lives in one context, whose deletion, at the end of the scan
 *	  or by an ERROR, closes the consumer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/sysattr.h"
#include "compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "fdw/quals.h"
#include "fdw/scan.h"
#include "fdw/scan_batch.h"
#include "fdw/snapshot.h"
#include "mb/pg_wchar.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* messages, and their bytes, that are decoded ahead to catch errors */
#define AHEAD_MESSAGES 500
#define AHEAD_BYTES 1000000

/* of so many messages the decoding of one is timed */
#define SAMPLE_MESSAGES 32

static void start_scan(ForeignScanState *node, KafkaScanState *state);
static void make_map(ForeignScanState *node, KafkaScanState *state);
static TupleTableSlot *next_row_ahead(KafkaScanState *state,
									  TupleTableSlot *slot);
static bool decode_ahead(KafkaScanState *state);
static bool next_message(KafkaScanState *state);
static bool next_row(KafkaScanState *state, TupleTableSlot *slot);
static void note_skipped(KafkaScanState *state, int64 skipped);
static void warn_of_skipped(const KafkaScanState *state);

/*
 * kafkaBeginForeignScan
 *		Reads the options; Kafka is asked when the first row is.
 */
void
kafkaBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Relation	rel = node->ss.ss_currentRelation;
	EState	   *estate = node->ss.ps.state;
	KafkaQualColumns columns = kafka_quals_columns(rel);
	Oid			userid = kafka_compat_scan_user(plan, estate);
	KafkaScanState *state = palloc0(sizeof(KafkaScanState));
	ListCell   *lc;

	state->context = AllocSetContextCreate(estate->es_query_cxt,
										   "kafka_fdw scan",
										   ALLOCSET_DEFAULT_SIZES);
	state->work_context = AllocSetContextCreate(state->context,
												"kafka_fdw scan work",
												ALLOCSET_SMALL_SIZES);
	state->options = kafka_options_table(RelationGetRelid(rel), userid);
	state->quals = kafka_quals_prepare(plan->fdw_exprs, plan->scan.scanrelid,
									   &columns, &node->ss.ps);
	foreach(lc, list_nth(plan->fdw_private, KAFKA_SCAN_NEEDED))
		state->needed = bms_add_member(state->needed, lfirst_int(lc));
	if (state->needed == NULL)	/* count(*): not NULL, which is all */
		state->needed = bms_make_singleton(TableOidAttributeNumber -
										   FirstLowInvalidHeapAttributeNumber);
	state->limit = intVal(list_nth(plan->fdw_private, KAFKA_SCAN_LIMIT));
	state->timing = (estate->es_instrument & INSTRUMENT_TIMER) != 0;
	state->readers = 1;
	if (state->options->on_error != KAFKA_ON_ERROR_ERROR)
		kafka_compat_allow_subtransactions(estate);
	state->batch = kafka_scan_batch_begin(node, state->options, state->needed);
	if (state->batch != NULL)	/* which only this process has */
		kafka_compat_forbid_workers(estate);
	node->fdw_state = state;
}

/*
 * kafkaIterateForeignScan
 *		Returns the next row, or an empty slot at the end of the snapshot.
 */
TupleTableSlot *
kafkaIterateForeignScan(ForeignScanState *node)
{
	KafkaScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (state->batch != NULL)
		return kafka_scan_batch_next(state->batch, slot);
	ExecClearTuple(slot);
	if (!state->started)
		start_scan(node, state);
	if (state->shut_down)
		return slot;
	if (state->rows != NULL)
		return next_row_ahead(state, slot);

	for (;;)
	{
		if (state->in_message && next_row(state, slot))
		{
			state->in_message = !state->map->done;
			return ExecStoreVirtualTuple(slot);
		}
		state->in_message = next_message(state);
		if (!state->in_message)
			return slot;
	}
}

/*
 * kafkaReScanForeignScan
 *		Starts again: the same snapshot, with conditions evaluated anew.
 */
void
kafkaReScanForeignScan(ForeignScanState *node)
{
	KafkaScanState *state = node->fdw_state;

	if (state->batch != NULL)
		kafka_scan_batch_restart(state->batch);
	state->started = false;
}

void
kafkaEndForeignScan(ForeignScanState *node)
{
	KafkaScanState *state = node->fdw_state;

	if (state == NULL)
		return;
	if (state->consumer != NULL)
		kafka_consumer_close(state->consumer);
	warn_of_skipped(state);
	MemoryContextDelete(state->context);
}

/*
 * Evaluates the conditions, or takes the work that the leader has made of
 * them.
 */
static void
start_scan(ForeignScanState *node, KafkaScanState *state)
{
	kafka_scan_reset(state);
	make_map(node, state);
	if (state->shared != NULL)
		kafka_parallel_attach(node);
	else
		kafka_scan_prepare(node, 1);
	state->shut_down = false;
	state->started = true;
}

static void
make_map(ForeignScanState *node, KafkaScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	if (state->map == NULL)
		state->map = kafka_rowmap_create(node->ss.ss_currentRelation,
										 state->options, state->needed);
	if (state->rows == NULL && state->map->on_error != KAFKA_ON_ERROR_ERROR)
		state->rows = kafka_rows_create(state->map);
	if (state->rows != NULL)
		kafka_rows_clear(state->rows);
	MemoryContextSwitchTo(old);
}

/*
 * kafka_scan_prepare
 *		Evaluates the conditions and makes work of them for so many processes.
 *
 * The first time the snapshot is taken, unless the conditions leave nothing
 * to read: then Kafka is not asked at all.
 */
void
kafka_scan_prepare(ForeignScanState *node, int readers)
{
	KafkaScanState *state = node->fdw_state;
	MemoryContext old;
	instr_time	start;
	instr_time	end;

	MemoryContextReset(state->work_context);
	old = MemoryContextSwitchTo(state->work_context);
	state->readers = readers;
	state->work = state->summary = NULL;
	state->boxes = kafka_quals_boxes(state->quals, node->ss.ps.ps_ExprContext);
	state->evaluated = true;
	if (state->boxes != NIL)
	{
		if (state->timing)
			INSTR_TIME_SET_CURRENT(start);
		if (state->consumer == NULL)
			kafka_scan_open(state);
		if (state->view.offsets == NULL)
		{
			/* a rescan may want other topics */
			List	   *boxes = kafka_quals_need_execution(state->quals) ?
			NIL : state->boxes;

			MemoryContextSwitchTo(state->context);
			state->view.noffsets =
				kafka_snapshot_take(state->consumer, state->options, boxes,
									&state->view.offsets);
			MemoryContextSwitchTo(state->work_context);
		}
		state->work = state->summary =
			kafka_work_make(&state->view, state->boxes, readers);
		if (state->timing)
		{
			INSTR_TIME_SET_CURRENT(end);
			INSTR_TIME_SUBTRACT(end, start);
			state->stats.wait_time += INSTR_TIME_GET_MILLISEC(end);
		}
	}
	MemoryContextSwitchTo(old);
}

/*
 * Returns the next of the rows that are decoded ahead.
 */
static TupleTableSlot *
next_row_ahead(KafkaScanState *state, TupleTableSlot *slot)
{
	while (!kafka_rows_next(state->rows, slot->tts_values, slot->tts_isnull))
		if (!decode_ahead(state))
			return slot;
	return ExecStoreVirtualTuple(slot);
}

/*
 * Decodes some messages of the batch; false at the end of the scan.
 */
static bool
decode_ahead(KafkaScanState *state)
{
	const KafkaMessage *messages[AHEAD_MESSAGES];
	int64		bytes = state->stats.bytes;
	int64		skipped = state->rows->skipped;
	int			n = 0;
	instr_time	start;
	instr_time	end;

	if (!kafka_scan_fetch(state))
		return false;
	while (n < AHEAD_MESSAGES && state->stats.bytes - bytes < AHEAD_BYTES &&
		   state->next < kafka_consumer_count(state->consumer))
	{
		messages[n] = kafka_scan_take(state);
		if (messages[n] != NULL)
			n++;
	}
	if (state->timing)
		INSTR_TIME_SET_CURRENT(start);
	kafka_rows_decode(state->rows, messages, n);
	if (state->timing)
	{
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		state->stats.decode_time += INSTR_TIME_GET_MILLISEC(end);
	}
	note_skipped(state, state->rows->skipped - skipped);
	return true;
}

/*
 * Gives the row map the next message; false at the end of the scan.
 */
static bool
next_message(KafkaScanState *state)
{
	const KafkaMessage *message;

	do
	{
		if (!kafka_scan_fetch(state))
			return false;
		message = kafka_scan_take(state);
	} while (message == NULL);
	state->sampled = state->timing &&
		state->stats.messages % SAMPLE_MESSAGES == 0;
	kafka_rowmap_start(state->map, message);
	return true;
}

/*
 * Decodes the next row of the message; false when it has no more.
 */
static bool
next_row(KafkaScanState *state, TupleTableSlot *slot)
{
	instr_time	start;
	instr_time	end;
	bool		found;

	if (likely(!state->sampled))
		return kafka_rowmap_next(state->map, slot->tts_values,
								 slot->tts_isnull);
	INSTR_TIME_SET_CURRENT(start);
	found = kafka_rowmap_next(state->map, slot->tts_values, slot->tts_isnull);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	state->stats.decode_time += SAMPLE_MESSAGES * INSTR_TIME_GET_MILLISEC(end);
	return found;
}

static void
note_skipped(KafkaScanState *state, int64 skipped)
{
	const KafkaRows *rows = state->rows;
	KafkaScanStats *stats = &state->stats;

	if (skipped > 0 && stats->skipped == 0)
	{
		int			len = pg_mbcliplen(rows->first_error,
									   strlen(rows->first_error),
									   sizeof(stats->first_error) - 1);

		stats->first_partition = rows->first_partition;
		stats->first_offset = rows->first_offset;
		memcpy(stats->first_error, rows->first_error, len);
		stats->first_error[len] = '\0';
	}
	stats->skipped += skipped;
}

/*
 * Says how many messages have given no row, and about the first one why; the
 * leader of a parallel scan does so for all.
 */
static void
warn_of_skipped(const KafkaScanState *state)
{
	KafkaScanStats all = state->stats;

	for (int i = 0; i < state->nworkers; i++)
		kafka_scan_add_stats(&all, &state->workers[i]);
	if (all.skipped == 0 || IsParallelWorker())
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg_plural("skipped %lld message of topic \"%s\"",
						   "skipped %lld messages of topic \"%s\"",
						   all.skipped, (long long) all.skipped,
						   state->options->topic),
			 errdetail("The first, in partition %d at offset %lld: %s",
					   all.first_partition, (long long) all.first_offset,
					   all.first_error)));
}
