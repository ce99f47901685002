/*-------------------------------------------------------------------------
 *
 * subscription_find.c
 *	  Which subscription an SQL function is about, who may call it, and what
 *	  Kafka has for it.
 *
 * NOTES
 *	  Kafka is asked before the subscription is locked, for a lock keeps the
 *	  workers waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "functions/subscription.h"
#include "miscadmin.h"
#include "utils/acl.h"

#define MIN_TIMEOUT 1000		/* ms for Kafka to answer */

static KafkaSubscription *lock_as(const char *name, LOCKMODE mode);

/*
 * kafka_subscription_find
 *		Returns the subscription; raises an ERROR where there is none or it is
 *		not the user's.
 */
KafkaSubscription *
kafka_subscription_find(const char *name)
{
	KafkaSubscription *subscription = kafka_catalog_by_name(name);

	if (subscription == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("subscription \"%s\" does not exist", name)));
	if (!has_privs_of_role(GetUserId(), subscription->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of subscription \"%s\"", name)));
	return subscription;
}

/*
 * kafka_subscription_lock
 *		The same, with the subscription locked against batches and other
 *		changes, once the batch under way has ended.
 */
KafkaSubscription *
kafka_subscription_lock(const char *name)
{
	return lock_as(name, AccessExclusiveLock);
}

/*
 * kafka_subscription_share
 *		The same, with the subscription locked against changes only.
 */
KafkaSubscription *
kafka_subscription_share(const char *name)
{
	return lock_as(name, AccessShareLock);
}

static KafkaSubscription *
lock_as(const char *name, LOCKMODE mode)
{
	KafkaSubscription *subscription = kafka_subscription_find(name);
	int32		id = subscription->id;

	kafka_catalog_lock(id, mode);
	subscription = kafka_subscription_find(name);
	if (subscription->id != id)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("subscription \"%s\" was concurrently recreated",
						name)));
	return subscription;
}

/*
 * kafka_subscription_lock_unchanged
 *		Locks a subscription that has been looked at before, which must not
 *		have changed meanwhile.
 */
void
kafka_subscription_lock_unchanged(const KafkaSubscription *subscription)
{
	KafkaSubscription *now = kafka_subscription_lock(subscription->name);

	if (now->id != subscription->id || now->version != subscription->version)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("subscription \"%s\" was concurrently changed",
						subscription->name)));
}

/*
 * kafka_subscription_connect
 *		Opens a consumer with the options and credentials of the subscription's
 *		owner, which waits for Kafka no longer than timeout ms, or a second.
 */
KafkaConsumer *
kafka_subscription_connect(const KafkaSubscription *subscription,
						   int64 timeout)
{
	KafkaTableOptions *options = kafka_options_table(subscription->source,
													 subscription->owner);

	options->client->timeout = Min(options->client->timeout,
								   Max(timeout, MIN_TIMEOUT));
	return kafka_consumer_open(options->client);
}

/*
 * kafka_subscription_offsets
 *		Asks Kafka what the partitions hold that the subscription reads, and
 *		returns their number and an array, ordered by topic and partition.
 */
int
kafka_subscription_offsets(const KafkaSubscription *subscription,
						   KafkaConsumer *consumer,
						   KafkaPartitionOffsets **offsets)
{
	List	   *topics = kafka_consumer_topics(consumer, subscription->topic);
	int			n = kafka_consumer_offsets(consumer, topics, offsets);
	int			count = 0;

	for (int i = 0; i < n; i++)
		if (kafka_subscription_reads(subscription, (*offsets)[i].partition))
			(*offsets)[count++] = (*offsets)[i];
	return count;
}

/*
 * kafka_interval_ms
 *		Returns an interval in ms, a month being 30 days, as PostgreSQL compares
 *		intervals.
 */
int64
kafka_interval_ms(const Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;

	return days * (USECS_PER_DAY / 1000) + interval->time / 1000;
}
