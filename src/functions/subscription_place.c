/*-------------------------------------------------------------------------
 *
 * subscription_place.c
 *	  Places in topics: what a start or a seek says, and which positions that
 *	  is.
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

#include "compat.h"
#include "functions/subscription_place.h"
#include "ingest/proof.h"
#include "topics.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

static void read_object(KafkaPlaces *places, const char *str);
static void read_member(KafkaPlaces *places, const char *topic, const char *name,
						const JsonbValue *value);
pg_noreturn static void reject_object(void);
static void put_place(KafkaPlaces *places, const char *topic, int64 partition,
					  KafkaPlace place);
static KafkaPlace read_place(const char *str);
static bool read_number(const char *str, int64 *number);
static int64 read_time(const char *str);
static void add_place_context(void *arg);
static void prove(KafkaPlaces *places);
static int	resolve_times(KafkaPlaces *places, int first);
static void check_in_range(const KafkaPlaces *places, int i);

/*
 * kafka_places_open
 *		Asks Kafka for the partitions, and puts none of them anywhere.
 */
void
kafka_places_open(KafkaPlaces *places, const KafkaSubscription *subscription)
{
	KafkaPartitionOffsets *partitions;

	places->subscription = subscription;
	places->consumer = kafka_subscription_connect(subscription, PG_INT32_MAX);
	places->n = kafka_subscription_offsets(subscription, places->consumer,
										   &partitions);
	places->partitions = partitions;
	places->places = palloc0_array(KafkaPlace, Max(places->n, 1));
	places->positions = palloc0_array(KafkaPosition, Max(places->n, 1));
	for (int i = 0; i < places->n; i++)
	{
		places->positions[i].topic = unconstify(char *, partitions[i].topic);
		places->positions[i].partition = partitions[i].partition;
		places->positions[i].proof.offset = -1;
	}
}

/*
 * kafka_places_check_partitions
 *		Raises an ERROR unless each partition that is chosen exists in a topic.
 */
void
kafka_places_check_partitions(const KafkaPlaces *places)
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
 * kafka_places_read
 *		Puts partitions where the text says.
 */
void
kafka_places_read(KafkaPlaces *places, const char *str)
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
read_object(KafkaPlaces *places, const char *str)
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
read_member(KafkaPlaces *places, const char *topic, const char *name,
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
 * kafka_places_put
 *		Puts a partition (or all, -1) of a topic (or all, NULL) where the text
 *		says, which is a single place.
 */
void
kafka_places_put(KafkaPlaces *places, const char *topic, int32 partition,
				 const char *str)
{
	put_place(places, topic, partition, read_place(str));
}

/*
 * Puts a partition (or all, -1) of a topic (or all, NULL) at a place.
 */
static void
put_place(KafkaPlaces *places, const char *topic, int64 partition, KafkaPlace place)
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

static KafkaPlace
read_place(const char *str)
{
	KafkaPlace	place = {KAFKA_PLACE_OFFSET, 0};

	if (strcmp(str, "earliest") == 0)
		place.kind = KAFKA_PLACE_EARLIEST;
	else if (strcmp(str, "latest") == 0)
		place.kind = KAFKA_PLACE_LATEST;
	else if (!read_number(str, &place.number))
	{
		place.kind = KAFKA_PLACE_TIME;
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
 * kafka_places_resolve
 *		Turns places into positions, with a proof where there is one, and raises
 *		an ERROR where one lies outside of what its partition holds.
 */
void
kafka_places_resolve(KafkaPlaces *places)
{
	for (int i = 0; i < places->n; i++)
		switch (places->places[i].kind)
		{
			case KAFKA_PLACE_NONE:
				break;
			case KAFKA_PLACE_EARLIEST:
				places->positions[i].next_offset = places->partitions[i].low;
				break;
			case KAFKA_PLACE_LATEST:
				places->positions[i].next_offset = places->partitions[i].end;
				break;
			case KAFKA_PLACE_OFFSET:
				places->positions[i].next_offset = places->places[i].number;
				check_in_range(places, i);
				break;
			case KAFKA_PLACE_TIME:
				i = resolve_times(places, i);
				break;
		}
	prove(places);
}

/*
 * Looks for proofs of the positions.
 */
static void
prove(KafkaPlaces *places)
{
	const KafkaSubscription *subscription = places->subscription;
	KafkaTableOptions *options = kafka_options_table(subscription->source,
													 subscription->owner);
	KafkaPosition **positions = palloc_array(KafkaPosition *,
											 Max(places->n, 1));
	KafkaPartitionOffsets *offsets = palloc_array(KafkaPartitionOffsets,
												  Max(places->n, 1));
	int			n = 0;

	for (int i = 0; i < places->n; i++)
	{
		if (places->places[i].kind == KAFKA_PLACE_NONE)
			continue;
		offsets[n] = places->partitions[i];
		positions[n++] = &places->positions[i];
	}
	if (n > 0)
		kafka_proofs_find(options->client, offsets, positions, n);
}

/*
 * Asks for the offsets of a time, of the partition and those after it that are
 * put there too, and returns the last of them.
 */
static int
resolve_times(KafkaPlaces *places, int first)
{
	const KafkaPlace *place = &places->places[first];
	int			last = first;
	int64	   *offsets;

	while (last + 1 < places->n &&
		   places->places[last + 1].kind == KAFKA_PLACE_TIME &&
		   places->places[last + 1].number == place->number)
		last++;
	offsets = palloc_array(int64, last - first + 1);
	kafka_consumer_offsets_for_time(places->consumer, place->number,
									&places->partitions[first],
									last - first + 1, offsets);
	for (int i = first; i <= last; i++)
		places->positions[i].next_offset = Min(offsets[i - first],
											   places->partitions[i].end);
	return last;
}

static void
check_in_range(const KafkaPlaces *places, int i)
{
	const KafkaPartitionOffsets *partition = &places->partitions[i];

	if (places->positions[i].next_offset < partition->low ||
		places->positions[i].next_offset > partition->end)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("offset " INT64_FORMAT " is out of range for partition %d of topic \"%s\"",
						places->positions[i].next_offset, partition->partition,
						partition->topic),
				 errdetail("It begins at offset " INT64_FORMAT " and ends before offset " INT64_FORMAT ".",
						   partition->low, partition->end)));
}
