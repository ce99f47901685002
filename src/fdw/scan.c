/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Scans a topic.
 *
 * NOTES
 *	  The snapshot, the end of every partition, is taken once, when the first
 *	  row is asked for, and kept for rescans: a scan reads nothing else.
 *
 *	  A consumer reads one range of each partition at a time.  Conditions that
 *	  leave several ranges of a partition are read in rounds.
 *
 *	  Everything lives in one context, whose deletion, at the end of the scan
 *	  or by an ERROR, closes the consumer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "client/consumer.h"
#include "compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "fdw/quals.h"
#include "fdw/scan_batch.h"
#include "fdw/snapshot.h"
#include "format/format.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

/* messages taken from the client at once */
#define BATCH_MESSAGES 2000

/* messages, and their bytes, that are decoded ahead to catch errors */
#define AHEAD_MESSAGES 500
#define AHEAD_BYTES 1000000

/* Offsets of all partitions of the snapshot at a time. */
typedef struct TimeOffsets
{
	int64		time;			/* ms since 1970 */
	int64	   *offsets;		/* as the snapshot's */
} TimeOffsets;

typedef struct KafkaScanState
{
	/* for the life of the scan */
	KafkaTableOptions *options;
	List	   *quals;			/* of KafkaQual */
	Bitmapset  *needed;			/* columns, as in the plan */
	MemoryContext context;
	struct KafkaBatchRows *batch;	/* NULL, or read in place of the topic */

	/* from the first row on */
	KafkaRowMap *map;
	KafkaRows  *rows;			/* NULL, or decoded ahead to catch errors */
	KafkaConsumer *consumer;
	KafkaPartitionOffsets *offsets; /* of the snapshot */
	int			noffsets;

	/* from start or rescan on */
	bool		started;
	MemoryContext plan_context; /* boxes and ranges */
	List	   *boxes;			/* of KafkaBox */
	List	   *times;			/* of TimeOffsets, as they were asked for */
	List	   *rounds;			/* lists of KafkaRange, one a partition */
	int			round;			/* the next one */
	bool		between;		/* ranges hold messages that no box does */

	/* of the batch */
	int			next;			/* message */
	bool		in_message;		/* the row map has a message */

	/* for EXPLAIN ANALYZE */
	int64		messages;
	int64		bytes;
} KafkaScanState;

static void open_scan(ForeignScanState *node, KafkaScanState *state);
static void start_scan(ForeignScanState *node, KafkaScanState *state);
static TupleTableSlot *next_row_ahead(KafkaScanState *state,
									  TupleTableSlot *slot);
static bool decode_ahead(KafkaScanState *state);
static bool next_message(KafkaScanState *state);
static const KafkaMessage *take_message(KafkaScanState *state);
static bool fetch_message(KafkaScanState *state);
static bool next_round(KafkaScanState *state);
static List *make_rounds(KafkaScanState *state);
static int64 offset_for_time(void *arg, int32 partition, int64 time);
static TimeOffsets *ask_time(KafkaScanState *state, int64 time);
static void warn_of_skipped(const KafkaScanState *state);
static void explain_ranges(List *boxes, StringInfo out);
static void explain_bounds(StringInfo out, const char *what,
						   const KafkaBox *box, KafkaQualAxis axis);
static void explain_quals(ForeignScanState *node, ExplainState *es);

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
	state->plan_context = AllocSetContextCreate(state->context,
												"kafka_fdw scan ranges",
												ALLOCSET_SMALL_SIZES);
	state->options = kafka_options_table(RelationGetRelid(rel), userid);
	state->quals = kafka_quals_prepare(plan->fdw_exprs, plan->scan.scanrelid,
									   &columns, &node->ss.ps);
	foreach(lc, list_nth(plan->fdw_private, KAFKA_SCAN_NEEDED))
		state->needed = bms_add_member(state->needed, lfirst_int(lc));
	if (state->needed == NULL)	/* count(*): not NULL, which is all */
		state->needed = bms_make_singleton(TableOidAttributeNumber -
										   FirstLowInvalidHeapAttributeNumber);
	if (state->options->on_error != KAFKA_ON_ERROR_ERROR)
		kafka_compat_allow_subtransactions(estate);
	state->batch = kafka_scan_batch_begin(node, state->options, state->needed);
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
	if (state->rows != NULL)
		return next_row_ahead(state, slot);

	for (;;)
	{
		if (state->in_message &&
			kafka_rowmap_next(state->map, slot->tts_values, slot->tts_isnull))
			return ExecStoreVirtualTuple(slot);
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
	if (state->rows != NULL && state->rows->skipped > 0)
		warn_of_skipped(state);
	MemoryContextDelete(state->context);
}

/*
 * kafkaExplainForeignScan
 *		Shows topic, pushed conditions and the ranges they leave; with ANALYZE
 *		also what was read.
 */
