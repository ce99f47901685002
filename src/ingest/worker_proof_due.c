/*-------------------------------------------------------------------------
 *
 * worker_proof_due.c
 *	  How long it holds good that a partition is the one that has been read.
 *
 * NOTES
 *	  A topic is deleted and created again as a whole, so any one of its
 *	  partitions tells that it is the same, and that holds good for
 *	  PROOF_INTERVAL.
 *
 *	  A partition alone loses messages when a broker that does not have them
 *	  becomes its leader.  Those are the last ones of the log, and it takes others
 *	  in their place, as many at least as we have read of them, until we could
 *	  miss that.  So for a partition that is read at the end of its log, its own
 *	  proof holds good for PROOF_INTERVAL, too; for one that is behind what its
 *	  log had when last asked, for BEHIND_INTERVAL, if its topic is proven.
 *
 *	  The difference is worth it, for a broker sends a batch of messages as a
 *	  whole, up to a megabyte, to show a single one of them: to read 64
 *	  partitions took 1.6 times as long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/worker_internal.h"
#include "utils/timestamp.h"

#define PROOF_INTERVAL 100		/* ms */
#define BEHIND_INTERVAL 2000	/* ms */

/* the part of these after which a proof is to be renewed ahead */
#define DUE_PART 0.4

/* partitions behind that are proven ahead together, beside those of topics */
#define AHEAD_PARTITIONS 4

static int	ask_stale(KafkaWorker *worker, TimestampTz now, bool ahead);
static int	ask_oldest_behind(KafkaWorker *worker, TimestampTz now);
static int	ask_topics(KafkaWorker *worker, TimestampTz now, bool ahead);
static int	ask_topic(KafkaWorker *worker, int first, int end, bool ahead);
static bool is_candidate(KafkaWorker *worker, int i);
static bool is_behind(KafkaWorker *worker, int i);
static bool is_stale(KafkaWorker *worker, int i, TimestampTz now, bool ahead);
static bool exceeds(TimestampTz proven, TimestampTz now, int interval,
					bool ahead);
static bool same_topic(const KafkaWorker *worker, int i, int j);

/*
 * kafka_worker_is_proven
 *		Says whether messages of the partition, by index, that are there now come
 *		from the topic that its position was stored for.
 */
bool
kafka_worker_is_proven(KafkaWorker *worker, int i, TimestampTz now)
{
	const KafkaWorkerPartition *partition = &worker->partitions[i];

	return partition->proof.offset < 0 ||
		(!is_stale(worker, i, now, false) &&
		 !exceeds(partition->topic_proven, now, PROOF_INTERVAL, false));
}

/*
 * kafka_worker_note_proven
 *		Takes note that a partition, by index, was the same at some time.
 */
void
kafka_worker_note_proven(KafkaWorker *worker, int i, TimestampTz since)
{
	worker->partitions[i].proven = since;
	for (int j = 0; j < worker->npartitions; j++)
		if (same_topic(worker, i, j))
			worker->partitions[j].topic_proven =
				Max(worker->partitions[j].topic_proven, since);
}

/*
 * kafka_worker_is_recent
 *		Says whether what was proven at some time still holds good for a topic.
 */
bool
kafka_worker_is_recent(TimestampTz proven)
{
	return !exceeds(proven, GetCurrentTimestamp(), PROOF_INTERVAL, false);
}

/*
 * kafka_worker_is_moved
 *		Says whether the batch moves the position of a partition, by index.
 */
bool
kafka_worker_is_moved(KafkaWorker *worker, int i)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	return i < n && positions[i].position != worker->partitions[i].seen;
}

/*
 * kafka_worker_choose_proofs
 *		Chooses the partitions that are to be proven for the batch or, ahead, soon
 *		for the next ones; returns how many.
 */
int
kafka_worker_choose_proofs(KafkaWorker *worker, TimestampTz now, bool ahead)
{
	int			n;

	n = ask_stale(worker, now, ahead);
	if (ahead)
		n += ask_oldest_behind(worker, now);
	return n + ask_topics(worker, now, ahead);
}

