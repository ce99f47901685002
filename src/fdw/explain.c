/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  Shows what a scan reads.
 *
 * NOTES
 *	  EXPLAIN does not talk to Kafka: it shows the pushed conditions and what
 *	  they leave.  With ANALYZE it shows what has been read, by all processes
 *	  of a parallel scan together and, with VERBOSE, by each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "fdw/quals.h"
#include "fdw/scan.h"
#include "nodes/makefuncs.h"
#include "utils/ruleutils.h"

/* boxes and ranges that are shown */
#define MAX_SHOWN 10

static void explain_quals(ForeignScanState *node, ExplainState *es);
static void explain_boxes(ForeignScanState *node, ExplainState *es);
static void append_box(StringInfo out, const KafkaBox *box);
static void append_topics(StringInfo out, const KafkaTopicBounds *bounds);
static void append_bounds(StringInfo out, const char *what,
						  const KafkaBox *box, KafkaQualAxis axis);
static void append_times(StringInfo out, const KafkaBox *box);
static void explain_work(const KafkaScanState *state, ExplainState *es);
static void explain_stats(const KafkaScanState *state,
						  const KafkaScanStats *stats, ExplainState *es);
static void explain_processes(const KafkaScanState *state, ExplainState *es);

/*
 * kafkaExplainForeignScan
 *		Shows topic, pushed conditions and the ranges they leave; with ANALYZE
 *		also what was read.
 */
void
kafkaExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	KafkaScanState *state = node->fdw_state;
	KafkaScanStats all = state->stats;

	ExplainPropertyText("Kafka Topic", state->options->topic, es);
	explain_quals(node, es);
	explain_boxes(node, es);
	if (!es->analyze)
		return;
	for (int i = 0; i < state->nworkers; i++)
		kafka_scan_add_stats(&all, &state->workers[i]);
	if (es->verbose)
		explain_work(state, es);
	explain_stats(state, &all, es);
	if (es->verbose && state->nworkers > 0)
		explain_processes(state, es);
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

/*
 * Shows the boxes that the conditions have become, or become now, unless that
 * depends on what runs, and so on which of several runs it is.
 */
static void
explain_boxes(ForeignScanState *node, ExplainState *es)
{
	KafkaScanState *state = node->fdw_state;
	List	   *boxes = state->boxes;
	StringInfoData out;
	ListCell   *lc;

	if (kafka_quals_need_execution(state->quals) &&
		(!state->evaluated || node->ss.ps.instrument == NULL ||
		 node->ss.ps.instrument->nloops > 1))
		return;
	if (!state->evaluated)
		boxes = kafka_quals_boxes(state->quals, node->ss.ps.ps_ExprContext);
	initStringInfo(&out);
	if (boxes == NIL)
		appendStringInfoString(&out, "none");
	foreach(lc, boxes)
	{
		int			i = foreach_current_index(lc);

		if (i > 0)
			appendStringInfoString(&out, "; ");
		if (i == MAX_SHOWN)
		{
			appendStringInfo(&out, "%d more", list_length(boxes) - i);
			break;
		}
		append_box(&out, lfirst(lc));
	}
	ExplainPropertyText("Kafka Ranges", out.data, es);
}

static void
append_box(StringInfo out, const KafkaBox *box)
{
	append_topics(out, &box->topic);
	append_bounds(out, "partition", box, KAFKA_AXIS_PARTITION);
	appendStringInfoString(out, ", ");
	append_bounds(out, "offset", box, KAFKA_AXIS_OFFSET);
	append_times(out, box);
}

static void
append_topics(StringInfo out, const KafkaTopicBounds *bounds)
{
	if (bounds->min == NULL && bounds->max == NULL)
		return;
	if (bounds->min != NULL && bounds->max != NULL &&
		strcmp(bounds->min, bounds->max) == 0)
		appendStringInfo(out, "topic \"%s\", ", bounds->min);
	else
	{
		appendStringInfoString(out, "topic");
		if (bounds->min != NULL)
			appendStringInfo(out, " %s \"%s\"", bounds->above ? ">" : ">=",
							 bounds->min);
		if (bounds->min != NULL && bounds->max != NULL)
			appendStringInfoString(out, " and");
		if (bounds->max != NULL)
			appendStringInfo(out, " %s \"%s\"", bounds->below ? "<" : "<=",
							 bounds->max);
		appendStringInfoString(out, ", ");
	}
}

