/*-------------------------------------------------------------------------
 *
 * worker_proof.c
 *	  Whether a topic still is the one that has been read.
 *
 * NOTES
 *	  An offset says nothing of the topic that it belongs to: one that was
 *	  deleted and created again, or that lost its tail in an unclean election,
 *	  may have grown beyond the position, and to go on there would skip
 *	  messages.  Kafka's topic ids and leader epochs tell, but not through the
 *	  librdkafka of many systems.  So a message that was read, usually the last
 *	  one before the position, is kept with it: its offset, timestamp, and a
 *	  hash of key and value.  While the partition has it, it is the same.
 *
 *	  It is read again when a round begins, and before a batch is written,
 *	  after the batch's messages have come: if it is there then, they came
 *	  from the same topic.  It is read outside of any transaction, by a
 *	  consumer of its own, and for a stream of batches ten times a second: a
 *	  topic cannot be deleted, created, filled and found by us in between.
 *	  Which partitions that takes is said in worker_proof_due.c.
 *
 *	  The message may be missing for good reasons:
 *	  - Retention, or delete_records, has removed it.  Then the log starts
 *		between it and the position, which no other topic would happen to do.
 *	  - Compaction has removed it.  Then what is left of the log before it
 *		must not be younger: in a topic that was created again, everything is.
 *	  Then, and for a position without any, another message close to the
 *	  position takes its place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "ingest/proof.h"
#include "ingest/worker_internal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define POLL_SLICE 100			/* ms */
#define POLL_MESSAGES 1000
#define PROVER_PATIENCE 500		/* ms until it is not trusted any more */

/* Says where a partition, by index, has something to read, if it has. */
typedef bool (*FindPlace) (KafkaWorker *worker, int i, KafkaRange *range);

static void prove_by_batch(KafkaWorker *worker);
static bool is_to_come(const KafkaWorkerPartition *partition);
static void prove_now(KafkaWorker *worker);
static bool are_proven(KafkaWorker *worker);
static void note_proven(KafkaWorker *worker);
static bool is_asked(KafkaWorker *worker, int i);
static bool has_proof(const KafkaWorkerPartition *partition);
static void check_epochs(KafkaWorker *worker);
static void read_proofs(KafkaWorker *worker);
static void look_closer(KafkaWorker *worker);
static void check_closely(KafkaWorker *worker);
static void check_compacted(KafkaWorker *worker, KafkaWorkerPartition *partition,
							const KafkaPartitionOffsets *offsets);
static const KafkaPartitionOffsets *find_offsets(KafkaWorker *worker,
												 const KafkaWorkerPartition *partition);
static void find_proofs(KafkaWorker *worker);
static void search_proofs(KafkaWorker *worker);
static bool place_of_position(KafkaWorker *worker, int i, KafkaRange *range);
static void read_places(KafkaWorker *worker, FindPlace find);
static void store_proofs(KafkaWorker *worker);
static void resize_prover(KafkaWorker *worker);
static void renew_prover(KafkaWorker *worker);
static void read_ranges(KafkaWorker *worker, const KafkaRange *ranges,
						KafkaWorkerPartition **partitions, int n);
static void take_found(KafkaWorker *worker, KafkaWorkerPartition **partitions,
					   int n);
static bool is_read(KafkaWorker *worker, KafkaWorkerPartition **partitions);
pg_noreturn static void raise_other_topic(KafkaWorker *worker,
										  const KafkaWorkerPartition *partition,
										  const char *detail);

/*
 * kafka_worker_prove_round
 *		Raises an ERROR, or stops the subscription, unless each partition is the
 *		one that the position was stored for.  Offsets have just been asked for.
 *
 * Those whose proof is yet to come among the messages that are read, as that of
 * a topic which is read from its beginning, are looked at with the first batch.
 */
