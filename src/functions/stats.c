/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What the workers say of themselves, for kafka.stat_subscription.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "functions/subscription.h"
#include "ingest/catalog.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#define STATS_COLUMNS 19

PG_FUNCTION_INFO_V1(kafka_subscription_stats);
PG_FUNCTION_INFO_V1(kafka_subscription_is_copy);
PG_FUNCTION_INFO_V1(kafka_stat_subscription_reset);
PG_FUNCTION_INFO_V1(kafka_subscription_ends);

static bool is_wanted(const KafkaWorkerSlot *slot);
static void add_others(KafkaWorkerSlot *sum);
static int	urgency(KafkaWorkerState state);
static void put_row(ReturnSetInfo *result, const KafkaWorkerSlot *slot);
static Datum pids_of(int32 subscription);
static void put_time(TimestampTz time, Datum *value, bool *null);

/*
 * kafka.subscription_stats()
 *		Returns a row for each subscription of this database that has a
 *		worker, or is to get one.
 */
Datum
kafka_subscription_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; kafka_shared != NULL && i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot slot;

		LWLockAcquire(kafka_shared->lock, LW_SHARED);
		slot = kafka_shared->slots[i];
		if (is_wanted(&slot) && slot.number == 0)
		{
			slot.stats.rate = kafka_worker_rate(&slot.stats,
												GetCurrentTimestamp());
			add_others(&slot);
		}
		LWLockRelease(kafka_shared->lock);
		if (is_wanted(&slot) && slot.number == 0)
			put_row(result, &slot);
	}
	return (Datum) 0;
}

static bool
is_wanted(const KafkaWorkerSlot *slot)
{
	return slot->in_use && slot->wanted && slot->dbid == MyDatabaseId;
}

/*
 * Adds what the subscription's other workers have counted to the first one's,
 * and takes over the state and the error of one that does not get on.
 */
static void
add_others(KafkaWorkerSlot *sum)
{
	KafkaWorkerStats *stats = &sum->stats;

	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		const KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (!is_wanted(slot) || slot->subscription != sum->subscription ||
			slot->number == 0)
			continue;
		stats->partitions += slot->stats.partitions;
		stats->messages += slot->stats.messages;
		stats->rows += slot->stats.rows;
		stats->bytes += slot->stats.bytes;
		stats->batches += slot->stats.batches;
		stats->bad_messages += slot->stats.bad_messages;
		stats->retries += slot->stats.retries;
		stats->lag = stats->lag < 0 || slot->stats.lag < 0 || slot->pid == 0 ?
			-1 : stats->lag + slot->stats.lag;
		stats->last_message = Max(stats->last_message,
								  slot->stats.last_message);
		stats->last_commit = Max(stats->last_commit, slot->stats.last_commit);
		stats->rate += kafka_worker_rate(&slot->stats, GetCurrentTimestamp());
		stats->memory += slot->stats.memory;
		if (stats->mode[0] == '\0')
			memcpy(stats->mode, slot->stats.mode, KAFKA_MODE_LEN);
		if (stats->last_error[0] == '\0')
			memcpy(stats->last_error, slot->stats.last_error, KAFKA_ERROR_LEN);
		if (urgency(slot->state) > urgency(sum->state))
			sum->state = slot->state;
	}
}

/*
 * Orders states by how much they say of a subscription with several workers.
 */
static int
urgency(KafkaWorkerState state)
{
	switch (state)
	{
		case KAFKA_WORKER_IDLE:
			return 0;
		case KAFKA_WORKER_READING:
			return 1;
		case KAFKA_WORKER_APPLYING:
			return 2;
		case KAFKA_WORKER_CONNECTING:
			return 3;
		case KAFKA_WORKER_STARTING:
			return 4;
		case KAFKA_WORKER_LOCKED:
			return 5;
		case KAFKA_WORKER_NO_PROCESS:
			return 6;
		case KAFKA_WORKER_RETRYING:
			return 7;
	}
	return 0;
}

/*
 * kafka.subscription_is_copy(identity text)
 *		Says whether a subscription was enabled somewhere else than in this
 *		database of this cluster.
 */
Datum
kafka_subscription_is_copy(PG_FUNCTION_ARGS)
{
	char	   *identity = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(strcmp(identity, kafka_catalog_identity()) != 0);
}

