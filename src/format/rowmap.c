/*-------------------------------------------------------------------------
 *
 * rowmap.c
 *	  Messages to rows of a foreign table, and rows to messages.
 *
 * NOTES
 *	  The row map knows the table's columns and fills those that come from the
 *	  message's metadata; the format of the table's options does the rest.
 *
 *	  A message without a value (a tombstone) is one row whose payload columns
 *	  are NULL, and no row where the option rows says that rows are elements
 *	  of the value.  A row whose payload columns are all NULL is written as a
 *	  tombstone.
 *
 *	  What nobody needs is not decoded: where neither a payload column is
 *	  needed nor rows have to be counted, the value is not looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "compat.h"
#include "format/format.h"
#include "format/parse.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* bytes that an error's message or detail may have */
#define ERROR_BYTES 400

/* creation */
static const KafkaFormat *find_format(const char *name);
static KafkaRowMap *key_map(KafkaRowMap *map);
static void add_key_column(KafkaRowMap *key, KafkaColumn *column);
static void add_column(KafkaRowMap *map, Oid relid, Form_pg_attribute att,
					   bool needed);
static bool needs_errors(const KafkaRowMap *map);
static void need_all(KafkaRowMap *map);
static bool is_needed(AttrNumber attnum, const Bitmapset *needed);
static void check_column(const KafkaColumn *column);
static bool is_value(KafkaColumnSource source);
static void check_force(const KafkaRowMap *map, const KafkaColumn *column);
static bool may_have_epoch(KafkaColumnSource source);
static bool is_type_allowed(const KafkaColumn *column);
static bool is_text_type(Oid type);

/* decoding */
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

/* encoding */
static void encode_metadata(KafkaRowMap *map, KafkaColumn *column,
							Datum value, KafkaMessage *message);
static void encode_topic(KafkaRowMap *map, KafkaColumn *column, Datum value);
static int32 encode_partition(const KafkaColumn *column, Datum value);
static int64 encode_timestamp(const KafkaColumn *column, Datum value);
static void encode_headers(KafkaRowMap *map, const Datum *values,
						   const bool *nulls, KafkaMessage *message);
static void encode_payload(KafkaRowMap *map, const Datum *values,
						   const bool *nulls, const char *part,
						   const char **bytes, size_t *len);
static bool prints_names(Oid type);
static int	begin_portable_output(const KafkaRowMap *map);

static const KafkaFormat *const formats[] = {
	&kafka_format_json,
	&kafka_format_csv,
	&kafka_format_text,
	&kafka_format_raw
};

/*
 * Makes the row map of a foreign table in the current memory context.
 *
 * Raises an error where columns and options do not fit each other.
 */
KafkaRowMap *
kafka_rowmap_create(Relation rel, const KafkaTableOptions *options,
					const Bitmapset *needed)
{
	TupleDesc	desc = RelationGetDescr(rel);
	KafkaRowMap *map = palloc0(sizeof(KafkaRowMap));

	map->options = options;
	map->format = find_format(options->format);
	map->encoding = options->encoding != NULL ?
		pg_char_to_encoding(options->encoding) : PG_UTF8;
	map->on_error = options->on_error;
	map->relname = pstrdup(RelationGetRelationName(rel));
	map->natts = desc->natts;
	map->columns = palloc0(desc->natts * sizeof(KafkaColumn));
	map->payload = palloc_array(KafkaColumn *, desc->natts);
	map->metadata = palloc_array(KafkaColumn *, desc->natts);
	map->needs_payload = options->rows != NULL || map->format->many_rows;
	map->owner = CurrentMemoryContext;
	map->context = AllocSetContextCreate(CurrentMemoryContext,
										 "kafka message",
										 ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&map->scratch);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !kafka_compat_is_virtual(att))
			add_column(map, RelationGetRelid(rel), att,
					   is_needed(att->attnum, needed));
	}
	if (map->on_error == KAFKA_ON_ERROR_NULL && needs_errors(map))
		need_all(map);
	map->format->check(map);
	map->state = map->format->begin(map);
	if (map->key != NULL)
	{
		map->key->format->check(map->key);
		map->key->state = map->key->format->begin(map->key);
	}
	return map;
}

/*
 * Tells whether the caller wants to know what is wrong with rows.
 */
static bool
needs_errors(const KafkaRowMap *map)
{
	for (int i = 0; i < map->nmetadata; i++)
	{
		KafkaColumnSource source = map->metadata[i]->options->source;

		if (map->metadata[i]->needed &&
			(source == KAFKA_COLUMN_ERROR || source == KAFKA_COLUMN_JUNK))
			return true;
	}
	return false;
}

