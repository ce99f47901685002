/*-------------------------------------------------------------------------
 *
 * rowmap_decode.c
 *	  Messages to rows of a foreign table.
 *
 * NOTES
 *	  A message without a value (a tombstone) is one row whose payload columns
 *	  are NULL, and no row where the option rows says that rows are elements
 *	  of the value, unless the caller wants to see it.
 *
 *	  What nobody needs is not decoded: where neither a payload column is
 *	  needed nor rows have to be counted, the value is not looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "format/format.h"
#include "format/parse.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* bytes that an error's message or detail may have */
#define ERROR_BYTES 400

static bool next_row(KafkaRowMap *map, Datum *values, bool *nulls);
static bool next_payload(KafkaRowMap *map, Datum *values, bool *nulls);
static void decode_key(KafkaRowMap *map, Datum *values, bool *nulls);
static bool next_tombstone(KafkaRowMap *map);
static bool metadata_value(KafkaRowMap *map, KafkaColumn *column,
						   Datum *value);
static bool timestamp_value(const KafkaMessage *message, int32 typmod,
							Datum *value);
static Datum string_value(KafkaRowMap *map, KafkaColumn *column,
						  const char *str);
static Datum integer_value(const KafkaColumn *column, int64 number);
static void finish_nulls(KafkaRowMap *map, const bool *nulls);
static void message_error_callback(void *arg);
static void shorten_error(MemoryContext context);
static const char *shorten(const char *str);

/*
 * Takes a message, which must stay valid until its last row is decoded.
 */
void
kafka_rowmap_start(KafkaRowMap *map, const KafkaMessage *message)
{
	ErrorContextCallback callback;
	MemoryContext old;

	MemoryContextReset(map->context);
	map->message = message;
	map->column = NULL;
	map->part = NULL;
	map->row = 0;
	map->done = false;
	if (!map->needs_payload || message->value == NULL)
		return;

	callback.callback = message_error_callback;
	callback.arg = map;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	old = MemoryContextSwitchTo(map->context);
	map->format->start(map, message);
	MemoryContextSwitchTo(old);
	error_context_stack = callback.previous;
}

/*
 * Fills values[] and nulls[] with the message's next row; false when it has
 * no more.
 *
 * Columns that are not needed are NULL.  Values are in the current memory
 * context.
 */
bool
kafka_rowmap_next(KafkaRowMap *map, Datum *values, bool *nulls)
{
	ErrorContextCallback callback;
	bool		found;

	callback.callback = message_error_callback;
	callback.arg = map;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	map->column = NULL;
	map->part = NULL;
	found = next_row(map, values, nulls);
	error_context_stack = callback.previous;
	return found;
}

/*
 * Does the work of kafka_rowmap_next().
 */
static bool
next_row(KafkaRowMap *map, Datum *values, bool *nulls)
{
	memset(nulls, true, map->natts);
	if (!map->broken && !next_payload(map, values, nulls))
		return false;
	if (map->key != NULL && map->key->needs_payload &&
		map->message->key != NULL && !map->key->broken)
		decode_key(map, values, nulls);
	for (int i = 0; i < map->nmetadata; i++)
	{
		KafkaColumn *column = map->metadata[i];

		if (!column->needed || column->bad)
			continue;
		map->column = column;
		nulls[column->index] =
			!metadata_value(map, column, &values[column->index]);
	}
	map->column = NULL;
	if (map->checks_nulls)
		finish_nulls(map, nulls);
	map->row++;
	map->done = map->done || map->one_row;
	return true;
}

/*
 * Decodes the columns that come from the key.
 */
static void
decode_key(KafkaRowMap *map, Datum *values, bool *nulls)
{
	KafkaRowMap *key = map->key;
	KafkaMessage message = *map->message;
	MemoryContext old;

	message.value = message.key;
	message.value_len = message.key_len;
	map->part = "key";
	key->message = &message;
	key->column = NULL;
	key->row = 0;
	old = MemoryContextSwitchTo(map->context);
	key->format->start(key, &message);
	MemoryContextSwitchTo(old);
	(void) key->format->next(key, values, nulls);
	key->message = NULL;
	map->part = NULL;
}

