/*-------------------------------------------------------------------------
 *
 * rowmap_encode.c
 *	  Rows of a foreign table to messages.
 *
 * NOTES
 *	  A row whose payload columns are all NULL is written as a tombstone, a
 *	  message without a value, unless the option strict forbids them.
 *
 *	  What is written is text that is read back as the same value, whatever
 *	  the session's settings are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "format/format.h"
#include "format/parse.h"
#include "miscadmin.h"
#include "topics.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

static void encode_metadata(KafkaRowMap *map, KafkaColumn *column,
							Datum value, KafkaMessage *message);
static const char *encode_topic(KafkaRowMap *map, KafkaColumn *column, Datum value);
static int32 encode_partition(const KafkaColumn *column, Datum value);
static int64 encode_timestamp(const KafkaColumn *column, Datum value);
static void encode_headers(KafkaRowMap *map, const Datum *values,
						   const bool *nulls, KafkaMessage *message);
static void encode_payload(KafkaRowMap *map, const Datum *values,
						   const bool *nulls, bool is_key,
						   const char **bytes, size_t *len);

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
	int			nestlevel = kafka_output_begin(map->prints_names);

	memset(message, 0, sizeof(KafkaMessage));
	if (kafka_topics_is_single(map->options->topic))
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
	if (message->topic == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("row for foreign table \"%s\" does not say which topic it is for",
						map->relname),
				 errdetail("The table is of several topics, \"%s\".",
						   map->options->topic),
				 errhint("Give the column of the topic, such as \"_topic\", a value.")));
	encode_headers(map, values, nulls, message);
	encode_payload(map, values, nulls, false, &message->value,
				   &message->value_len);
	if (map->key != NULL)
		encode_payload(map->key, values, nulls, true, &message->key,
					   &message->key_len);
	if (nestlevel > 0)
		AtEOXact_GUC(true, nestlevel);
}

/*
 * kafka_output_begin
 *		Makes sure that what output functions print is read back as the same
 *		value under any settings; returns the level for AtEOXact_GUC(), or 0.
 *
 * prints_names: what is printed may depend on search_path.  The settings are
 * those of postgres_fdw; where they hold already, or do not matter, nothing is
 * changed.
 */
int
kafka_output_begin(bool prints_names)
{
	static const char *const settings[][2] = {
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"extra_float_digits", "3"},
		{"bytea_output", "hex"},
		{"search_path", "pg_catalog"},
	};
	int			nestlevel;

	if (DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
		extra_float_digits >= 1 && bytea_output == BYTEA_OUTPUT_HEX &&
		!prints_names)
		return 0;
	nestlevel = NewGUCNestLevel();
	for (int i = 0; i < lengthof(settings) - (prints_names ? 0 : 1); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	return nestlevel;
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
			message->topic = encode_topic(map, column, value);
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
 * Returns the topic that a row names, which has to be one of the table's.
 */
static const char *
encode_topic(KafkaRowMap *map, KafkaColumn *column, Datum value)
{
	const char *topic = kafka_column_to_text(column, value);

	if (!kafka_topics_include(map->options->topic, topic))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write to topic \"%s\" through foreign table \"%s\"",
						topic, map->relname)));
	return topic;
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
 * No payload at all is NULL: a tombstone, or no key.  Where the option strict
 * does not allow tombstones it is a row of NULLs.
 */
static void
encode_payload(KafkaRowMap *map, const Datum *values, const bool *nulls,
			   bool is_key, const char **bytes, size_t *len)
{
	StringInfoData out;
	int			i;

	for (i = 0; i < map->npayload; i++)
		if (!nulls[map->payload[i]->index])
			break;
	if (i == map->npayload &&
		(map->npayload == 0 || *bytes != NULL || is_key ||
		 !map->options->strict))
		return;
	if (*bytes != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write both a message's %s and column \"%s\"",
						is_key ? "key" : "value", map->payload[i]->name),
				 errdetail("Columns other than metadata are encoded into the %s.",
						   is_key ? "key" : "value")));

	initStringInfo(&out);
	map->format->encode(map, values, nulls, &out);
	*bytes = out.data;
	*len = out.len;
}
