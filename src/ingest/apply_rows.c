/*-------------------------------------------------------------------------
 *
 * apply_rows.c
 *	  The rows of some messages, for the ways to apply them.
 *
 * NOTES
 *	  Rows are decoded one at a time, in the memory context of who asks.  Only
 *	  an error raised meanwhile is about a single message for sure: an
 *	  insertion of many rows at once may fail for one that was decoded long
 *	  before.  The worker divides batches until it has the message.
 *
 *	  Where errors of decoding are to be caught, or a column that cannot be
 *	  converted is to be NULL, the rows of some messages are decoded ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "ingest/apply_rows.h"
#include "ingest/copy_source.h"

static bool is_direct(const KafkaApplyRows *rows);
static bool next_row(KafkaApplyRows *rows, Datum *values, bool *nulls);
static bool decode_row(KafkaApplyRows *rows, Datum *values, bool *nulls);
static bool start_message(KafkaApplyRows *rows, int i);
static bool next_row_ahead(KafkaApplyRows *rows, Datum *values, bool *nulls);
static bool decode_ahead(KafkaApplyRows *rows);
static void note_failed(void *arg, int i, ErrorData *error);
static bool may_go_on(const KafkaApplyRows *rows);

/*
 * kafka_apply_rows_begin
 *		Prepares to return rows of the target, with apply->columns filled.
 */
void
kafka_apply_rows_begin(KafkaApplyRows *rows, KafkaApply *apply)
{
	Bitmapset  *needed = NULL;
	ListCell   *lc;

	memset(rows, 0, sizeof(KafkaApplyRows));
	rows->apply = apply;
	rows->next = apply->first;
	rows->columns = palloc(sizeof(KafkaColumnMap *) *
						   Max(list_length(apply->columns), 1));
	foreach(lc, apply->columns)
	{
		KafkaColumnMap *column = lfirst(lc);

		rows->columns[rows->ncolumns++] = column;
		needed = bms_add_member(needed, column->source -
								FirstLowInvalidHeapAttributeNumber);
	}
	rows->map = kafka_rowmap_create(apply->source, apply->options, needed);
	rows->values = palloc0(sizeof(Datum) * rows->map->natts);
	rows->nulls = palloc0(sizeof(bool) * rows->map->natts);
	rows->econtext = CreateStandaloneExprContext();
	rows->direct = is_direct(rows);
	if (apply->careful || rows->map->on_error == KAFKA_ON_ERROR_NULL)
	{
		rows->ahead = kafka_rows_create(rows->map);
		rows->ahead->failed = note_failed;
		rows->ahead->failed_arg = rows;
	}
}

/*
 * Says whether every column has the same place and type in source and target,
 * so that a row can be decoded where it is wanted.
 */
static bool
is_direct(const KafkaApplyRows *rows)
{
	if (rows->map->natts > RelationGetDescr(rows->apply->target)->natts)
		return false;
	for (int i = 0; i < rows->ncolumns; i++)
		if (rows->columns[i]->coercion != NULL ||
			rows->columns[i]->source != rows->columns[i]->target)
			return false;
	return true;
}

/*
 * kafka_apply_rows_next
 *		Fills the target's columns of the next row, in the current memory
 *		context; false when there are no more.  A KafkaNextRow.
 */
bool
kafka_apply_rows_next(void *arg, Datum *values, bool *nulls)
{
	KafkaApplyRows *rows = arg;

	if (!next_row(rows, rows->direct ? values : rows->values,
				  rows->direct ? nulls : rows->nulls))
		return false;
	rows->count++;
	if (rows->direct)
		return true;
	for (int i = 0; i < rows->ncolumns; i++)
	{
		KafkaColumnMap *column = rows->columns[i];
		Datum		value = rows->values[column->source - 1];
		bool		isnull = rows->nulls[column->source - 1];

		if (column->coercion != NULL)
		{
			rows->econtext->caseValue_datum = value;
			rows->econtext->caseValue_isNull = isnull;
			value = ExecEvalExpr(column->coercion, rows->econtext, &isnull);
		}
		values[column->target - 1] = value;
		nulls[column->target - 1] = isnull;
	}
	return true;
}