void
kafka_worker_prove_round(KafkaWorker *worker)
{
	worker->prover = NULL;
	worker->ahead_since = 0;
	for (int i = 0; i < worker->npartitions; i++)
		worker->partitions[i].asked = !is_to_come(&worker->partitions[i]);
	worker->proving = GetCurrentTimestamp();
	look_closer(worker);
	find_proofs(worker);
	note_proven(worker);
}

/*
 * kafka_worker_prove_batch
 *		The same for those whose positions the batch moves, before it is written.
 */
void
kafka_worker_prove_batch(KafkaWorker *worker)
{
	kafka_worker_take_ahead(worker);
	resize_prover(worker);
	worker->proving = GetCurrentTimestamp();
	prove_by_batch(worker);
	if (are_proven(worker))
		return;
	(void) kafka_worker_choose_proofs(worker, worker->proving, false);
	prove_now(worker);
}

/*
 * Notes which partitions are proven by a message of the batch itself: that is
 * of the topic, and so are those after it for as long as any proof holds good.
 * When it has come is not known, but not before the consumer was started.
 */
static void
prove_by_batch(KafkaWorker *worker)
{
	int			count = kafka_consumer_count(worker->consumer);
	bool		any = false;

	for (int i = 0; i < worker->npartitions; i++)
		any = any || is_to_come(&worker->partitions[i]);
	for (int m = 0; m < count && any; m++)
	{
		const KafkaMessage *message =
		kafka_consumer_message(worker->consumer, m);
		int			i = kafka_consumer_range(worker->consumer, m);
		KafkaProof	found;

		if (message->offset != worker->partitions[i].proof.offset)
			continue;
		kafka_proof_take(message, &found);
		if (kafka_proof_same(&found, &worker->partitions[i].proof))
			kafka_worker_note_proven(worker, i, worker->reading_since);
	}
}

/*
 * Says whether the message that proves a partition has not been read.
 */
static bool
is_to_come(const KafkaWorkerPartition *partition)
{
	return has_proof(partition) && partition->proof.offset >= partition->seen;
}

static void
prove_now(KafkaWorker *worker)
{
	ErrorData  *error;
	bool		proven = true;

	kafka_worker_do(worker, check_epochs);
	error = kafka_worker_try(worker, read_proofs);
	for (int i = 0; i < worker->npartitions; i++)
		if (is_asked(worker, i) &&
			worker->partitions[i].found != KAFKA_PROOF_SAME)
			proven = false;
	if (error != NULL)
	{
		/* an offset may be out of range, which is looked at in detail */
		if (error->sqlerrcode != ERRCODE_FDW_ERROR)
			ReThrowError(error);
		FreeErrorData(error);
		proven = false;
	}
	if (!proven && !worker->outdated)
	{
		kafka_worker_ask_offsets(worker);
		look_closer(worker);
	}
	note_proven(worker);
}

/*
 * Says whether everything that the batch moves has been proven just before.
 */
static bool
are_proven(KafkaWorker *worker)
{
	for (int i = 0; i < worker->npartitions; i++)
		if (kafka_worker_is_moved(worker, i) &&
			!kafka_worker_is_proven(worker, i, worker->proving))
			return false;
	return true;
}

static void
note_proven(KafkaWorker *worker)
{
	for (int i = 0; i < worker->npartitions; i++)
		if (is_asked(worker, i))
			kafka_worker_note_proven(worker, i, worker->proving);
}

/*
 * kafka_worker_end_prover
 *		Closes the connections that proofs are read with; they are opened again
 *		when needed.
 */
void
kafka_worker_end_prover(KafkaWorker *worker)
{
	kafka_worker_cancel_ahead(worker);
	if (worker->prover != NULL)
		kafka_consumer_close(worker->prover);
	worker->prover = NULL;
}

/*
 * Says whether the partition is to be proven now, and has what it takes.
 */
static bool
is_asked(KafkaWorker *worker, int i)
{
	return worker->partitions[i].asked && has_proof(&worker->partitions[i]);
}

static bool
has_proof(const KafkaWorkerPartition *partition)
{
	return partition->proof.offset >= 0;
}