/*
 * Has all columns decoded.
 */
static void
need_all(KafkaRowMap *map)
{
	for (int i = 0; i < map->ncolumns; i++)
		map->columns[i].needed = true;
	map->needs_payload |= map->npayload > 0;
	map->needs_headers = true;
	if (map->key != NULL)
		map->key->needs_payload = true;
}

/*
 * Returns the row map of columns from the key, which it makes for the first.
 */
static KafkaRowMap *
key_map(KafkaRowMap *map)
{
	KafkaTableOptions *options;
	KafkaRowMap *key = map->key;

	if (key != NULL)
		return key;
	options = palloc0(sizeof(KafkaTableOptions));
	options->format = map->options->key_format;
	options->strict = map->options->strict;
	key = map->key = palloc0(sizeof(KafkaRowMap));
	key->options = options;
	key->format = find_format(options->format);
	key->encoding = PG_UTF8;
	key->relname = map->relname;
	key->natts = map->natts;
	key->payload = palloc_array(KafkaColumn *, map->natts);
	key->owner = map->owner;
	key->context = map->context;
	initStringInfo(&key->scratch);
	return key;
}

/*
 * Returns the format of that name.
 */
static const KafkaFormat *
find_format(const char *name)
{
	for (int i = 0; i < lengthof(formats); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("format \"%s\" does not exist", name)));
}

/*
 * Adds one live column of the table.
 */
static void
add_column(KafkaRowMap *map, Oid relid, Form_pg_attribute att, bool needed)
{
	KafkaColumn *column = &map->columns[map->ncolumns++];

	column->index = att->attnum - 1;
	column->name = pstrdup(NameStr(att->attname));
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->not_null = att->attnotnull;
	column->needed = needed;
	column->options = kafka_options_column(relid, att->attnum, column->name);
	column->encoding = is_value(column->options->source) ? map->encoding :
		PG_UTF8;
	kafka_column_lookup(column);
	check_column(column);
	check_force(map, column);
	map->prints_names |= prints_names(column->base);

	switch (column->options->source)
	{
		case KAFKA_COLUMN_PAYLOAD:
			map->payload[map->npayload++] = column;
			map->needs_payload |= needed;
			break;
		case KAFKA_COLUMN_KEY_FIELD:
			add_key_column(key_map(map), column);
			break;
		case KAFKA_COLUMN_HEADERS:
		case KAFKA_COLUMN_HEADER:
			map->needs_headers |= needed;
			map->metadata[map->nmetadata++] = column;
			break;
		default:
			map->metadata[map->nmetadata++] = column;
	}
}

/*
 * Adds a column to the map of the key.
 */
static void
add_key_column(KafkaRowMap *key, KafkaColumn *column)
{
	key->payload[key->npayload++] = column;
	key->needs_payload |= column->needed;
}

/*
 * Tells whether the caller of kafka_rowmap_create() wants a column.
 */
static bool
is_needed(AttrNumber attnum, const Bitmapset *needed)
{
	return needed == NULL ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed) ||
		bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, needed);
}

/*
 * Raises an error where a column's type does not fit what it is to hold.
 */
static void
check_column(const KafkaColumn *column)
{
	KafkaColumnSource source = column->options->source;

	if (source == KAFKA_COLUMN_HEADERS)
		kafka_headers_check_type(column);
	else if (!is_type_allowed(column))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" cannot hold a message's %s as type %s",
						column->name, kafka_column_source_name(source),
						format_type_with_typemod(column->type,
												 column->typmod))));
	if (column->options->epoch != KAFKA_EPOCH_NONE &&
		(!may_have_epoch(source) ||
		 (column->base != TIMESTAMPTZOID && column->base != TIMESTAMPOID)))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" cannot have the option \"epoch\"",
						column->name),
				 errdetail("The option is for timestamps from the message's value, its key or a header.")));
}

/*
 * Tells whether a source is the message's value or a part of it.
 */
static bool
is_value(KafkaColumnSource source)
{
	return source == KAFKA_COLUMN_PAYLOAD || source == KAFKA_COLUMN_VALUE ||
		source == KAFKA_COLUMN_JUNK;
}

/*
 * Raises an error where the column's options are for csv, and it is not.
 */
static void
check_force(const KafkaRowMap *map, const KafkaColumn *column)
{
	const KafkaColumnOptions *options = column->options;

	if ((options->force_null || options->force_not_null) &&
		(options->source != KAFKA_COLUMN_PAYLOAD ||
		 map->format != &kafka_format_csv))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("column \"%s\" cannot have the option \"%s\"",
						column->name, options->force_null ? "force_null" :
						"force_not_null"),
				 errdetail("The option is for fields of format \"csv\".")));
}