/*
 * Fills the source's columns of the next row.
 */
static bool
next_row(KafkaApplyRows *rows, Datum *values, bool *nulls)
{
	bool		found;

	rows->apply->decoding = true;
	found = rows->ahead != NULL ? next_row_ahead(rows, values, nulls) :
		decode_row(rows, values, nulls);
	rows->apply->decoding = false;
	return found;
}

/*
 * Decodes the next row, in the current memory context.
 */
static bool
decode_row(KafkaApplyRows *rows, Datum *values, bool *nulls)
{
	bool		found = false;

	for (;;)
	{
		if (rows->open)
			found = kafka_rowmap_next(rows->map, values, nulls);
		rows->open = found;
		if (found || !may_go_on(rows))
			return found;
		rows->open = start_message(rows, rows->next++);
	}
}

/*
 * Says whether another message may be begun.
 */
static bool
may_go_on(const KafkaApplyRows *rows)
{
	return rows->next < rows->apply->last &&
		rows->count < rows->apply->subscription->batch_rows &&
		rows->failed < KAFKA_AHEAD_BAD;
}

/*
 * Begins with a message; false when it is to be passed by.
 */
static bool
start_message(KafkaApplyRows *rows, int i)
{
	KafkaBatch *batch = rows->apply->batch;

	if (kafka_batch_error(batch, i) != NULL)
		return false;
	rows->apply->reached = i + 1;
	kafka_rowmap_start(rows->map,
					   kafka_batch_message(batch, i,
										   rows->map->needs_headers));
	return true;
}

/*
 * Returns the next of the rows that are decoded ahead.
 */
static bool
next_row_ahead(KafkaApplyRows *rows, Datum *values, bool *nulls)
{
	while (!kafka_rows_next(rows->ahead, values, nulls))
		if (!decode_ahead(rows))
			return false;
	rows->apply->reached = rows->origins[kafka_rows_origin(rows->ahead)] + 1;
	return true;
}

/*
 * Decodes some messages; false when there are none left.
 */
static bool
decode_ahead(KafkaApplyRows *rows)
{
	const KafkaMessage *messages[KAFKA_AHEAD_MESSAGES];
	KafkaBatch *batch = rows->apply->batch;
	int64		bytes = 0;
	int			n = 0;

	if (!may_go_on(rows))
		return false;
	while (n < KAFKA_AHEAD_MESSAGES && bytes < KAFKA_AHEAD_BYTES &&
		   rows->next < rows->apply->last)
	{
		int			i = rows->next++;

		if (kafka_batch_error(batch, i) != NULL)
			continue;
		messages[n] = kafka_batch_message(batch, i, rows->map->needs_headers);
		bytes += messages[n]->key_len + messages[n]->value_len;
		rows->origins[n++] = i;
	}
	kafka_rows_decode(rows->ahead, messages, n);
	return true;
}

/*
 * Takes the error of a message that is decoded ahead.
 */
static void
note_failed(void *arg, int i, ErrorData *error)
{
	KafkaApplyRows *rows = arg;

	rows->apply->reached = rows->origins[i] + 1;
	if (!rows->apply->careful)
		ReThrowError(error);
	kafka_copy_forget_context(error);
	kafka_batch_set_error(rows->apply->batch, rows->origins[i], error);
	rows->failed++;
}

/*
 * kafka_apply_rows_message
 *		Returns the message, without headers, that the last row is of.
 */
const KafkaMessage *
kafka_apply_rows_message(KafkaApplyRows *rows)
{
	return kafka_batch_message(rows->apply->batch, rows->apply->reached - 1,
							   false);
}

/*
 * kafka_apply_rows_end
 *		Says, in apply->last, which messages have been used up.
 */
void
kafka_apply_rows_end(KafkaApplyRows *rows)
{
	rows->apply->last = rows->next;
	FreeExprContext(rows->econtext, true);
}