/*
 * Asks those whose own proof does not hold good; of those behind, only what the
 * batch moves, and ahead none.
 */
static int
ask_stale(KafkaWorker *worker, TimestampTz now, bool ahead)
{
	int			n = 0;

	for (int i = 0; i < worker->npartitions; i++)
	{
		KafkaWorkerPartition *partition = &worker->partitions[i];

		partition->asked = is_candidate(worker, i) &&
			is_stale(worker, i, now, ahead) &&
			(!is_behind(worker, i) ||
			 (!ahead && kafka_worker_is_moved(worker, i)));
		n += partition->asked ? 1 : 0;
	}
	return n;
}

/*
 * Asks a few of those behind, the longest since proven, so that not all have to
 * be asked at once.
 */
static int
ask_oldest_behind(KafkaWorker *worker, TimestampTz now)
{
	int			n;

	for (n = 0; n < AHEAD_PARTITIONS; n++)
	{
		KafkaWorkerPartition *oldest = NULL;

		for (int i = 0; i < worker->npartitions; i++)
		{
			KafkaWorkerPartition *partition = &worker->partitions[i];

			if (!partition->asked && is_candidate(worker, i) &&
				is_behind(worker, i) && is_stale(worker, i, now, true) &&
				(oldest == NULL || partition->proven < oldest->proven))
				oldest = partition;
		}
		if (oldest == NULL)
			break;
		oldest->asked = true;
	}
	return n;
}

/*
 * Asks one partition of each topic that is to be proven and has none.
 */
static int
ask_topics(KafkaWorker *worker, TimestampTz now, bool ahead)
{
	int			n = 0;
	int			end;

	for (int first = 0; first < worker->npartitions; first = end)
	{
		for (end = first + 1; end < worker->npartitions; end++)
			if (!same_topic(worker, first, end))
				break;
		if (exceeds(worker->partitions[first].topic_proven, now,
					PROOF_INTERVAL, ahead))
			n += ask_topic(worker, first, end, ahead);
	}
	return n;
}

/*
 * Asks the partition among [first, end) that has not been proven for longest,
 * unless one is asked already, or none is to be read.
 */
static int
ask_topic(KafkaWorker *worker, int first, int end, bool ahead)
{
	int			oldest = -1;
	bool		read = ahead;

	for (int i = first; i < end; i++)
	{
		if (worker->partitions[i].asked)
			return 0;
		if (!is_candidate(worker, i))
			continue;
		read = read || kafka_worker_is_moved(worker, i);
		if (oldest < 0 || worker->partitions[i].proven <
			worker->partitions[oldest].proven)
			oldest = i;
	}
	if (!read || oldest < 0)
		return 0;
	worker->partitions[oldest].asked = true;
	return 1;
}

/*
 * Says whether the partition is moved by this batch, or may be by the next one,
 * and has what proves it.
 */
static bool
is_candidate(KafkaWorker *worker, int i)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	return i < n && worker->partitions[i].proof.offset >= 0 &&
		(!positions[i].at_log_end || kafka_worker_is_moved(worker, i));
}

/*
 * Says whether the log was longer when last asked than what has come of it.
 */
static bool
is_behind(KafkaWorker *worker, int i)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	return i < n && positions[i].position < worker->partitions[i].end;
}

/*
 * Says whether the partition's own proof does not hold good or, ahead, not for
 * much longer.
 */
static bool
is_stale(KafkaWorker *worker, int i, TimestampTz now, bool ahead)
{
	return exceeds(worker->partitions[i].proven, now, is_behind(worker, i) ?
				   BEHIND_INTERVAL : PROOF_INTERVAL, ahead);
}

static bool
exceeds(TimestampTz proven, TimestampTz now, int interval, bool ahead)
{
	return TimestampDifferenceExceeds(proven, now,
									  ahead ? interval * DUE_PART : interval);
}

static bool
same_topic(const KafkaWorker *worker, int i, int j)
{
	return strcmp(worker->partitions[i].topic,
				  worker->partitions[j].topic) == 0;
}
