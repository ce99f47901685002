/*-------------------------------------------------------------------------
 *
 * worker_positions.c
 *	  What a subscription worker knows of its partitions.
 *
 * NOTES
 *	  Three offsets matter: the stored position (seen), how far the consumer
 *	  has read, and where the log ends.  The consumer is also past gaps and
 *	  markers, which have offsets but no messages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "compat.h"
#include "ingest/proof.h"
#include "ingest/worker_internal.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define MEMORY_INTERVAL 1000	/* ms */

static KafkaPartitionOffsets *find_offsets(KafkaWorker *worker, const KafkaWorkerPartition *partition);
static int	compare(const KafkaWorkerPartition *partition,
					const KafkaPartitionOffsets *offsets);
static void add_new_partitions(KafkaWorker *worker);
static void add_partition(KafkaWorker *worker, KafkaWorkerPartition *partition, const KafkaPartitionOffsets *offsets);
static void check_position(KafkaWorker *worker, const KafkaWorkerPartition *partition);
static void add_collected(KafkaWorker *worker);
static void note_lasts(KafkaWorker *worker, int n);
static void note_message(KafkaWorker *worker, int m);
pg_noreturn static void raise_no_partition(KafkaWorker *worker, const KafkaWorkerPartition *partition);
static int64 get_lag(KafkaWorker *worker);
static int64 get_memory(void);

/*
 * kafka_worker_owns
 *		Says whether it is this worker that reads a partition.
 */
bool
kafka_worker_owns(KafkaWorker *worker, const char *topic, int32 partition)
{
	const KafkaSubscription *subscription = worker->subscription;

	return kafka_subscription_reads(subscription, partition) &&
		kafka_subscription_worker(subscription, topic, partition) ==
		worker->slot->number;
}

/*
 * kafka_worker_ask_offsets
 *		Asks Kafka for the topics, their partitions and what these hold.
 */
void
kafka_worker_ask_offsets(KafkaWorker *worker)
{
	MemoryContext old;
	int			n;

	if (worker->answer == NULL)
		worker->answer = AllocSetContextCreate(worker->context,
											   "kafka worker offsets",
											   ALLOCSET_SMALL_SIZES);
	worker->noffsets = 0;
	worker->topics = NIL;
	MemoryContextReset(worker->answer);
	kafka_worker_begin_asking(worker);
	old = MemoryContextSwitchTo(worker->answer);
	worker->topics = kafka_consumer_topics(worker->consumer,
										   worker->subscription->topic);
	n = kafka_consumer_offsets(worker->consumer, worker->topics,
							   &worker->offsets);
	MemoryContextSwitchTo(old);
	kafka_worker_end_asking();

	for (int i = 0; i < n; i++)
		if (kafka_worker_owns(worker, worker->offsets[i].topic,
							  worker->offsets[i].partition))
			worker->offsets[worker->noffsets++] = worker->offsets[i];
	worker->asked = GetCurrentTimestamp();
	for (int i = 0; i < worker->npartitions; i++)
	{
		KafkaPartitionOffsets *offsets =
		find_offsets(worker, &worker->partitions[i]);

		if (offsets != NULL)
			worker->partitions[i].end = offsets->end;
	}
}

/*
 * Returns what Kafka has of a partition, or NULL when there is none.
 */