/*
 * Decodes the payload columns of the next row.
 */
static bool
next_payload(KafkaRowMap *map, Datum *values, bool *nulls)
{
	if (!map->needs_payload)
		return map->row == 0;
	if (map->message->value == NULL)
		return next_tombstone(map);
	return map->format->next(map, values, nulls);
}

/*
 * Tells whether a message without a value has a row left, whose payload
 * columns are NULL.
 */
static bool
next_tombstone(KafkaRowMap *map)
{
	if (map->options->strict && map->row == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("message has no value"),
				 errdetail("The option \"strict\" does not allow tombstones.")));
	return map->row == 0 && (map->options->rows == NULL || map->tombstones);
}

/*
 * Finds a metadata column's value; false where it is NULL.
 */
static bool
metadata_value(KafkaRowMap *map, KafkaColumn *column, Datum *value)
{
	const KafkaMessage *message = map->message;

	switch (column->options->source)
	{
		case KAFKA_COLUMN_TOPIC:
			*value = string_value(map, column, message->topic);
			return true;
		case KAFKA_COLUMN_TIMESTAMP_TYPE:
			if (message->timestamp_type == KAFKA_TIMESTAMP_NONE)
				return false;
			*value = string_value(map, column, message->timestamp_type ==
								  KAFKA_TIMESTAMP_CREATE_TIME ?
								  "CreateTime" : "LogAppendTime");
			return true;
		case KAFKA_COLUMN_LEADER_EPOCH:
			if (message->leader_epoch < 0)
				return false;
			*value = integer_value(column, message->leader_epoch);
			break;
		case KAFKA_COLUMN_ERROR:
			if (map->error == NULL)
				return false;
			*value = string_value(map, column, map->error);
			return true;
		case KAFKA_COLUMN_ORDINALITY:
			*value = integer_value(column, map->row + 1);
			break;
		case KAFKA_COLUMN_PARTITION:
			*value = integer_value(column, message->partition);
			break;
		case KAFKA_COLUMN_OFFSET:
			*value = integer_value(column, message->offset);
			break;
		case KAFKA_COLUMN_TIMESTAMP:
			if (!timestamp_value(message, column->typmod, value))
				return false;
			break;
		case KAFKA_COLUMN_KEY:
			if (message->key == NULL)
				return false;
			*value = kafka_column_from_bytes(map, column, message->key,
											 message->key_len);
			return true;
		case KAFKA_COLUMN_JUNK:
			if (map->error == NULL)
				return false;
			/* FALLTHROUGH */
		case KAFKA_COLUMN_VALUE:
			if (message->value == NULL)
				return false;
			*value = kafka_column_from_bytes(map, column, message->value,
											 message->value_len);
			return true;
		case KAFKA_COLUMN_HEADERS:
			*value = kafka_headers_from_message(map, column, message);
			return true;
		case KAFKA_COLUMN_HEADER:
			return kafka_header_from_message(map, column, message, value);
		default:
			return false;
	}
	kafka_column_check_domain(map, column, *value);
	return true;
}

/*
 * Fills in where a written row has gone: partition, offset and timestamp, NULL
 * where that is not known.
 */
void
kafka_rowmap_fill_delivery(KafkaRowMap *map, const KafkaMessage *message,
						   Datum *values, bool *nulls)
{
	map->message = message;
	for (int i = 0; i < map->nmetadata; i++)
	{
		KafkaColumn *column = map->metadata[i];
		KafkaColumnSource source = column->options->source;

		if ((source == KAFKA_COLUMN_PARTITION &&
			 message->partition == KAFKA_PARTITION_ANY) ||
			(source == KAFKA_COLUMN_OFFSET &&
			 message->offset == KAFKA_OFFSET_UNKNOWN))
			nulls[column->index] = true;
		else if (source == KAFKA_COLUMN_PARTITION ||
				 source == KAFKA_COLUMN_OFFSET ||
				 source == KAFKA_COLUMN_TIMESTAMP)
			nulls[column->index] =
				!metadata_value(map, column, &values[column->index]);
	}
}