/*
 * Tells whether values of a source are decoded from text.
 */
static bool
may_have_epoch(KafkaColumnSource source)
{
	return source == KAFKA_COLUMN_PAYLOAD || source == KAFKA_COLUMN_HEADER ||
		source == KAFKA_COLUMN_KEY_FIELD;
}

/*
 * Tells whether a column has a type for its source, headers apart.
 */
static bool
is_type_allowed(const KafkaColumn *column)
{
	Oid			base = column->base;

	switch (column->options->source)
	{
		case KAFKA_COLUMN_TOPIC:
		case KAFKA_COLUMN_TIMESTAMP_TYPE:
		case KAFKA_COLUMN_ERROR:
			return is_text_type(base);
		case KAFKA_COLUMN_ORDINALITY:
			return base == INT4OID || base == INT8OID;
		case KAFKA_COLUMN_PARTITION:
		case KAFKA_COLUMN_LEADER_EPOCH:
			return base == INT4OID || base == INT2OID || base == INT8OID;
		case KAFKA_COLUMN_OFFSET:
			return base == INT8OID;
		case KAFKA_COLUMN_TIMESTAMP:
			return base == TIMESTAMPTZOID;
		case KAFKA_COLUMN_KEY:
		case KAFKA_COLUMN_VALUE:
		case KAFKA_COLUMN_JUNK:
			return is_text_type(base) || base == BYTEAOID ||
				base == JSONOID || base == JSONBOID;
		default:
			return true;
	}
}

/*
 * Tells whether a type is of the string category.
 */
static bool
is_text_type(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING;
}

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
	finish_nulls(map, nulls);
	map->row++;
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
	return map->row == 0 && map->options->rows == NULL;
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
 * Fills in where a written row has gone: partition, offset and timestamp.
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

		if (source == KAFKA_COLUMN_PARTITION ||
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
	const int64 epoch = KAFKA_EPOCH_SECONDS * 1000;
	int64		timestamp = message->timestamp;
	TimestampTz result;

	if (timestamp == KAFKA_TIMESTAMP_UNKNOWN ||
		timestamp < MIN_TIMESTAMP / 1000 + epoch ||
		timestamp >= END_TIMESTAMP / 1000 + epoch)
		return false;
	result = (timestamp - epoch) * 1000;
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

/*
 * Raises an error where the table's rows cannot become messages.
 */
void
kafka_rowmap_check_writable(KafkaRowMap *map)
{
	if (map->options->rows != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to foreign table \"%s\"", map->relname),
				 errdetail("Its option \"rows\" makes several rows of one message, so that a row by itself is no message.")));
	if (map->format->writable != NULL)
		map->format->writable(map);
	if (map->key != NULL && map->key->format->writable != NULL)
		map->key->format->writable(map->key);
}

/*
 * Makes the message of a row, given in full.
 *
 * Its bytes are palloc'd in the current memory context.
 */
void
kafka_rowmap_encode(KafkaRowMap *map, const Datum *values, const bool *nulls,
					KafkaMessage *message)
{
	int			nestlevel = begin_portable_output(map);

	memset(message, 0, sizeof(KafkaMessage));
	message->topic = map->options->topic;
	message->partition = KAFKA_PARTITION_ANY;
	message->offset = KAFKA_OFFSET_UNKNOWN;
	message->timestamp = KAFKA_TIMESTAMP_UNKNOWN;
	message->leader_epoch = -1;

	for (int i = 0; i < map->nmetadata; i++)
	{
		KafkaColumn *column = map->metadata[i];

		if (!nulls[column->index])
			encode_metadata(map, column, values[column->index], message);
	}
	encode_headers(map, values, nulls, message);
	encode_payload(map, values, nulls, "value", &message->value,
				   &message->value_len);
	if (map->key != NULL)
		encode_payload(map->key, values, nulls, "key", &message->key,
					   &message->key_len);
	if (nestlevel > 0)
		AtEOXact_GUC(true, nestlevel);
}

/*
 * Makes sure that what output functions print is read back as the same value
 * under any settings; returns the level for AtEOXact_GUC(), or 0.
 *
 * The settings are those of postgres_fdw; where they hold already, or do not
 * matter, nothing is changed.
 */