void
kafkaExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	KafkaScanState *state = node->fdw_state;
	StringInfoData ranges;

	ExplainPropertyText("Kafka Topic", state->options->topic, es);
	explain_quals(node, es);
	if (state->started || !kafka_quals_need_execution(state->quals))
	{
		List	   *boxes = state->boxes;

		if (!state->started)
			boxes = kafka_quals_boxes(state->quals, node->ss.ps.ps_ExprContext);
		initStringInfo(&ranges);
		explain_ranges(boxes, &ranges);
		ExplainPropertyText("Kafka Ranges", ranges.data, es);
	}
	if (es->analyze)
	{
		ExplainPropertyInteger("Kafka Messages", NULL, state->messages, es);
		ExplainPropertyInteger("Kafka Bytes", NULL, state->bytes, es);
		if (state->options->on_error == KAFKA_ON_ERROR_SKIP)
			ExplainPropertyInteger("Kafka Rows Skipped", NULL,
								   state->rows ? state->rows->skipped : 0,
								   es);
	}
}

/*
 * Connects and takes the snapshot.
 */
static void
open_scan(ForeignScanState *node, KafkaScanState *state)
{
	state->map = kafka_rowmap_create(node->ss.ss_currentRelation,
									 state->options, state->needed);
	if (state->map->on_error != KAFKA_ON_ERROR_ERROR)
		state->rows = kafka_rows_create(state->map);

	/*
	 * The event of a partition's end comes with an empty response only, and
	 * the next scan would wait behind a request that is still out.
	 */
	kafka_options_default(state->options->client, "fetch.wait.max.ms", "1");
	state->consumer = kafka_consumer_open(state->options->client);
	kafka_consumer_want_headers(state->consumer, state->map->needs_headers);
	state->noffsets = kafka_snapshot_take(state->consumer, state->options,
										  &state->offsets);
}

/*
 * Evaluates the conditions and begins with the first range.  Where they leave
 * nothing to read, Kafka is not asked at all.
 */
static void
start_scan(ForeignScanState *node, KafkaScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	MemoryContextReset(state->plan_context);
	state->boxes = NIL;
	state->times = NIL;
	state->rounds = NIL;
	state->round = 0;
	state->next = 0;
	state->in_message = false;
	if (state->consumer != NULL)
		kafka_consumer_stop(state->consumer);
	if (state->rows != NULL)
		kafka_rows_clear(state->rows);

	MemoryContextSwitchTo(state->plan_context);
	state->boxes = kafka_quals_boxes(state->quals, node->ss.ps.ps_ExprContext);
	if (state->boxes != NIL)
	{
		if (state->consumer == NULL)
		{
			MemoryContextSwitchTo(state->context);
			open_scan(node, state);
			MemoryContextSwitchTo(state->plan_context);
		}
		state->rounds = make_rounds(state);
		state->between = list_length(state->boxes) > 1;
	}
	MemoryContextSwitchTo(old);
	state->started = true;
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
	int64		start = state->bytes;
	int			n = 0;

	if (state->consumer == NULL || !fetch_message(state))
		return false;
	while (n < AHEAD_MESSAGES && state->bytes - start < AHEAD_BYTES &&
		   state->next < kafka_consumer_count(state->consumer))
	{
		messages[n] = take_message(state);
		if (messages[n] != NULL)
			n++;
	}
	kafka_rows_decode(state->rows, messages, n);
	return true;
}

/*
 * Gives the row map the next message; false at the end of the scan.
 */
static bool
next_message(KafkaScanState *state)
{
	const KafkaMessage *message;

	if (state->consumer == NULL)
		return false;
	do
	{
		if (!fetch_message(state))
			return false;
		message = take_message(state);
	} while (message == NULL);
	kafka_rowmap_start(state->map, message);
	return true;
}

/*
 * Takes the next message of the batch; NULL where nobody asks for it.
 */
static const KafkaMessage *
take_message(KafkaScanState *state)
{
	const KafkaMessage *message;

	message = kafka_consumer_message(state->consumer, state->next++);
	if (state->between && !kafka_quals_contain(state->boxes, message->partition,
											   message->offset))
		return NULL;
	state->messages++;
	state->bytes += message->key_len + message->value_len;
	return message;
}

/*
 * Makes sure that there is a message to be taken; false at the end.
 */
static bool
fetch_message(KafkaScanState *state)
{
	while (state->next >= kafka_consumer_count(state->consumer))
	{
		kafka_consumer_release(state->consumer);
		state->next = 0;
		if (kafka_consumer_finished(state->consumer))
		{
			if (!next_round(state))
				return false;
		}
		else
			kafka_consumer_poll(state->consumer, BATCH_MESSAGES, -1);
	}
	return true;
}

