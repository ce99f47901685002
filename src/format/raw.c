/*-------------------------------------------------------------------------
 *
 * raw.c
 *	  The format raw: a message's value is one column's value.
 *
 * NOTES
 *	  A bytea column takes the bytes as they are, any other type takes them as
 *	  UTF-8 text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "format/format.h"

static void raw_check(const KafkaRowMap *map);
static void *raw_begin(KafkaRowMap *map);
static void raw_start(KafkaRowMap *map, const KafkaMessage *message);
static bool raw_next(KafkaRowMap *map, Datum *values, bool *nulls);
static void raw_encode(KafkaRowMap *map, const Datum *values,
					   const bool *nulls, StringInfo out);

const KafkaFormat kafka_format_raw = {
	.name = "raw",
	.check = raw_check,
	.begin = raw_begin,
	.start = raw_start,
	.next = raw_next,
	.encode = raw_encode
};

/*
 * Refuses a second column, and rows.
 */
static void
raw_check(const KafkaRowMap *map)
{
	if (map->options->rows != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("format \"%s\" does not know the option \"rows\"",
						map->format->name)));
	if (map->npayload > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
				 errmsg("format \"raw\" cannot fill column \"%s\" beside column \"%s\"",
						map->payload[1]->name, map->payload[0]->name),
				 errdetail("The message's value is a single column.")));
}

/*
 * Needs no state.
 */
static void *
raw_begin(KafkaRowMap *map)
{
	return NULL;
}

/*
 * Has nothing to prepare.
 */
static void
raw_start(KafkaRowMap *map, const KafkaMessage *message)
{
}

/*
 * Hands out the value as the message's only row.
 */
static bool
raw_next(KafkaRowMap *map, Datum *values, bool *nulls)
{
	KafkaColumn *column = map->payload[0];

	if (map->row > 0)
		return false;
	if (column->bad)
		return true;
	values[column->index] = kafka_column_from_bytes(map, column,
													map->message->value,
													map->message->value_len);
	nulls[column->index] = false;
	return true;
}

/*
 * Appends the column's bytes.
 */
static void
raw_encode(KafkaRowMap *map, const Datum *values, const bool *nulls,
		   StringInfo out)
{
	KafkaColumn *column = map->payload[0];
	const char *bytes;
	size_t		len;

	if (nulls[column->index])	/* strict */
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cannot write a NULL in column \"%s\" of foreign table \"%s\"",
						column->name, map->relname),
				 errdetail("It would be a tombstone, which the option \"strict\" does not allow.")));
	bytes = kafka_column_to_bytes(column, values[column->index], &len);
	appendBinaryStringInfo(out, bytes, len);
}