/*
 * Raises an ERROR where the epoch of a message's leader is lower than that of
 * an earlier message; only newer versions of librdkafka know it.
 */
static void
check_epochs(KafkaWorker *worker)
{
	for (int m = 0; m < kafka_consumer_count(worker->consumer); m++)
	{
		const KafkaMessage *message =
		kafka_consumer_message(worker->consumer, m);
		KafkaWorkerPartition *partition;

		if (message->leader_epoch < 0)
			return;
		partition = kafka_worker_find_partition(worker, message->topic,
												message->partition);
		if (message->leader_epoch < partition->proof.leader_epoch)
			raise_other_topic(worker, partition,
							  psprintf("The leader of partition %d had epoch %d, and has %d now.",
									   partition->partition,
									   partition->proof.leader_epoch,
									   message->leader_epoch));
	}
}

/*
 * Reads the proofs of all partitions that are asked, as far as the logs are
 * known to reach; found says what was found.
 */
static void
read_proofs(KafkaWorker *worker)
{
	read_places(worker, kafka_worker_proof_range);
}

/*
 * kafka_worker_proof_range
 *		A FindPlace of the proof of a partition that is asked.
 */
bool
kafka_worker_proof_range(KafkaWorker *worker, int i, KafkaRange *range)
{
	const KafkaWorkerPartition *partition = &worker->partitions[i];
	const KafkaPartitionOffsets *offsets = find_offsets(worker, partition);

	range->topic = partition->topic;
	range->partition = partition->partition;
	range->start = partition->proof.offset;
	range->end = partition->proof.offset + 1;
	return is_asked(worker, i) &&
		(offsets == NULL || partition->proof.offset >= offsets->low);
}

/*
 * Decides with what has been asked of Kafka just now.
 */
static void
look_closer(KafkaWorker *worker)
{
	ErrorData  *error;

	kafka_worker_do(worker, kafka_worker_check_positions);
	read_proofs(worker);
	if (worker->outdated)
		return;
	error = kafka_worker_try(worker, check_closely);
	if (error == NULL)
		return;
	/* the log may have been cut off while it was read */
	if (kafka_error_may_pass(error) ||
		error->sqlerrcode == ERRCODE_FDW_ERROR)
		ReThrowError(error);
	kafka_worker_stop(worker, error);
}

/*
 * Raises an ERROR for a partition that is another one; forgets proofs that are
 * gone for a good reason.
 */
static void
check_closely(KafkaWorker *worker)
{
	for (int i = 0; i < worker->npartitions; i++)
	{
		KafkaWorkerPartition *partition = &worker->partitions[i];
		const KafkaPartitionOffsets *offsets = find_offsets(worker, partition);

		if (!is_asked(worker, i) || partition->found == KAFKA_PROOF_SAME)
			continue;
		if (partition->found == KAFKA_PROOF_OTHER)
			raise_other_topic(worker, partition,
							  psprintf("Partition %d has another message at offset " INT64_FORMAT " than the one that was read.",
									   partition->partition,
									   partition->proof.offset));
		if (offsets != NULL && partition->proof.offset >= offsets->low)
			check_compacted(worker, partition, offsets);
		partition->proof.offset = -1;
	}
}

/*
 * Raises an ERROR where the log before a missing proof is younger than it.
 */
static void
check_compacted(KafkaWorker *worker, KafkaWorkerPartition *partition,
				const KafkaPartitionOffsets *offsets)
{
	KafkaProof	proof = partition->proof;
	KafkaRange	range = {partition->topic, partition->partition,
	offsets->low, proof.offset};
	bool		younger;

	if (range.start >= range.end)
		return;
	partition->proof.offset = -1;
	read_ranges(worker, &range, &partition, 1);
	younger = has_proof(partition) && proof.timestamp >= 0 &&
		partition->proof.timestamp > proof.timestamp;
	partition->proof = proof;
	if (younger)
		raise_other_topic(worker, partition,
						  psprintf("Partition %d no longer has the message at offset " INT64_FORMAT " that was read, and messages before it are younger.",
								   partition->partition, proof.offset));
}

