/*-------------------------------------------------------------------------
 *
 * worker_extend.c
 *	  Batches that grow while they are being written.
 *
 * NOTES
 *	  What a transaction, and a COPY within it, cost beside their rows is not
 *	  little, so many messages are to share it.  But to gather all of them
 *	  first is slow, too: the first ones have left the processor's caches when
 *	  they are decoded.  So a batch that is inserted is written as soon as it has
 *	  ENOUGH messages, and those that are there when its last one has been
 *	  decoded are added to it.  That never waits.
 *
 *	  Added are only messages of partitions that have been proven a moment ago
 *	  to be what was read before, see worker_proof.c, so an extension ends
 *	  shortly after, if nothing else ends it.
 *
 *	  After an ERROR the batch is tried again as it has become, and does not
 *	  grow any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/worker_internal.h"
#include "utils/timestamp.h"

#define ENOUGH 5000
#define AT_ONCE 1000

static bool extend(void *arg);

/*
 * kafka_worker_enough
 *		Returns how many messages are a batch that is to be written at once.
 */
int
kafka_worker_enough(const KafkaWorker *worker)
{
	const KafkaSubscription *subscription = worker->subscription;

	if (subscription->command != NULL ||
		subscription->mode == KAFKA_MODE_UPSERT)
		return subscription->batch_rows;
	return Min(subscription->batch_rows, ENOUGH);
}

/*
 * kafka_worker_let_extend
 *		Has the batch grow, if it may, while its messages are applied.
 */
void
kafka_worker_let_extend(KafkaWorker *worker)
{
	KafkaApply *apply = &worker->apply;

	if (!worker->may_extend || apply->careful ||
		(apply->method != &kafka_apply_copy &&
		 apply->method != &kafka_apply_insert))
		return;
	apply->extend = extend;
	apply->extend_arg = worker;
}

/*
 * Adds messages that are there; false where there are none, or the batch has
 * become too large.
 */
static bool
extend(void *arg)
{
	KafkaWorker *worker = arg;
	KafkaConsumer *consumer = worker->consumer;
	TimestampTz now = GetCurrentTimestamp();
	int			room = worker->subscription->batch_rows - worker->batch->count;
	int			added;

	kafka_worker_take_ahead(worker);
	if (kafka_worker_is_full(worker))
		return false;
	for (int i = 0; i < worker->npartitions; i++)
		worker->extend_with[i] = kafka_worker_is_proven(worker, i, now);
	added = kafka_consumer_take(consumer, Min(room, AT_ONCE),
								worker->extend_with);
	if (added == 0)
		return false;
	worker->responses.messages += added;
	worker->extended = true;
	worker->batch->count = kafka_consumer_count(consumer);
	worker->apply.last = worker->batch->count;
	return true;
}
