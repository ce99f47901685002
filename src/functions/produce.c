/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  SQL functions that send messages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/producer.h"
#include "fmgr.h"
#include "format/format.h"
#include "funcapi.h"
#include "functions/server.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kafka_produce_now);

/* ms from 1970 to 2000, where PostgreSQL's timestamps begin */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400000)

static void set_text(const text *value, const char **data, size_t *len);
static int64 timestamp_ms(TimestampTz timestamp);

/*
 * kafka.produce_now(server text, topic text, value text, key text,
 *					 headers jsonb, partition int, "timestamp" timestamptz)
 *		Sends one message, waits for its acknowledgement, and returns where it
 *		is.
 *
 * NULL value: a tombstone; NULL key: no key; NULL partition: the partitioner
 * chooses; NULL timestamp: now.
 */
Datum
kafka_produce_now(PG_FUNCTION_ARGS)
{
	KafkaClientOptions *options;
	KafkaProducer *producer;
	KafkaMessage message = {0};
	KafkaDelivery *delivery = palloc0(sizeof(KafkaDelivery));
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server and topic must not be null")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	message.topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		set_text(PG_GETARG_TEXT_PP(2), &message.value, &message.value_len);
	if (!PG_ARGISNULL(3))
		set_text(PG_GETARG_TEXT_PP(3), &message.key, &message.key_len);
	if (!PG_ARGISNULL(4))
	{
		KafkaHeader *headers;

		message.nheaders = kafka_headers_from_jsonb(PG_GETARG_JSONB_P(4),
													&headers);
		message.headers = headers;
	}
	message.partition = KAFKA_PARTITION_ANY;
	if (!PG_ARGISNULL(5))
		message.partition = PG_GETARG_INT32(5);
	if (message.partition < 0 && !PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition must not be negative")));
	message.timestamp = PG_ARGISNULL(6) ? KAFKA_TIMESTAMP_UNKNOWN :
		timestamp_ms(PG_GETARG_TIMESTAMPTZ(6));

	options = kafka_server_options(PG_GETARG_TEXT_PP(0));
	kafka_options_set(options, "linger.ms", "0");
	producer = kafka_producer_open(options);
	kafka_producer_send(producer, &message, delivery);
	kafka_producer_flush(producer);
	kafka_producer_close(producer);

	values[0] = Int32GetDatum(delivery->partition);
	values[1] = Int64GetDatum(delivery->offset);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * Sets a key or value to a text in UTF-8; empty is not NULL.
 */
static void
set_text(const text *value, const char **data, size_t *len)
{
	char	   *bytes = VARDATA_ANY(value);
	int			size = VARSIZE_ANY_EXHDR(value);

	*data = (char *) pg_do_encoding_conversion((unsigned char *) bytes,
											   size,
											   GetDatabaseEncoding(), PG_UTF8);
	*len = *data == bytes ? size : strlen(*data);
}

/*
 * Returns a timestamp in ms since 1970.
 */
static int64
timestamp_ms(TimestampTz timestamp)
{
	int64		ms;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of a message must be finite")));
	ms = timestamp / 1000 - (timestamp % 1000 < 0 ? 1 : 0) + EPOCH_MS;
	if (ms <= 0)				/* 0 is "now" to librdkafka */
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of a message must be after 1970-01-01 00:00:00 UTC")));
	return ms;
}