static const KafkaPartitionOffsets *
find_offsets(KafkaWorker *worker, const KafkaWorkerPartition *partition)
{
	for (int i = 0; i < worker->noffsets; i++)
		if (worker->offsets[i].partition == partition->partition &&
			strcmp(worker->offsets[i].topic, partition->topic) == 0)
			return &worker->offsets[i];
	return NULL;
}

/*
 * Looks for proofs of the partitions that have none, and stores them.
 *
 * A damaged batch among the messages before the position is no reason not to
 * read on; there is no proof then.
 */
static void
find_proofs(KafkaWorker *worker)
{
	ErrorData  *error = kafka_worker_try(worker, search_proofs);

	if (error != NULL)
	{
		if (error->sqlerrcode != ERRCODE_DATA_CORRUPTED &&
			error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
			ReThrowError(error);
		FreeErrorData(error);
	}
	if (!worker->outdated)
		kafka_worker_do(worker, store_proofs);
}

/*
 * Looks for a message close to the position of each partition that has no
 * proof.
 */
static void
search_proofs(KafkaWorker *worker)
{
	read_places(worker, place_of_position);
}

/*
 * A FindPlace close to the position of a partition without a proof.
 */
static bool
place_of_position(KafkaWorker *worker, int i, KafkaRange *range)
{
	const KafkaWorkerPartition *partition = &worker->partitions[i];
	const KafkaPartitionOffsets *offsets = find_offsets(worker, partition);

	return !has_proof(partition) && offsets != NULL &&
		kafka_proof_place(offsets, partition->seen, range);
}

/*
 * Reads from all partitions that have such a place.
 */
static void
read_places(KafkaWorker *worker, FindPlace find)
{
	KafkaRange *ranges = palloc_array(KafkaRange, worker->npartitions);
	KafkaWorkerPartition **partitions = palloc_array(KafkaWorkerPartition *,
													 worker->npartitions);
	int			n = 0;

	for (int i = 0; i < worker->npartitions; i++)
	{
		worker->partitions[i].found = KAFKA_PROOF_MISSING;
		if (find(worker, i, &ranges[n]))
			partitions[n++] = &worker->partitions[i];
	}
	read_ranges(worker, ranges, partitions, n);
	pfree(partitions);
	pfree(ranges);
}

static void
store_proofs(KafkaWorker *worker)
{
	bool		any = false;

	for (int i = 0; i < worker->npartitions; i++)
		any = any || worker->partitions[i].found == KAFKA_PROOF_NEW;
	if (!any)
		return;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_catalog_lock(worker->id, AccessShareLock);
	if (kafka_catalog_by_id(worker->id) == NULL)
		worker->outdated = true;
	for (int i = 0; i < worker->npartitions && !worker->outdated; i++)
	{
		KafkaWorkerPartition *partition = &worker->partitions[i];
		KafkaMove	move = {partition->topic, partition->partition,
		partition->seen, partition->seen, partition->proof};

		if (partition->found == KAFKA_PROOF_NEW)
			(void) kafka_catalog_move(worker->subscription, &move, 1);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * kafka_worker_open_prover
 *		Opens a consumer that proofs are read with.
 */
void
kafka_worker_open_prover(KafkaWorker *worker)
{
	MemoryContext old = MemoryContextSwitchTo(worker->context);
	KafkaClientOptions *options = kafka_proof_options(worker->options->client);

	worker->proof_size = kafka_worker_proof_size(worker);
	kafka_options_limit(options, "fetch.max.bytes", worker->proof_size);
	kafka_options_limit(options, "fetch.message.max.bytes", worker->proof_size);
	worker->prover = kafka_worker_open_consumer(worker, options);
	MemoryContextSwitchTo(old);
}

/*
 * Has another prover opened where it is to ask for another size at once.
 */
static void
resize_prover(KafkaWorker *worker)
{
	if (worker->prover == NULL ||
		kafka_worker_proof_size(worker) == worker->proof_size)
		return;
	kafka_worker_cancel_ahead(worker);
	kafka_consumer_discard(worker->prover);
	worker->prover = NULL;
}

/*
 * Finds out why a consumer gets no answer, and opens another in its place.
 *
 * librdkafka says once that Kafka refuses to read a topic, perhaps while nobody
 * was reading any more, and is silent from then on; a new instance is told.  It
 * does not say at all that Kafka refuses to describe a topic which it did not
 * know yet: that is for who asks.
 */
static void
renew_prover(KafkaWorker *worker)
{
	kafka_worker_ask_offsets(worker);
	kafka_consumer_discard(worker->prover);
	worker->prover = NULL;
	kafka_worker_open_prover(worker);
}

/*
 * Reads the ranges until each has given a message or has none; what was found
 * of a partition is compared with its proof or, where there is none, becomes
 * it.  Does not finish when the worker is outdated.
 */
static void
read_ranges(KafkaWorker *worker, const KafkaRange *ranges,
			KafkaWorkerPartition **partitions, int n)
{
	TimestampTz start = GetCurrentTimestamp();
	bool		renewed = false;

	if (n == 0)
		return;
	kafka_worker_cancel_ahead(worker);
	if (worker->prover == NULL)
		kafka_worker_open_prover(worker);
	kafka_consumer_start(worker->prover, ranges, n);
	for (;;)
	{
		(void) kafka_consumer_poll(worker->prover, POLL_MESSAGES, POLL_SLICE);
		take_found(worker, partitions, n);
		if (is_read(worker, partitions))
			break;
		kafka_worker_serve_requests(worker);
		if (worker->outdated)
			break;
		if (!renewed &&
			TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   PROVER_PATIENCE))
		{
			renewed = true;
			renew_prover(worker);
			kafka_consumer_start(worker->prover, ranges, n);
		}
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   worker->options->client->timeout))
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("no answer from Kafka for %d ms",
							worker->options->client->timeout),
					 errdetail("The last message read of topic \"%s\" could not be read again.",
							   ranges[0].topic)));
	}
	kafka_consumer_stop(worker->prover);
}