static void
append_bounds(StringInfo out, const char *what, const KafkaBox *box,
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

static void
append_times(StringInfo out, const KafkaBox *box)
{
	if (box->min[KAFKA_AXIS_TIME] != PG_INT64_MIN)
		appendStringInfo(out, ", timestamp >= " INT64_FORMAT " ms",
						 box->min[KAFKA_AXIS_TIME]);
	if (box->max[KAFKA_AXIS_TIME] != PG_INT64_MAX)
		appendStringInfo(out, ", timestamp <= " INT64_FORMAT " ms if log append time",
						 box->max[KAFKA_AXIS_TIME]);
}

/*
 * Shows the partitions and what was to be read of them.
 */
static void
explain_work(const KafkaScanState *state, ExplainState *es)
{
	const KafkaWork *work = state->summary;
	List	   *ranges = NIL;

	if (work == NULL)
		return;
	ExplainPropertyInteger("Kafka Partitions", NULL, work->npartitions, es);
	for (int i = 0; i < work->nchunks; i++)
	{
		const KafkaChunk *chunk = &work->chunks[i];

		if (i == MAX_SHOWN)
		{
			ranges = lappend(ranges, psprintf("%d more", work->nchunks - i));
			break;
		}
		ranges = lappend(ranges, psprintf("%s[%d] " INT64_FORMAT " to " INT64_FORMAT,
										  kafka_work_topic(work, chunk),
										  chunk->partition, chunk->start,
										  chunk->end - 1));
	}
	ExplainPropertyList("Kafka Offsets", ranges, es);
}

static void
explain_stats(const KafkaScanState *state, const KafkaScanStats *stats,
			  ExplainState *es)
{
	if (state->nworkers > 0)
		ExplainPropertyInteger("Kafka Chunks", NULL, stats->chunks, es);
	ExplainPropertyInteger("Kafka Messages", NULL, stats->messages, es);
	ExplainPropertyInteger("Kafka Bytes", NULL, stats->bytes, es);
	if (state->options->on_error == KAFKA_ON_ERROR_SKIP)
		ExplainPropertyInteger("Kafka Rows Skipped", NULL, stats->skipped, es);
	if (state->timing)
	{
		ExplainPropertyFloat("Kafka Wait Time", "ms", stats->wait_time, 3, es);
		ExplainPropertyFloat("Kafka Decode Time", "ms", stats->decode_time, 3,
							 es);
	}
}

/*
 * Shows what each process of a parallel scan has read, as core does of its
 * nodes: a line or an object each.
 */
static void
explain_processes(const KafkaScanState *state, ExplainState *es)
{
	ExplainOpenGroup("Kafka Processes", "Kafka Processes", false, es);
	for (int i = -1; i < state->nworkers; i++)
	{
		const KafkaScanStats *stats = i < 0 ? &state->stats : &state->workers[i];
		char	   *name = i < 0 ? "leader" : psprintf("worker %d", i);

		if (es->format == EXPLAIN_FORMAT_TEXT)
			ExplainPropertyText(psprintf("Kafka %s", name),
								psprintf("chunks=" INT64_FORMAT " messages=" INT64_FORMAT " bytes=" INT64_FORMAT,
										 stats->chunks, stats->messages,
										 stats->bytes), es);
		else
		{
			ExplainOpenGroup("Kafka Process", NULL, true, es);
			ExplainPropertyText("Process", name, es);
			explain_stats(state, stats, es);
			ExplainCloseGroup("Kafka Process", NULL, true, es);
		}
	}
	ExplainCloseGroup("Kafka Processes", "Kafka Processes", false, es);
}