static bool
next_round(KafkaScanState *state)
{
	List	   *round;
	KafkaRange *ranges;
	int			n = 0;
	ListCell   *lc;

	if (state->round >= list_length(state->rounds))
		return false;
	round = list_nth(state->rounds, state->round++);
	ranges = palloc_array(KafkaRange, list_length(round));
	foreach(lc, round)
		ranges[n++] = *(KafkaRange *) lfirst(lc);
	kafka_consumer_start(state->consumer, ranges, n);
	pfree(ranges);
	return true;
}

/*
 * Distributes the ranges of all partitions: the first of each to the first
 * round, and so on.
 */
static List *
make_rounds(KafkaScanState *state)
{
	List	   *rounds = NIL;

	for (int i = 0; i < state->noffsets; i++)
	{
		List	   *ranges = kafka_quals_ranges(state->boxes,
												&state->offsets[i],
												offset_for_time, state);
		ListCell   *lc;

		foreach(lc, ranges)
		{
			int			n = foreach_current_index(lc);

			if (n >= list_length(rounds))
				rounds = lappend(rounds, list_make1(lfirst(lc)));
			else
			{
				ListCell   *round = list_nth_cell(rounds, n);

				lfirst(round) = lappend(lfirst(round), lfirst(lc));
			}
		}
	}
	return rounds;
}

/*
 * Returns the first offset of a partition at or after a time; each time is
 * asked for once, for all partitions.
 */
static int64
offset_for_time(void *arg, int32 partition, int64 time)
{
	KafkaScanState *state = arg;
	TimeOffsets *times = NULL;
	ListCell   *lc;

	foreach(lc, state->times)
	{
		if (((TimeOffsets *) lfirst(lc))->time == time)
			times = lfirst(lc);
	}
	if (times == NULL)
		times = ask_time(state, time);
	for (int i = 0; i < state->noffsets; i++)
		if (state->offsets[i].partition == partition)
			return times->offsets[i];
	return KAFKA_OFFSET_MAX;
}

static TimeOffsets *
ask_time(KafkaScanState *state, int64 time)
{
	TimeOffsets *times = palloc(sizeof(TimeOffsets));

	times->time = time;
	times->offsets = palloc_array(int64, state->noffsets);
	kafka_consumer_offsets_for_time(state->consumer, time, state->offsets,
									state->noffsets, times->offsets);
	state->times = lappend(state->times, times);
	return times;
}

/*
 * Says how many messages have given no row, and about the first one why.
 */
static void
warn_of_skipped(const KafkaScanState *state)
{
	const KafkaRows *rows = state->rows;

	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg_plural("skipped %lld message of topic \"%s\"",
						   "skipped %lld messages of topic \"%s\"",
						   rows->skipped, (long long) rows->skipped,
						   state->options->topic),
			 errdetail("The first, in partition %d at offset %lld: %s",
					   rows->first_partition, (long long) rows->first_offset,
					   rows->first_error)));
}

/*
 * Shows the pushed conditions as SQL.
 */
static void
explain_quals(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List	   *context;
	char	   *sql;

	if (plan->fdw_exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);
	sql = deparse_expression((Node *) make_ands_explicit(plan->fdw_exprs),
							 context, list_length(es->rtable) > 1, false);
	ExplainPropertyText("Kafka Pushed Down", sql, es);
}

static void
explain_ranges(List *boxes, StringInfo out)
{
	ListCell   *lc;

	if (boxes == NIL)
		appendStringInfoString(out, "none");
	foreach(lc, boxes)
	{
		KafkaBox   *box = lfirst(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(out, "; ");
		if (foreach_current_index(lc) == 10)
		{
			appendStringInfo(out, "%d more",
							 list_length(boxes) - foreach_current_index(lc));
			break;
		}
		explain_bounds(out, "partition", box, KAFKA_AXIS_PARTITION);
		appendStringInfoString(out, ", ");
		explain_bounds(out, "offset", box, KAFKA_AXIS_OFFSET);
		if (box->min[KAFKA_AXIS_TIME] != PG_INT64_MIN)
			appendStringInfo(out, ", timestamp >= " INT64_FORMAT " ms",
							 box->min[KAFKA_AXIS_TIME]);
	}
}

static void
explain_bounds(StringInfo out, const char *what, const KafkaBox *box,
			   KafkaQualAxis axis)
{
	int64		min = box->min[axis];
	int64		max = box->max[axis];

	if (min == PG_INT64_MIN && max == PG_INT64_MAX)
		appendStringInfo(out, "all %ss", what);
	else if (min == max)
		appendStringInfo(out, "%s " INT64_FORMAT, what, min);
	else if (max == PG_INT64_MAX)
		appendStringInfo(out, "%s >= " INT64_FORMAT, what, min);
	else if (min == PG_INT64_MIN)
		appendStringInfo(out, "%s <= " INT64_FORMAT, what, max);
	else
		appendStringInfo(out, "%s " INT64_FORMAT " to " INT64_FORMAT, what,
						 min, max);
}