static void
take_found(KafkaWorker *worker, KafkaWorkerPartition **partitions, int n)
{
	for (int m = 0; m < kafka_consumer_count(worker->prover); m++)
	{
		const KafkaMessage *message = kafka_consumer_message(worker->prover, m);
		KafkaWorkerPartition *partition = NULL;
		KafkaProof	found;

		for (int i = 0; i < n && partition == NULL; i++)
			if (partitions[i]->partition == message->partition &&
				strcmp(partitions[i]->topic, message->topic) == 0)
				partition = partitions[i];
		if (partition == NULL || partition->found != KAFKA_PROOF_MISSING)
			continue;
		kafka_proof_take(message, &found);
		if (!has_proof(partition))
		{
			partition->proof = found;
			partition->found = KAFKA_PROOF_NEW;
		}
		else if (kafka_proof_same(&found, &partition->proof))
			partition->found = KAFKA_PROOF_SAME;
		else
			partition->found = KAFKA_PROOF_OTHER;
	}
	kafka_consumer_release(worker->prover);
}

/*
 * Says whether nothing more is to come.
 */
static bool
is_read(KafkaWorker *worker, KafkaWorkerPartition **partitions)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->prover, &n);

	for (int i = 0; i < n; i++)
		if (partitions[i]->found == KAFKA_PROOF_MISSING &&
			!positions[i].at_end && !positions[i].at_log_end)
			return false;
	return true;
}

static void
raise_other_topic(KafkaWorker *worker, const KafkaWorkerPartition *partition,
				  const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("topic \"%s\" is not the one that was read before",
					partition->topic),
			 errdetail_internal("%s", detail),
			 errhint("The topic has been deleted and created again, or has lost messages in an unclean leader election. "
					 "Say with kafka.seek_subscription() where to go on, or create the subscription again.")));
}
