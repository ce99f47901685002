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
#include "compat.h"
#include "executor/executor.h"
#include "ingest/apply_rows.h"
#include "utils/memutils.h"

static bool is_direct(const KafkaApplyRows *rows);
static bool extend(KafkaApplyRows *rows);

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
	rows->map->tombstones = apply->subscription->mode == KAFKA_MODE_UPSERT;
	rows->values = palloc0(sizeof(Datum) * rows->map->natts);
	rows->nulls = palloc0(sizeof(bool) * rows->map->natts);
	rows->econtext = CreateStandaloneExprContext();
	rows->direct = is_direct(rows);
	rows->rows = kafka_batch_rows_create(rows->map, apply->batch, apply->first,
										 apply->last, apply->careful);
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
	bool		more = rows->count < rows->apply->subscription->batch_rows &&
	rows->rows->failed < KAFKA_SEARCH_BAD;

	while (!kafka_batch_rows_next(rows->rows, more,
								  rows->direct ? values : rows->values,
								  rows->direct ? nulls : rows->nulls))
		if (!more || !extend(rows))
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
 * Goes on with messages that have come meanwhile, if there are any.
 */
static bool
extend(KafkaApplyRows *rows)
{
	KafkaApply *apply = rows->apply;

	if (apply->extend == NULL || !apply->extend(apply->extend_arg))
		return false;
	rows->rows->last = apply->last;
	return true;
}

/*
 * kafka_apply_rows_message
 *		Returns the message, without headers, that the last row is of.
 */
const KafkaMessage *
kafka_apply_rows_message(KafkaApplyRows *rows)
{
	return kafka_batch_message(rows->apply->batch,
							   rows->apply->batch->reached - 1, false);
}

/*
 * kafka_apply_rows_end
 *		Says, in apply->last, which messages have been used up.
 */
void
kafka_apply_rows_end(KafkaApplyRows *rows)
{
	rows->apply->last = rows->rows->next;
	FreeExprContext(rows->econtext, true);
}

/*
 * kafka_apply_tuples_begin
 *		Prepares to return rows of the columns only, with room for some values
 *		more behind them.
 */
void
kafka_apply_tuples_begin(KafkaApplyTuples *tuples, KafkaApply *apply,
						 int extra)
{
	int			natts = RelationGetDescr(apply->target)->natts;
	int			n = list_length(apply->columns) + extra;

	kafka_apply_rows_begin(&tuples->rows, apply);
	tuples->context = AllocSetContextCreate(CurrentMemoryContext,
											"kafka row", ALLOCSET_DEFAULT_SIZES);
	tuples->row = palloc0_array(Datum, natts);
	tuples->row_nulls = palloc0_array(bool, natts);
	tuples->values = palloc0_array(Datum, n);
	tuples->nulls = palloc0_array(bool, n);
}

/*
 * kafka_apply_tuples_next
 *		Fills values and nulls with the next row, valid until the one after it;
 *		false when there are no more.
 */
bool
kafka_apply_tuples_next(KafkaApplyTuples *tuples)
{
	KafkaApplyRows *rows = &tuples->rows;
	MemoryContext old;
	bool		found;

	MemoryContextReset(tuples->context);
	old = MemoryContextSwitchTo(tuples->context);
	found = kafka_apply_rows_next(rows, tuples->row, tuples->row_nulls);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < rows->ncolumns && found; i++)
	{
		tuples->values[i] = tuples->row[rows->columns[i]->target - 1];
		tuples->nulls[i] = tuples->row_nulls[rows->columns[i]->target - 1];
	}
	return found;
}

void
kafka_apply_tuples_end(KafkaApplyTuples *tuples)
{
	kafka_apply_rows_end(&tuples->rows);
	MemoryContextDelete(tuples->context);
}
