/*-------------------------------------------------------------------------
 *
 * subscription_position.c
 *	  Where a subscription starts, and where it is moved to.
 *
 * NOTES
 *	  A place is written as earliest, latest, an offset or a timestamp, which
 *	  is for all partitions, or as a JSON object of such places:
 *	  {"0": 100, "1": "latest"} where the source has one topic,
 *	  {"orders": {"0": 100}, "payments": "earliest"} in any case.
 *
 *	  Whatever it says, it becomes an offset of each partition, which lies
 *	  within what the partition holds, before anything is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "functions/subscription.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "topics.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kafka_seek_subscription);
PG_FUNCTION_INFO_V1(kafka_skip_message);

typedef enum PlaceKind
{
	PLACE_NONE,					/* not said */
	PLACE_EARLIEST,
	PLACE_LATEST,
	PLACE_OFFSET,
	PLACE_TIME
} PlaceKind;

typedef struct Place
{
	PlaceKind	kind;
	int64		number;			/* offset, or ms since 1970 */
} Place;

/* Where the partitions of a subscription are put. */
typedef struct Places
{
	const KafkaSubscription *subscription;
	KafkaConsumer *consumer;
	const KafkaPartitionOffsets *partitions;
	int			n;
	Place	   *places;			/* n */
	int64	   *offsets;		/* n; what became of places */
} Places;

static void open_places(Places *places, const KafkaSubscription *subscription);
static bool has_topic(const Places *places, const char *topic);
static void check_partitions(const Places *places);
static void read_places(Places *places, const char *str);
static void read_object(Places *places, const char *str);
static void read_member(Places *places, const char *topic, const char *name,
						const JsonbValue *value);
pg_noreturn static void reject_object(void);
static void put_place(Places *places, const char *topic, int64 partition,
					  Place place);
static Place read_place(const char *str);
static bool read_number(const char *str, int64 *number);
static int64 read_time(const char *str);
static void add_place_context(void *arg);
static void resolve(Places *places);
static int	resolve_times(Places *places, int first);
static void check_in_range(const Places *places, int i);
static const KafkaSubscription *stopped_subscription(FunctionCallInfo fcinfo,
													 KafkaPosition *message);

/*
 * kafka_subscription_start
 *		Stores a position for each partition of a new subscription.
 */
void
kafka_subscription_start(const KafkaSubscription *subscription,
						 const char *start)
{
	Places		places;

	open_places(&places, subscription);
	check_partitions(&places);
	read_places(&places, start);
	for (int i = 0; i < places.n; i++)
		if (places.places[i].kind == PLACE_NONE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("start says nothing of partition %d of topic \"%s\"",
							places.partitions[i].partition,
							places.partitions[i].topic)));
	resolve(&places);
	for (int i = 0; i < places.n; i++)
		kafka_catalog_set_position(subscription, places.partitions[i].topic,
								   places.partitions[i].partition,
								   places.offsets[i]);
	kafka_consumer_close(places.consumer);
}

/*
 * kafka_subscription_restart
 *		Makes the positions fit a source or partitions that have changed:
 *		forgets those of topics that are no longer read, and stores the earliest
 *		one where there is none.
 *
 * With another server none is kept.  Those of partitions that are no longer
 * read are, for the case that they are again.
 */
void
kafka_subscription_restart(const KafkaSubscription *subscription,
						   bool same_server)
{
	KafkaPosition *positions;
	int			n = kafka_catalog_positions(subscription, &positions);
	Places		places;

	open_places(&places, subscription);
	check_partitions(&places);
	for (int i = 0; i < n; i++)
		if (!same_server || !has_topic(&places, positions[i].topic))
			kafka_catalog_delete_positions(subscription, positions[i].topic);
	for (int i = 0; i < places.n; i++)
	{
		KafkaPosition position = {
			unconstify(char *, places.partitions[i].topic),
			places.partitions[i].partition,
			places.partitions[i].low
		};

		kafka_catalog_add_position(subscription, &position);
	}
	kafka_consumer_close(places.consumer);
}

static bool
has_topic(const Places *places, const char *topic)
{
	for (int i = 0; i < places->n; i++)
		if (strcmp(places->partitions[i].topic, topic) == 0)
			return true;
	return false;
}

/*
 * kafka.seek_subscription(subscription text, position text, partition int,
 *						   topic text)
 *		Moves the positions of a subscription, of one of its topics, or of one
 *		partition; waits for the batch under way.
 */
