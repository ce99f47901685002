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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "ingest/apply_rows.h"

static bool is_direct(const KafkaApplyRows *rows);
static bool decode_row(KafkaApplyRows *rows, Datum *values, bool *nulls);

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
	kafka_consumer_want_headers(apply->consumer, rows->map->needs_headers);
	rows->values = palloc0(sizeof(Datum) * rows->map->natts);
	rows->nulls = palloc0(sizeof(bool) * rows->map->natts);
	rows->econtext = CreateStandaloneExprContext();
	rows->direct = is_direct(rows);
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

	if (!decode_row(rows, rows->direct ? values : rows->values,
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
 * Fills the source's columns of the next row, in the current memory context.
 */
static bool
decode_row(KafkaApplyRows *rows, Datum *values, bool *nulls)
{
	KafkaApply *apply = rows->apply;
	bool		found = false;

	apply->decoding = true;
	for (;;)
	{
		if (rows->open)
			found = kafka_rowmap_next(rows->map, values, nulls);
		rows->open = found;
		if (found || rows->next == apply->last ||
			rows->count >= apply->subscription->batch_rows)
			break;
		kafka_rowmap_start(rows->map,
						   kafka_consumer_message(apply->consumer, rows->next));
		rows->next++;
		rows->open = true;
	}
	apply->decoding = false;
	return found;
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