static KafkaPartitionOffsets *
find_offsets(KafkaWorker *worker, const KafkaWorkerPartition *partition)
{
	int			low = 0;
	int			high = worker->noffsets;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		KafkaPartitionOffsets *offsets = &worker->offsets[middle];
		int			order = compare(partition, offsets);

		if (order == 0)
			return offsets;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/*
 * Compares by topic and partition.
 */
static int
compare(const KafkaWorkerPartition *partition,
		const KafkaPartitionOffsets *offsets)
{
	int			order = strcmp(partition->topic, offsets->topic);

	if (order != 0)
		return order;
	return partition->partition < offsets->partition ? -1 :
		partition->partition > offsets->partition;
}

/*
 * kafka_worker_finds_new
 *		Says whether Kafka has partitions without a position, or not all that
 *		have one.
 */
bool
kafka_worker_finds_new(KafkaWorker *worker)
{
	if (worker->noffsets != worker->npartitions)
		return true;
	for (int i = 0; i < worker->noffsets; i++)
		if (compare(&worker->partitions[i], &worker->offsets[i]) != 0)
			return true;
	return false;
}

/*
 * kafka_worker_settle_positions
 *		Makes positions and partitions agree: new partitions get a position, at
 *		their first offset; a position without its partition, or outside of what
 *		the partition holds, is an ERROR.
 */
void
kafka_worker_settle_positions(KafkaWorker *worker)
{
	kafka_worker_check_positions(worker);
	if (kafka_worker_finds_new(worker))
		add_new_partitions(worker);
}

/*
 * kafka_worker_check_positions
 *		Raises an ERROR for a position without its partition, or outside of what
 *		the partition held when last asked.
 */
void
kafka_worker_check_positions(KafkaWorker *worker)
{
	for (int i = 0; i < worker->npartitions; i++)
		check_position(worker, &worker->partitions[i]);
}

/*
 * kafka_worker_find_partition
 *		Returns what is known of a partition that is being read.
 */
KafkaWorkerPartition *
kafka_worker_find_partition(KafkaWorker *worker, const char *topic,
							int32 partition)
{
	for (int i = 0; i < worker->npartitions; i++)
		if (worker->partitions[i].partition == partition &&
			strcmp(worker->partitions[i].topic, topic) == 0)
			return &worker->partitions[i];
	elog(ERROR, "topic \"%s\", partition %d is not read", topic, partition);
	return NULL;
}

static void
add_new_partitions(KafkaWorker *worker)
{
	KafkaWorkerPartition *partitions = palloc_array(KafkaWorkerPartition,
													worker->noffsets);
	KafkaSubscription *now;
	int			known = 0;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_catalog_lock(worker->id, AccessShareLock);
	now = kafka_catalog_by_id(worker->id);
	if (now == NULL || now->version != worker->subscription->version)
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		worker->outdated = true;
		return;
	}
	for (int i = 0; i < worker->noffsets; i++)
	{
		KafkaPartitionOffsets *offsets = &worker->offsets[i];

		if (known < worker->npartitions &&
			compare(&worker->partitions[known], offsets) == 0)
			partitions[i] = worker->partitions[known++];
		else
			add_partition(worker, &partitions[i], offsets);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->context);
	worker->partitions = partitions;
	worker->npartitions = worker->noffsets;
}

static void
add_partition(KafkaWorker *worker, KafkaWorkerPartition *partition,
			  const KafkaPartitionOffsets *offsets)
{
	KafkaPosition position;

	partition->topic = MemoryContextStrdup(worker->context, offsets->topic);
	partition->partition = offsets->partition;
	partition->proof.offset = -1;
	partition->asked = false;
	partition->proven = 0;
	partition->topic_proven = 0;
	partition->seen = 0;
	partition->end = offsets->end;
	check_position(worker, partition);
	position.topic = unconstify(char *, partition->topic);
	position.partition = partition->partition;
	position.next_offset = partition->seen;
	position.proof = partition->proof;
	kafka_catalog_add_position(worker->subscription, &position);
}

/*
 * Raises an ERROR unless the partition holds the position.
 */
static void
check_position(KafkaWorker *worker, const KafkaWorkerPartition *partition)
{
	const char *topic = partition->topic;
	KafkaPartitionOffsets *offsets = find_offsets(worker, partition);

	if (offsets == NULL)
		raise_no_partition(worker, partition);
	if (partition->seen < offsets->low)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("messages of partition %d of topic \"%s\" have been deleted before they were read",
						partition->partition, topic),
				 errdetail("The position is offset " INT64_FORMAT ", the earliest message has offset " INT64_FORMAT ".",
						   partition->seen, offsets->low),
				 errhint("Say with kafka.seek_subscription() where to go on.")));
	if (partition->seen > offsets->end)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("partition %d of topic \"%s\" ends before its position",
						partition->partition, topic),
				 errdetail("The position is offset " INT64_FORMAT ", the partition ends at offset " INT64_FORMAT ".",
						   partition->seen, offsets->end),
				 errhint("The topic has been deleted and created again, or has lost messages in an unclean leader election. "
						 "Say with kafka.seek_subscription() where to go on, or create the subscription again.")));
}

/*
 * Raises the ERROR of a position whose partition, or topic, does not exist.
 */
static void
raise_no_partition(KafkaWorker *worker, const KafkaWorkerPartition *partition)
{
	ListCell   *lc;

	foreach(lc, worker->topics)
	{
		if (strcmp(lfirst(lc), partition->topic) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("topic \"%s\" has no partition %d any more",
							partition->topic, partition->partition),
					 errhint("The topic has been deleted and created again with fewer partitions. "
							 "Create the subscription again.")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("topic \"%s\" does not exist any more",
					partition->topic),
			 errhint("Use kafka.alter_subscription() with the source to go on without it.")));
}

