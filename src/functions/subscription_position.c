/*-------------------------------------------------------------------------
 *
 * subscription_position.c
 *	  Where a subscription starts, and where it is moved to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "functions/subscription_place.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kafka_seek_subscription);
PG_FUNCTION_INFO_V1(kafka_skip_message);

static bool has_topic(const KafkaPlaces *places, const char *topic);
static bool has_position(const KafkaPosition *positions, int n,
						 const KafkaPosition *position);
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
	KafkaPlaces places;

	kafka_places_open(&places, subscription);
	kafka_places_check_partitions(&places);
	kafka_places_read(&places, start);
	for (int i = 0; i < places.n; i++)
		if (places.places[i].kind == KAFKA_PLACE_NONE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("start says nothing of partition %d of topic \"%s\"",
							places.partitions[i].partition,
							places.partitions[i].topic)));
	kafka_places_resolve(&places);
	for (int i = 0; i < places.n; i++)
		kafka_catalog_set_position(subscription, &places.positions[i]);
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
	KafkaPlaces places;

	kafka_places_open(&places, subscription);
	kafka_places_check_partitions(&places);
	for (int i = 0; i < n; i++)
		if (!same_server || !has_topic(&places, positions[i].topic))
			kafka_catalog_delete_positions(subscription, positions[i].topic);
	for (int i = 0; i < places.n; i++)
		if (!same_server ||
			!has_position(positions, n, &places.positions[i]))
			places.places[i].kind = KAFKA_PLACE_EARLIEST;
	kafka_places_resolve(&places);
	for (int i = 0; i < places.n; i++)
		if (places.places[i].kind != KAFKA_PLACE_NONE)
			kafka_catalog_add_position(subscription, &places.positions[i]);
	kafka_consumer_close(places.consumer);
}

static bool
has_topic(const KafkaPlaces *places, const char *topic)
{
	for (int i = 0; i < places->n; i++)
		if (strcmp(places->partitions[i].topic, topic) == 0)
			return true;
	return false;
}

static bool
has_position(const KafkaPosition *positions, int n,
			 const KafkaPosition *position)
{
	for (int i = 0; i < n; i++)
		if (positions[i].partition == position->partition &&
			strcmp(positions[i].topic, position->topic) == 0)
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
	KafkaPlaces places;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("subscription and position must not be null")));
	PreventCommandDuringRecovery("kafka.seek_subscription()");
	subscription = kafka_subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	str = text_to_cstring(PG_GETARG_TEXT_PP(1));

	kafka_places_open(&places, subscription);
	if (topic == NULL && partition < 0)
		kafka_places_read(&places, str);
	else
		kafka_places_put(&places, topic, partition, str);
	kafka_places_resolve(&places);

	kafka_subscription_lock_unchanged(subscription);
	for (int i = 0; i < places.n; i++)
		if (places.places[i].kind != KAFKA_PLACE_NONE)
			kafka_catalog_set_position(subscription, &places.positions[i]);
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