static int
begin_portable_output(const KafkaRowMap *map)
{
	int			nestlevel;

	if (DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
		extra_float_digits >= 1 && !map->prints_names)
		return 0;
	nestlevel = NewGUCNestLevel();
	if (map->prints_names)
		(void) set_config_option("search_path", "pg_catalog", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "3", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

/*
 * Tells whether values of a type may be printed as names that depend on
 * search_path: those of pg_class and its like, and whatever is not built in.
 */
static bool
prints_names(Oid type)
{
	Oid			element = get_element_type(type);

	switch (OidIsValid(element) ? element : type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return type >= FirstUnpinnedObjectId && !type_is_enum(type);
	}
}

/*
 * Puts a metadata column's value into the message.
 */
static void
encode_metadata(KafkaRowMap *map, KafkaColumn *column, Datum value,
				KafkaMessage *message)
{
	switch (column->options->source)
	{
		case KAFKA_COLUMN_TOPIC:
			encode_topic(map, column, value);
			break;
		case KAFKA_COLUMN_PARTITION:
			message->partition = encode_partition(column, value);
			break;
		case KAFKA_COLUMN_TIMESTAMP:
			message->timestamp = encode_timestamp(column, value);
			break;
		case KAFKA_COLUMN_KEY:
			message->key = kafka_column_to_bytes(column, value,
												 &message->key_len);
			break;
		case KAFKA_COLUMN_VALUE:
			message->value = kafka_column_to_bytes(column, value,
												   &message->value_len);
			break;
		case KAFKA_COLUMN_HEADERS:
			kafka_headers_to_message(column, value, message);
			break;
		default:
			break;
	}
}

/*
 * Raises an error where a row names another topic than the table's.
 */
static void
encode_topic(KafkaRowMap *map, KafkaColumn *column, Datum value)
{
	const char *topic = kafka_column_to_text(column, value);

	if (map->options->topic == NULL ||
		strcmp(topic, map->options->topic) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write to topic \"%s\" through foreign table \"%s\"",
						topic, map->relname)));
}

/*
 * Returns the partition that a row asks for.
 */
static int32
encode_partition(const KafkaColumn *column, Datum value)
{
	int64		partition;

	if (column->base == INT8OID)
		partition = DatumGetInt64(value);
	else if (column->base == INT4OID)
		partition = DatumGetInt32(value);
	else
		partition = DatumGetInt16(value);
	if (partition < 0 || partition > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %lld in column \"%s\" is out of range",
						(long long) partition, column->name)));
	return (int32) partition;
}

/*
 * Returns a row's timestamp in milliseconds since 1970.
 *
 * 0 is refused, for the client would send the current time instead.
 */
static int64
encode_timestamp(const KafkaColumn *column, Datum value)
{
	TimestampTz timestamp = DatumGetTimestampTz(value);

	if (TIMESTAMP_NOT_FINITE(timestamp) ||
		timestamp < -KAFKA_EPOCH_SECONDS * USECS_PER_SEC + 1000)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp in column \"%s\" is out of range for a message",
						column->name),
				 errdetail("A message's timestamp is finite and at least a millisecond after the beginning of 1970.")));

	/* floor, since C's division rounds towards zero */
	return (timestamp - (timestamp < 0 ? 999 : 0)) / 1000 +
		KAFKA_EPOCH_SECONDS * 1000;
}

/*
 * Adds the columns that are a header each, after a column of all headers.
 */
static void
encode_headers(KafkaRowMap *map, const Datum *values, const bool *nulls,
			   KafkaMessage *message)
{
	for (int i = 0; i < map->nmetadata; i++)
	{
		KafkaColumn *column = map->metadata[i];

		if (column->options->source == KAFKA_COLUMN_HEADER &&
			!nulls[column->index])
			kafka_header_to_message(column, values[column->index], message);
	}
}

/*
 * Encodes the payload columns of the message's value or key, unless a column
 * has given it as it is.
 *
 * No payload at all is NULL: a tombstone, or no key.
 */
static void
encode_payload(KafkaRowMap *map, const Datum *values, const bool *nulls,
			   const char *part, const char **bytes, size_t *len)
{
	StringInfoData out;
	int			i;

	for (i = 0; i < map->npayload; i++)
		if (!nulls[map->payload[i]->index])
			break;
	if (i == map->npayload)
		return;
	if (*bytes != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write both a message's %s and column \"%s\"",
						part, map->payload[i]->name),
				 errdetail("Columns other than metadata are encoded into the %s.", part)));

	initStringInfo(&out);
	map->format->encode(map, values, nulls, &out);
	*bytes = out.data;
	*len = out.len;
}
