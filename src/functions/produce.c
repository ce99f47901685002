/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  SQL functions that send messages.
 *
 * NOTES
 *	  Both functions have an overload for each type of value, so that a literal
 *	  and a parameter without a type are text.  The key is of any type; it is
 *	  "anycompatible" for the same reason.  The headers are "any", because no
 *	  overload of jsonb and kafka.header[] would take a literal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "client/commit.h"
#include "client/producer.h"
#include "fmgr.h"
#include "format/format.h"
#include "funcapi.h"
#include "functions/produce.h"
#include "functions/server.h"
#include "functions/value.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kafka_produce);
PG_FUNCTION_INFO_V1(kafka_produce_now);

/* ms from 1970 to 2000, where PostgreSQL's timestamps begin */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400000)

/* Positions of the arguments. */
typedef enum ProduceArg
{
	ARG_SERVER,
	ARG_TOPIC,
	ARG_VALUE,
	ARG_KEY,
	ARG_HEADERS,
	ARG_PARTITION,
	ARG_TIMESTAMP
} ProduceArg;

static void take_message(FunctionCallInfo fcinfo, KafkaMessage *message);
static const char *take_bytes(FunctionCallInfo fcinfo, ProduceArg arg,
							  size_t *len);
static int32 take_partition(FunctionCallInfo fcinfo);
static int	take_headers(FunctionCallInfo fcinfo, KafkaHeader **headers);
static int64 timestamp_ms(TimestampTz timestamp);
static bool delivery_timestamp(const KafkaDelivery *delivery, Datum *value);

/*
 * kafka.produce(server, topic, value, key, headers, partition, "timestamp")
 *		Sends one message, when the transaction commits or at once, as the
 *		server's delivery says.
 *
 * NULL value: a tombstone; NULL key: no key; NULL partition: the partitioner
 * chooses; NULL timestamp: the time of sending.
 */
Datum
kafka_produce(PG_FUNCTION_ARGS)
{
	KafkaMessage message;
	KafkaClientOptions *options;

	PreventCommandIfReadOnly("kafka.produce()");
	take_message(fcinfo, &message);
	options = kafka_server_options(PG_GETARG_TEXT_PP(ARG_SERVER));
	if (options->delivery == KAFKA_DELIVERY_COMMIT)
		kafka_commit_send(kafka_commit_target(options), &message);
	else
		kafka_send_now(options, &message);
	PG_RETURN_VOID();
}

/*
 * kafka.produce_now(server, topic, value, key, headers, partition, "timestamp")
 *		Sends one message, waits for its acknowledgement, and returns where it
 *		is.
 */
Datum
kafka_produce_now(PG_FUNCTION_ARGS)
{
	KafkaMessage message;
	const KafkaDelivery *delivery;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	PreventCommandIfReadOnly("kafka.produce_now()");
	take_message(fcinfo, &message);
	delivery = kafka_send_now(kafka_server_options(PG_GETARG_TEXT_PP(ARG_SERVER)),
							  &message);
	values[0] = Int32GetDatum(delivery->partition);
	values[1] = Int64GetDatum(delivery->offset);
	nulls[2] = !delivery_timestamp(delivery, &values[2]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * kafka_send_now
 *		Sends one message, and returns when all in-sync replicas have it.
 */
const KafkaDelivery *
kafka_send_now(KafkaClientOptions *options, const KafkaMessage *message)
{
	KafkaDelivery *delivery = palloc0(sizeof(KafkaDelivery));
	KafkaProducer *producer;

	kafka_options_set(options, "linger.ms", "0");
	producer = kafka_producer_open(options);
	kafka_producer_send(producer, message, delivery);
	kafka_producer_flush(producer);
	kafka_producer_close(producer);
	return delivery;
}

static void
take_message(FunctionCallInfo fcinfo, KafkaMessage *message)
{
	KafkaHeader *headers;

	if (PG_ARGISNULL(ARG_SERVER) || PG_ARGISNULL(ARG_TOPIC))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server and topic must not be null")));
	memset(message, 0, sizeof(KafkaMessage));
	message->topic = text_to_cstring(PG_GETARG_TEXT_PP(ARG_TOPIC));
	message->value = take_bytes(fcinfo, ARG_VALUE, &message->value_len);
	message->key = take_bytes(fcinfo, ARG_KEY, &message->key_len);
	message->nheaders = take_headers(fcinfo, &headers);
	message->headers = headers;
	message->partition = take_partition(fcinfo);
	message->offset = KAFKA_OFFSET_UNKNOWN;
	message->leader_epoch = -1;
	message->timestamp = PG_ARGISNULL(ARG_TIMESTAMP) ? KAFKA_TIMESTAMP_UNKNOWN :
		timestamp_ms(PG_GETARG_TIMESTAMPTZ(ARG_TIMESTAMP));
}

/*
 * Returns the bytes of the value or the key; empty is not NULL.
 */
static const char *
take_bytes(FunctionCallInfo fcinfo, ProduceArg arg, size_t *len)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, arg);

	if (PG_ARGISNULL(arg))
		return NULL;
	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of argument %d", arg);
	return kafka_value_bytes(type, PG_GETARG_DATUM(arg), len);
}

static int32
take_partition(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(ARG_PARTITION))
		return KAFKA_PARTITION_ANY;
	if (PG_GETARG_INT32(ARG_PARTITION) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition must not be negative")));
	return PG_GETARG_INT32(ARG_PARTITION);
}

/*
 * Takes headers from jsonb, from the text of a JSON object, or from an array
 * of headers.
 */
static int
take_headers(FunctionCallInfo fcinfo, KafkaHeader **headers)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, ARG_HEADERS);
	Datum		value;
	char	   *json;

	*headers = NULL;
	if (PG_ARGISNULL(ARG_HEADERS))
		return 0;
	value = PG_GETARG_DATUM(ARG_HEADERS);
	switch (type)
	{
		case UNKNOWNOID:
			json = DatumGetCString(value);
			break;
		case TEXTOID:
		case JSONOID:
			json = TextDatumGetCString(value);
			break;
		default:
			return kafka_headers_from_datum(type, value, headers);
	}
	value = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
	return kafka_headers_from_jsonb(DatumGetJsonbP(value), headers);
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

/*
 * Converts what the message was stamped with; false where nobody has said.
 */
static bool
delivery_timestamp(const KafkaDelivery *delivery, Datum *value)
{
	if (delivery->timestamp < 0)
		return false;
	*value = TimestampTzGetDatum((delivery->timestamp - EPOCH_MS) * 1000);
	return true;
}