Datum
kafka_seek_subscription(PG_FUNCTION_ARGS)
{
	KafkaSubscription *subscription;
	char	   *topic = PG_ARGISNULL(3) ? NULL :
	text_to_cstring(PG_GETARG_TEXT_PP(3));
	int32		partition = PG_ARGISNULL(2) ? -1 : PG_GETARG_INT32(2);
	char	   *str;
	Places		places;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("subscription and position must not be null")));
	PreventCommandDuringRecovery("kafka.seek_subscription()");
	subscription = kafka_subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	str = text_to_cstring(PG_GETARG_TEXT_PP(1));

	open_places(&places, subscription);
	if (topic == NULL && partition < 0)
		read_places(&places, str);
	else
		put_place(&places, topic, partition, read_place(str));
	resolve(&places);

	kafka_subscription_lock_unchanged(subscription);
	for (int i = 0; i < places.n; i++)
		if (places.places[i].kind != PLACE_NONE)
			kafka_catalog_set_position(subscription,
									   places.partitions[i].topic,
									   places.partitions[i].partition,
									   places.offsets[i]);
	kafka_catalog_touch(subscription);
	kafka_request_scan(subscription->id);
	kafka_consumer_close(places.consumer);
	PG_RETURN_VOID();
}

/*
 * kafka.skip_message(subscription text, partition int, "offset" bigint,
 *					  topic text)
 *		Moves the position past the message that has stopped the subscription.
 */
Datum
kafka_skip_message(PG_FUNCTION_ARGS)
{
	KafkaPosition message;
	const KafkaSubscription *subscription = stopped_subscription(fcinfo, &message);
	KafkaPosition *positions;
	int			n = kafka_catalog_positions(subscription, &positions);

	for (int i = 0; i < n; i++)
	{
		KafkaPosition *position = &positions[i];
		KafkaMove	move = {position->topic, position->partition,
		position->next_offset, message.next_offset + 1, {-1}};

		if (strcmp(position->topic, message.topic) != 0 ||
			position->partition != message.partition)
			continue;
		if (position->next_offset > message.next_offset ||
			!kafka_catalog_move(subscription, &move, 1))
			break;
		kafka_catalog_touch(subscription);
		kafka_request_scan(subscription->id);
		PG_RETURN_VOID();
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("position of subscription \"%s\" is no longer at offset " INT64_FORMAT " of partition %d of topic \"%s\"",
					subscription->name, message.next_offset,
					message.partition, message.topic)));
}

/*
 * Locks the subscription that the call names, and returns the message that has
 * stopped it, which must be the one that the call means.
 */
static const KafkaSubscription *
stopped_subscription(FunctionCallInfo fcinfo, KafkaPosition *message)
{
	KafkaSubscription *subscription;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("subscription, partition and offset must not be null")));
	PreventCommandDuringRecovery("kafka.skip_message()");
	subscription = kafka_subscription_lock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (!kafka_catalog_stopped_at(subscription, message))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("subscription \"%s\" has not been stopped by a message",
						subscription->name)));
	if (message->partition != PG_GETARG_INT32(1) ||
		message->next_offset != PG_GETARG_INT64(2) ||
		(!PG_ARGISNULL(3) &&
		 strcmp(message->topic, text_to_cstring(PG_GETARG_TEXT_PP(3))) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subscription \"%s\" has been stopped by another message",
						subscription->name),
				 errdetail("It is at offset " INT64_FORMAT " of partition %d of topic \"%s\".",
						   message->next_offset, message->partition,
						   message->topic)));
	return subscription;
}

/*
 * Asks Kafka for the partitions, and puts none of them anywhere.
 */
static void
open_places(Places *places, const KafkaSubscription *subscription)
{
	KafkaPartitionOffsets *partitions;

	places->subscription = subscription;
	places->consumer = kafka_subscription_connect(subscription, PG_INT32_MAX);
	places->n = kafka_subscription_offsets(subscription, places->consumer,
										   &partitions);
	places->partitions = partitions;
	places->places = palloc0_array(Place, Max(places->n, 1));
	places->offsets = palloc0_array(int64, Max(places->n, 1));
}

/*
 * Raises an ERROR unless each partition that is chosen exists in a topic.
 */
static void
check_partitions(const Places *places)
{
	const KafkaSubscription *subscription = places->subscription;
	Bitmapset  *missing = bms_copy(subscription->partitions);
	int			partition;

	for (int i = 0; i < places->n; i++)
		missing = bms_del_member(missing, places->partitions[i].partition);
	partition = bms_next_member(missing, -1);
	if (partition >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" has no partition %d",
						subscription->topic, partition)));
}

/*
 * Puts partitions where the text says.
 */
static void
read_places(Places *places, const char *str)
{
	const char *first = str;

	while (isspace((unsigned char) *first))
		first++;
	if (*first == '{')
		read_object(places, str);
	else
		put_place(places, NULL, -1, read_place(str));
}

/*
 * Puts partitions where the members of a JSON object say.
 */
static void
read_object(Places *places, const char *str)
{
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(str)));
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *topic = NULL;
	char	   *name = NULL;
	int			depth = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
		switch (token)
		{
			case WJB_KEY:
				name = pnstrdup(value.val.string.val, value.val.string.len);
				break;
			case WJB_VALUE:
				read_member(places, topic, name, &value);
				break;
			case WJB_BEGIN_OBJECT:
				if (++depth > 2)
					reject_object();
				topic = name;
				break;
			case WJB_END_OBJECT:
				depth--;
				topic = NULL;
				break;
			default:
				reject_object();
		}
}

/*
 * Puts partitions where a member says: that of a topic's object, or, where
 * topic is NULL, of the whole.
 */
