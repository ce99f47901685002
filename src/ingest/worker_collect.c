/*-------------------------------------------------------------------------
 *
 * worker_collect.c
 *	  Rows of several batches that mode upsert writes together.
 *
 * NOTES
 *	  Where a worker is far behind, the same keys come again and again, and only
 *	  the last row of each is to be stored.  So while batches are full, their rows
 *	  are decoded, in a transaction that ends with it, and put into one set; the
 *	  batch that is not full, as there is nothing more at the moment, that comes a
 *	  batch_interval after the first, or that makes the set too large, writes the
 *	  set, and moves the positions past all of it.
 *
 *	  The messages are gone then.  So an error of any kind forgets the set and
 *	  begins a new round, at the stored positions, whose first batches are written
 *	  one by one, as all batches of other modes are: there, bad messages are
 *	  found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "ingest/proof.h"
#include "ingest/worker_internal.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MEMORY (16 * 1024 * 1024)
#define PLAIN_BATCHES 10		/* beyond those that were collected */

static void note_messages(KafkaWorker *worker);

/*
 * kafka_worker_collects
 *		Says whether the rows of the batch that has been gathered, of which full
 *		says that there may be more at once, are to be kept for the next one.
 */
bool
kafka_worker_collects(KafkaWorker *worker, bool full)
{
	KafkaCollection *collection = worker->collection;

	if (worker->plain > 0)
	{
		worker->plain--;
		return false;
	}
	if (!full || worker->subscription->mode != KAFKA_MODE_UPSERT ||
		worker->subscription->command != NULL || worker->careful ||
		worker->part > 0 || worker->subscription->batch_interval == 0)
		return false;
	if (collection == NULL)
		return true;
	return MemoryContextMemAllocated(collection->context, true) < MEMORY &&
		!TimestampDifferenceExceeds(collection->since, GetCurrentTimestamp(),
									worker->subscription->batch_interval);
}

/*
 * kafka_worker_collection
 *		Returns where the rows are kept, and makes it for the first ones.
 */
KafkaCollection *
kafka_worker_collection(KafkaWorker *worker)
{
	KafkaCollection *collection = worker->collection;
	MemoryContext context;

	if (collection != NULL)
		return collection;
	context = AllocSetContextCreate(worker->context, "kafka worker rows",
									ALLOCSET_DEFAULT_SIZES);
	collection = MemoryContextAllocZero(context, sizeof(KafkaCollection));
	collection->context = context;
	collection->since = worker->first_message;
	collection->moves = MemoryContextAlloc(context, sizeof(KafkaMove) *
										   Max(worker->npartitions, 1));
	for (int i = 0; i < worker->npartitions; i++)
	{
		collection->moves[i].next = worker->partitions[i].seen;
		collection->moves[i].proof.offset = -1;
	}
	worker->collection = collection;
	return collection;
}

/*
 * kafka_worker_note_collected
 *		Takes note of what messages [worker->first, worker->last) were, for their
 *		rows are all that will be left of them.
 */
void
kafka_worker_note_collected(KafkaWorker *worker)
{
	KafkaCollection *collection = worker->collection;

	note_messages(worker);
	collection->messages += worker->last - worker->first;
	if (worker->last > worker->first)
		(void) kafka_message_time(kafka_consumer_message(worker->consumer,
														 worker->last - 1),
								  &collection->newest);
}

static void
note_messages(KafkaWorker *worker)
{
	KafkaCollection *collection = worker->collection;

	for (int i = worker->last - 1; i >= worker->first; i--)
	{
		const KafkaMessage *message = kafka_consumer_message(worker->consumer,
															 i);
		KafkaMove  *move = &collection->moves[kafka_consumer_range(worker->consumer, i)];

		collection->bytes += message->key_len + message->value_len;
		if (message->offset < move->next)
			continue;			/* not the last one of its partition */
		move->next = message->offset + 1;
		kafka_proof_take(message, &move->proof);
	}
}

/*
 * kafka_worker_forget_collected
 *		Forgets the rows, which are written or not to be written; failed says that
 *		they are to be read again.
 */
void
kafka_worker_forget_collected(KafkaWorker *worker, bool failed)
{
	KafkaCollection *collection = worker->collection;

	if (failed)
		worker->plain = PLAIN_BATCHES +
			collection->messages / worker->subscription->batch_rows;
	worker->collection = NULL;
	MemoryContextDelete(collection->context);
}
