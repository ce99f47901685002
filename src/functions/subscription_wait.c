/*-------------------------------------------------------------------------
 *
 * subscription_wait.c
 *	  kafka.wait_for_subscription().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "functions/subscription.h"
#include "ingest/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define WAIT_SLICE 200			/* ms */

PG_FUNCTION_INFO_V1(kafka_wait_for_subscription);

static void check_can_wait(const KafkaSubscription *subscription);
static bool wait_until_applied(const KafkaSubscription *subscription,
							   const KafkaPartitionOffsets *ends, int nends,
							   TimestampTz deadline);
static bool has_applied(const KafkaSubscription *subscription,
						const KafkaPartitionOffsets *ends, int nends,
						bool *unknown);
static KafkaPosition *find_position(KafkaPosition *positions, int n,
									const KafkaPartitionOffsets *offsets);
static void check_still_enabled(const KafkaSubscription *subscription);

/*
 * kafka.wait_for_subscription(subscription text, timeout interval)
 *		Waits until the subscription has applied what Kafka has at the time of
 *		the call, and returns whether it has.
 */
Datum
kafka_wait_for_subscription(PG_FUNCTION_ARGS)
{
	KafkaSubscription *subscription;
	KafkaConsumer *consumer;
	KafkaPartitionOffsets *ends;
	int64		timeout = PG_INT32_MAX;
	TimestampTz deadline = DT_NOEND;
	int			nends;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(1))
	{
		timeout = kafka_interval_ms(PG_GETARG_INTERVAL_P(1));
		deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout);
	}
	subscription = kafka_subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	check_can_wait(subscription);
	consumer = kafka_subscription_connect(subscription, timeout);
	nends = kafka_subscription_offsets(subscription, consumer, &ends);
	kafka_consumer_close(consumer);
	PG_RETURN_BOOL(wait_until_applied(subscription, ends, nends, deadline));
}

/*
 * Raises an ERROR where waiting could not end.
 */
static void
check_can_wait(const KafkaSubscription *subscription)
{
	if (kafka_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no worker reads subscription \"%s\"",
						subscription->name),
				 errhint("Add kafka_fdw to shared_preload_libraries and restart the server.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for a subscription in a %s transaction",
						IsolationIsSerializable() ? "SERIALIZABLE" :
						"REPEATABLE READ"),
				 errdetail("The transaction would not see what the worker commits.")));
	if (kafka_scan_requested())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for subscription \"%s\" in a transaction that has changed subscriptions",
						subscription->name),
				 errhint("Commit first.")));
}

/*
 * Waits until all partitions' positions have reached the ends; false at the
 * deadline.
 */
static bool
wait_until_applied(const KafkaSubscription *subscription,
				   const KafkaPartitionOffsets *ends, int nends,
				   TimestampTz deadline)
{
	bool		unknown;
	bool		done;

	for (;;)
	{
		check_still_enabled(subscription);
		done = has_applied(subscription, ends, nends, &unknown);
		if (done || GetCurrentTimestamp() >= deadline)
			break;
		kafka_wait_for_worker(subscription->id, unknown, WAIT_SLICE);
	}
	ConditionVariableCancelSleep();
	return done;
}

/*
 * Says whether the positions have reached the ends; *unknown, whether a
 * partition has no position yet.
 */
static bool
has_applied(const KafkaSubscription *subscription,
			const KafkaPartitionOffsets *ends, int nends, bool *unknown)
{
	KafkaPosition *positions;
	int			n = kafka_catalog_positions(subscription, &positions);
	bool		applied = true;

	*unknown = false;
	for (int i = 0; i < nends; i++)
	{
		KafkaPosition *position = find_position(positions, n, &ends[i]);

		if (position == NULL)
		{
			*unknown = true;
			applied = applied && ends[i].end == 0;
		}
		else if (position->next_offset < ends[i].end)
			applied = false;
	}
	pfree(positions);
	return applied;
}

/*
 * Returns the position of a partition, or NULL.
 */
static KafkaPosition *
find_position(KafkaPosition *positions, int n,
			  const KafkaPartitionOffsets *offsets)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = strcmp(positions[middle].topic, offsets->topic);

		if (order == 0)
			order = positions[middle].partition - offsets->partition;
		if (order == 0)
			return &positions[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/*
 * Raises an ERROR when the subscription is no longer read.
 */
static void
check_still_enabled(const KafkaSubscription *subscription)
{
	KafkaSubscription *now = kafka_catalog_by_id(subscription->id);
	char	   *error;

	if (now == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("subscription \"%s\" has been dropped",
						subscription->name)));
	if (now->enabled)
		return;
	error = kafka_catalog_error(subscription);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 error != NULL ?
			 errmsg("subscription \"%s\" has been stopped by an error",
					subscription->name) :
			 errmsg("subscription \"%s\" is disabled", subscription->name),
			 error != NULL ? errdetail_internal("%s", error) : 0,
			 errhint("Use kafka.enable_subscription() to continue.")));
}