/*
 * kafka_worker_move_positions
 *		Moves the stored positions past the messages before worker->last, and, at
 *		the end of the batch, past the gaps and markers that follow them.
 *
 * Raises an ERROR when a position is not where this worker has left it.
 */
void
kafka_worker_move_positions(KafkaWorker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);
	bool		whole = worker->last == kafka_consumer_count(worker->consumer);

	for (int i = 0; i < n; i++)
	{
		worker->moves[i].topic = worker->partitions[i].topic;
		worker->moves[i].partition = worker->partitions[i].partition;
		worker->moves[i].seen = worker->partitions[i].seen;
		worker->moves[i].next = whole ? positions[i].position :
			worker->partitions[i].seen;
		worker->moves[i].proof.offset = -1;
	}
	if (whole)
		note_lasts(worker, n);
	else
		for (int m = worker->last - 1; m >= worker->first; m--)
			note_message(worker, m);

	if (worker->collection != NULL)
		add_collected(worker);
	for (int i = 0; i < n; i++)
		if (worker->moves[i].next != worker->moves[i].seen)
		{
			worker->moved[worker->nmoves] = i;
			worker->moves[worker->nmoves++] = worker->moves[i];
		}
	if (worker->nmoves > 0 &&
		!kafka_catalog_move(worker->subscription, worker->moves,
							worker->nmoves))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("positions of subscription \"%s\" have been moved by another session",
						worker->subscription->name)));
}

/*
 * Moves past the messages, too, whose rows were collected.
 */
static void
add_collected(KafkaWorker *worker)
{
	for (int i = 0; i < worker->npartitions; i++)
	{
		const KafkaMove *collected = &worker->collection->moves[i];

		worker->moves[i].next = Max(worker->moves[i].next, collected->next);
		if (worker->moves[i].proof.offset < 0)
			worker->moves[i].proof = collected->proof;
	}
}

/*
 * Takes the last message of each partition, which may have come in an earlier
 * part of the batch.
 */
static void
note_lasts(KafkaWorker *worker, int n)
{
	for (int i = 0; i < n; i++)
	{
		int			m = kafka_consumer_last(worker->consumer, i);

		if (m >= worker->first)
			note_message(worker, m);
	}
}

/*
 * Takes message m for the move of its partition, unless it has a later one.
 */
static void
note_message(KafkaWorker *worker, int m)
{
	KafkaMove  *move =
	&worker->moves[kafka_consumer_range(worker->consumer, m)];
	const KafkaMessage *message;

	if (move->proof.offset >= 0)
		return;
	message = kafka_consumer_message(worker->consumer, m);
	kafka_proof_take(message, &move->proof);
	move->next = Max(move->next, message->offset + 1);
}

/*
 * kafka_worker_has_moved
 *		Says whether the consumer is past a stored position.
 */
bool
kafka_worker_has_moved(KafkaWorker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
		if (positions[i].position != worker->partitions[i].seen)
			return true;
	return false;
}

/*
 * kafka_worker_at_log_end
 *		Says whether all that Kafka had, when last seen, has been taken.
 */
bool
kafka_worker_at_log_end(KafkaWorker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
		if (!positions[i].at_log_end)
			return false;
	return true;
}

void
kafka_worker_show_lag(KafkaWorker *worker)
{
	int64		lag = get_lag(worker);
	int64		memory = get_memory();

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	worker->slot->stats.lag = lag;
	worker->slot->stats.memory = memory;
	worker->slot->stats.partitions = worker->npartitions;
	LWLockRelease(kafka_shared->lock);
}

/*
 * Returns how many offsets lie between the stored positions and the ends of
 * the partitions, as far as they are known.
 */
static int64
get_lag(KafkaWorker *worker)
{
	int			n;
	int64		lag = 0;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
	{
		int64		end = positions[i].position;

		if (!positions[i].at_log_end)
			end = Max(end, worker->partitions[i].end);
		lag += end - worker->partitions[i].seen;
	}
	return lag;
}

/*
 * Returns the bytes that are this process's own, librdkafka's included, as
 * Linux tells it; 0 elsewhere.
 */
static int64
get_memory(void)
{
	static TimestampTz asked = 0;
	static int64 memory = 0;
	TimestampTz now = GetCurrentTimestamp();
	FILE	   *file;
	long		pages[3];

	if (!TimestampDifferenceExceeds(asked, now, MEMORY_INTERVAL))
		return memory;
	asked = now;
	file = AllocateFile("/proc/self/statm", "r");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%ld %ld %ld", &pages[0], &pages[1], &pages[2]) == 3)
		memory = (int64) (pages[1] - pages[2]) * sysconf(_SC_PAGESIZE);
	FreeFile(file);
	return memory;
}