static void
read_member(Places *places, const char *topic, const char *name,
			const JsonbValue *value)
{
	bool		single = kafka_topics_is_single(places->subscription->topic);
	int64		partition = -1;
	char	   *str;

	if (value->type == jbvString)
		str = pnstrdup(value->val.string.val, value->val.string.len);

	else if (value->type == jbvNumeric)
		str = DatumGetCString(DirectFunctionCall1(numeric_out,
												  NumericGetDatum(value->val.numeric)));

	else
		reject_object();
	if (topic != NULL || single)
	{
		if (read_number(name, &partition))
			name = topic;
		else if (topic != NULL)
			reject_object();
	}
	put_place(places, name, partition, read_place(str));
}

static void
reject_object(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("positions of a subscription must be places of partitions, or of topics"),
			 errhint("Use {\"0\": 100, \"1\": \"latest\"} or {\"topic\": {\"0\": 100, \"1\": \"latest\"}}.")));
}

/*
 * Puts a partition (or all, -1) of a topic (or all, NULL) at a place.
 */
static void
put_place(Places *places, const char *topic, int64 partition, Place place)
{
	bool		found = false;

	for (int i = 0; i < places->n; i++)
	{
		const KafkaPartitionOffsets *offsets = &places->partitions[i];

		if ((topic != NULL && strcmp(topic, offsets->topic) != 0) ||
			(partition >= 0 && partition != offsets->partition))
			continue;
		places->places[i] = place;
		found = true;
	}
	if (found || (topic == NULL && partition < 0))
		return;
	if (partition < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subscription does not read topic \"%s\"", topic)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("subscription does not read partition " INT64_FORMAT " of topic \"%s\"",
					partition,
					topic != NULL ? topic : places->subscription->topic)));
}

static Place
read_place(const char *str)
{
	Place		place = {PLACE_OFFSET, 0};

	if (strcmp(str, "earliest") == 0)
		place.kind = PLACE_EARLIEST;
	else if (strcmp(str, "latest") == 0)
		place.kind = PLACE_LATEST;
	else if (!read_number(str, &place.number))
	{
		place.kind = PLACE_TIME;
		place.number = read_time(str);
	}
	return place;
}

/*
 * Reads a number of digits only.
 */
static bool
read_number(const char *str, int64 *number)
{
	size_t		len = strlen(str);

	if (len == 0 || len > 18 || strspn(str, "0123456789") != len)
		return false;
	*number = strtoll(str, NULL, 10);
	return true;
}

/*
 * Returns a timestamp in ms since 1970, the next one where it lies between two.
 */
static int64
read_time(const char *str)
{
	int64		epoch_diff = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
	SECS_PER_DAY * INT64CONST(1000);
	ErrorContextCallback callback = {
		.callback = add_place_context,
		.previous = error_context_stack
	};
	TimestampTz time;

	error_context_stack = &callback;
	time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(str),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("position of a subscription must be finite")));
	error_context_stack = callback.previous;
	return time / 1000 + (time % 1000 > 0 ? 1 : 0) + epoch_diff;
}

static void
add_place_context(void *arg)
{
	errhint("A position is \"earliest\", \"latest\", an offset, a timestamp, or a JSON object of these.");
}

/*
 * Turns places into offsets, and raises an ERROR where one lies outside of what
 * its partition holds.
 */
static void
resolve(Places *places)
{
	for (int i = 0; i < places->n; i++)
		switch (places->places[i].kind)
		{
			case PLACE_NONE:
				break;
			case PLACE_EARLIEST:
				places->offsets[i] = places->partitions[i].low;
				break;
			case PLACE_LATEST:
				places->offsets[i] = places->partitions[i].end;
				break;
			case PLACE_OFFSET:
				places->offsets[i] = places->places[i].number;
				check_in_range(places, i);
				break;
			case PLACE_TIME:
				i = resolve_times(places, i);
				break;
		}
}

/*
 * Asks for the offsets of a time, of the partition and those after it that are
 * put there too, and returns the last of them.
 */
static int
resolve_times(Places *places, int first)
{
	const Place *place = &places->places[first];
	int			last = first;

	while (last + 1 < places->n && places->places[last + 1].kind == PLACE_TIME &&
		   places->places[last + 1].number == place->number)
		last++;
	kafka_consumer_offsets_for_time(places->consumer, place->number,
									&places->partitions[first],
									last - first + 1, &places->offsets[first]);
	for (int i = first; i <= last; i++)
		places->offsets[i] = Min(places->offsets[i],
								 places->partitions[i].end);
	return last;
}

static void
check_in_range(const Places *places, int i)
{
	const KafkaPartitionOffsets *partition = &places->partitions[i];

	if (places->offsets[i] < partition->low ||
		places->offsets[i] > partition->end)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("offset " INT64_FORMAT " is out of range for partition %d of topic \"%s\"",
						places->offsets[i], partition->partition,
						partition->topic),
				 errdetail("It begins at offset " INT64_FORMAT " and ends before offset " INT64_FORMAT ".",
						   partition->low, partition->end)));
}