/*
 * Adds a slot's row; errors may quote data, so they are for those who could
 * see it.
 */
static void
put_row(ReturnSetInfo *result, const KafkaWorkerSlot *slot)
{
	const KafkaWorkerStats *stats = &slot->stats;
	Datum		values[STATS_COLUMNS];
	bool		nulls[STATS_COLUMNS] = {false};

	values[0] = Int32GetDatum(slot->subscription);
	values[1] = Int32GetDatum(slot->pid);
	nulls[1] = slot->pid == 0;
	values[2] = CStringGetTextDatum(kafka_worker_state_name(slot->state));
	values[3] = Int32GetDatum(stats->partitions);
	values[4] = Int64GetDatum(stats->messages);
	values[5] = Int64GetDatum(stats->rows);
	values[6] = Int64GetDatum(stats->bytes);
	values[7] = Int64GetDatum(stats->batches);
	values[8] = Int64GetDatum(stats->bad_messages);
	values[9] = Int64GetDatum(stats->retries);
	values[10] = Int64GetDatum(stats->lag);
	nulls[10] = stats->lag < 0 || slot->pid == 0;
	put_time(stats->last_message, &values[11], &nulls[11]);
	put_time(stats->last_commit, &values[12], &nulls[12]);
	values[13] = CStringGetTextDatum(stats->last_error);
	nulls[13] = stats->last_error[0] == '\0' ||
		!(has_privs_of_role(GetUserId(), slot->owner) ||
		  has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS));
	values[14] = pids_of(slot->subscription);
	values[15] = Float8GetDatum(stats->rate);
	values[16] = CStringGetTextDatum(stats->mode);
	nulls[16] = stats->mode[0] == '\0';
	values[17] = Int64GetDatum(stats->memory);
	nulls[17] = stats->memory == 0 || slot->pid == 0;
	put_time(stats->since, &values[18], &nulls[18]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Returns the processes of a subscription as int4[].
 */
static Datum
pids_of(int32 subscription)
{
	Datum	   *pids = palloc_array(Datum, Max(kafka_shared->nslots, 1));
	int			n = 0;

	LWLockAcquire(kafka_shared->lock, LW_SHARED);
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		const KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (is_wanted(slot) && slot->subscription == subscription &&
			slot->pid != 0)
			pids[n++] = Int32GetDatum(slot->pid);
	}
	LWLockRelease(kafka_shared->lock);
	return PointerGetDatum(construct_array(pids, n, INT4OID, sizeof(int32),
										   true, TYPALIGN_INT));
}

/*
 * kafka.stat_subscription_reset(subscription text)
 *		Begins to count anew for a subscription or, for NULL, for all that the
 *		user owns.
 */
Datum
kafka_stat_subscription_reset(PG_FUNCTION_ARGS)
{
	List	   *subscriptions;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		subscriptions = kafka_catalog_enabled();
	else
		subscriptions = list_make1(kafka_subscription_find(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	foreach(lc, subscriptions)
	{
		KafkaSubscription *subscription = lfirst(lc);

		if (kafka_shared != NULL &&
			has_privs_of_role(GetUserId(), subscription->owner))
			kafka_shmem_reset_stats(subscription->id);
	}
	PG_RETURN_VOID();
}

/*
 * kafka.subscription_ends(subscription text)
 *		Asks Kafka for what the partitions hold that a subscription reads, with
 *		the options of its owner.
 */
Datum
kafka_subscription_ends(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KafkaSubscription *subscription =
	kafka_catalog_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	KafkaConsumer *consumer;
	KafkaPartitionOffsets *offsets;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (subscription == NULL ||
		!(has_privs_of_role(GetUserId(), subscription->owner) ||
		  has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)))
		return (Datum) 0;
	consumer = kafka_subscription_connect(subscription, PG_INT32_MAX);
	n = kafka_subscription_offsets(subscription, consumer, &offsets);
	for (int i = 0; i < n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(offsets[i].topic);
		values[1] = Int32GetDatum(offsets[i].partition);
		values[2] = Int64GetDatum(offsets[i].low);
		values[3] = Int64GetDatum(offsets[i].end);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	kafka_consumer_close(consumer);
	return (Datum) 0;
}

static void
put_time(TimestampTz time, Datum *value, bool *null)
{
	*value = TimestampTzGetDatum(time);
	*null = time == 0;
}