/*
 * Converts the message's timestamp; false where it has none, or none that
 * PostgreSQL can hold.
 */
static bool
timestamp_value(const KafkaMessage *message, int32 typmod, Datum *value)
{
	TimestampTz result;

	if (!kafka_message_time(message, &result))
		return false;
	kafka_compat_adjust_timestamp(&result, typmod);
	*value = TimestampTzGetDatum(result);
	return true;
}

/*
 * Converts a NUL-terminated string to the column's type.
 */
static Datum
string_value(KafkaRowMap *map, KafkaColumn *column, const char *str)
{
	return kafka_column_from_text(map, column, str, strlen(str));
}

/*
 * Converts a number to the column's integer type.
 */
static Datum
integer_value(const KafkaColumn *column, int64 number)
{
	switch (column->base)
	{
		case INT8OID:
			return Int64GetDatum(number);
		case INT4OID:
			return Int32GetDatum((int32) number);
		default:
			if (number > PG_INT16_MAX)
				ereport(ERROR,
						(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						 errmsg("value \"%lld\" is out of range for type %s",
								(long long) number, "smallint")));
			return Int16GetDatum((int16) number);
	}
}

/*
 * Raises an error where a needed column is NULL and must not be.
 */
static void
finish_nulls(KafkaRowMap *map, const bool *nulls)
{
	for (int i = 0; i < map->ncolumns; i++)
	{
		KafkaColumn *column = &map->columns[i];

		if (!nulls[column->index] || !column->needed)
			continue;
		kafka_column_from_null(map, column);
		if (!column->not_null)
			continue;
		map->column = column;
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
						column->name, map->relname)));
	}
}

/*
 * Returns the column under conversion, or that was when an error was raised;
 * NULL if there is none.
 */
KafkaColumn *
kafka_rowmap_column(const KafkaRowMap *map)
{
	return map->part != NULL ? map->key->column : map->column;
}

/*
 * Forgets what could not be converted, for the next row.
 */
void
kafka_rowmap_forget_errors(KafkaRowMap *map)
{
	for (int i = 0; i < map->ncolumns; i++)
		map->columns[i].bad = false;
	map->broken = false;
	map->error = NULL;
	if (map->key != NULL)
		map->key->broken = false;
}

/*
 * Adds the message, and the column under conversion, to an error, and cuts
 * what the error repeats of the message.
 */
static void
message_error_callback(void *arg)
{
	const KafkaRowMap *map = arg;
	const KafkaMessage *message = map->message;
	const KafkaColumn *column = kafka_rowmap_column(map);

	if (column != NULL)
		errcontext("topic \"%s\", partition %d, offset %lld, column \"%s\"",
				   message->topic, message->partition,
				   (long long) message->offset, column->name);
	else if (map->part != NULL)
		errcontext("topic \"%s\", partition %d, offset %lld, %s",
				   message->topic, message->partition,
				   (long long) message->offset, map->part);
	else
		errcontext("topic \"%s\", partition %d, offset %lld",
				   message->topic, message->partition,
				   (long long) message->offset);
	shorten_error(map->context);
}

/*
 * Shortens what the error being raised says about data.
 */
static void
shorten_error(MemoryContext context)
{
	MemoryContext old;
	ErrorData  *error;

	if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
		return;
	old = MemoryContextSwitchTo(context);
	error = CopyErrorData();
	MemoryContextSwitchTo(old);
	if (error->message != NULL && strlen(error->message) > ERROR_BYTES)
		errmsg_internal("%s", shorten(error->message));
	if (error->detail != NULL && strlen(error->detail) > ERROR_BYTES)
		errdetail_internal("%s", shorten(error->detail));
	FreeErrorData(error);
}

/*
 * Returns the two ends of a long text, palloc'd.
 */
static const char *
shorten(const char *str)
{
	int			len = strlen(str);
	int			begin = pg_mbcliplen(str, len, ERROR_BYTES / 2);
	int			end = pg_mbcliplen(str, len, len - 40);

	return psprintf("%.*s ... %s", begin, str, str + end);
}
