/*-------------------------------------------------------------------------
 *
 * batch_rows.c
 *	  The rows of some messages of a batch.
 *
 * NOTES
 *	  Messages that are known to be bad are passed by.
 *
 *	  Rows are decoded one at a time, in the memory context of who asks.  Where
 *	  errors are to be caught, or a column that cannot be converted is to be
 *	  NULL, the rows of some messages are decoded ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "format/batch_rows.h"

static bool decode_row(KafkaBatchRows *rows, bool more, Datum *values,
					   bool *nulls);
static bool start_message(KafkaBatchRows *rows, int i);
static bool next_row_ahead(KafkaBatchRows *rows, bool more, Datum *values,
						   bool *nulls);
static void decode_ahead(KafkaBatchRows *rows);
static void note_failed(void *arg, int i, ErrorData *error);

/*
 * kafka_batch_rows_create
 *		Prepares to return the rows of messages [first, last), in the current
 *		memory context.
 *
 * With careful, a message that cannot be decoded becomes a bad one of the
 * batch, and has no rows.
 */
KafkaBatchRows *
kafka_batch_rows_create(KafkaRowMap *map, KafkaBatch *batch, int first,
						int last, bool careful)
{
	KafkaBatchRows *rows = palloc0(sizeof(KafkaBatchRows));

	rows->map = map;
	rows->batch = batch;
	rows->first = first;
	rows->next = first;
	rows->last = last;
	rows->careful = careful;
	if (careful || map->on_error == KAFKA_ON_ERROR_NULL)
	{
		rows->ahead = kafka_rows_create(map);
		rows->ahead->failed = note_failed;
		rows->ahead->failed_arg = rows;
	}
	return rows;
}

/*
 * kafka_batch_rows_restart
 *		Begins again.
 */
void
kafka_batch_rows_restart(KafkaBatchRows *rows)
{
	rows->next = rows->first;
	rows->open = false;
	if (rows->ahead != NULL)
		kafka_rows_clear(rows->ahead);
}

/*
 * kafka_batch_rows_next
 *		Fills the columns of the next row; false when there are no more, or
 *		when that needs another message and more is false.
 *
 * An ERROR is about the message before batch->reached.
 */
bool
kafka_batch_rows_next(KafkaBatchRows *rows, bool more, Datum *values,
					  bool *nulls)
{
	bool		found;

	rows->batch->decoding = true;
	found = rows->ahead != NULL ? next_row_ahead(rows, more, values, nulls) :
		decode_row(rows, more, values, nulls);
	rows->batch->decoding = false;
	rows->batch->ended = !found;
	return found;
}

/*
 * Decodes the next row, in the current memory context.
 */
static bool
decode_row(KafkaBatchRows *rows, bool more, Datum *values, bool *nulls)
{
	bool		found = false;

	for (;;)
	{
		if (rows->open)
			found = kafka_rowmap_next(rows->map, values, nulls);
		rows->open = found && !rows->map->done;
		if (found || !more || rows->next == rows->last)
			return found;
		rows->open = start_message(rows, rows->next++);
	}
}

/*
 * Begins with a message; false when it is to be passed by.
 */
static bool
start_message(KafkaBatchRows *rows, int i)
{
	KafkaBatch *batch = rows->batch;

	if (kafka_batch_error(batch, i) != NULL)
		return false;
	batch->reached = i + 1;
	kafka_rowmap_start(rows->map,
					   kafka_batch_message(batch, i,
										   rows->map->needs_headers));
	return true;
}

/*
 * Returns the next of the rows that are decoded ahead.
 */
static bool
next_row_ahead(KafkaBatchRows *rows, bool more, Datum *values, bool *nulls)
{
	while (!kafka_rows_next(rows->ahead, values, nulls))
	{
		if (!more || rows->next == rows->last)
			return false;
		decode_ahead(rows);
	}
	rows->batch->reached = rows->origins[kafka_rows_origin(rows->ahead)] + 1;
	return true;
}

/*
 * Decodes some messages.
 */
static void
decode_ahead(KafkaBatchRows *rows)
{
	const KafkaMessage *messages[KAFKA_AHEAD_MESSAGES];
	KafkaBatch *batch = rows->batch;
	int64		bytes = 0;
	int			n = 0;

	while (n < KAFKA_AHEAD_MESSAGES && bytes < KAFKA_AHEAD_BYTES &&
		   rows->next < rows->last)
	{
		int			i = rows->next++;

		if (kafka_batch_error(batch, i) != NULL)
			continue;
		messages[n] = kafka_batch_message(batch, i, rows->map->needs_headers);
		bytes += messages[n]->key_len + messages[n]->value_len;
		rows->origins[n++] = i;
	}
	kafka_rows_decode(rows->ahead, messages, n);
}

/*
 * Takes the error of a message that is decoded ahead.
 */
static void
note_failed(void *arg, int i, ErrorData *error)
{
	KafkaBatchRows *rows = arg;

	rows->batch->reached = rows->origins[i] + 1;
	if (!rows->careful)
		ReThrowError(error);
	kafka_batch_set_error(rows->batch, rows->origins[i], error);
	rows->failed++;
}
