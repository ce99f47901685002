/*-------------------------------------------------------------------------
 *
 * worker_batch.c
 *	  Writes a batch of messages, with the positions after it.
 *
 * NOTES
 *	  A batch that fails is divided: its first half is tried alone, and so
 *	  on, until the rows before the failing message are stored and the
 *	  message is found.
 *
 *	  The locks are taken with a timeout, in slices, for whoever changes the
 *	  subscription or its tables may have locked one and wait for another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "ingest/worker_internal.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define LOCK_SLICE "500ms"		/* below deadlock_timeout's default: who waits
								 * for us gets the lock, not an error */

static bool apply_range(KafkaWorker *worker, int first, int last);
static void write_range(KafkaWorker *worker);
static void apply_messages(KafkaWorker *worker);
static void add_error_context(void *arg);
static bool lock_definition(KafkaWorker *worker);
static void note_commit(KafkaWorker *worker);
static int64 range_bytes(KafkaWorker *worker);
static TimestampTz message_time(const KafkaMessage *message);

/*
 * kafka_worker_apply_batch
 *		Writes the batch, whole, or else as much of it as can be written before
 *		the subscription is stopped by the message that cannot.
 */
void
kafka_worker_apply_batch(KafkaWorker *worker)
{
	int			count = kafka_consumer_count(worker->consumer);
	int			first = 0;
	int			bad = 0;		/* [first, bad) fails as a whole */

	kafka_worker_prove_batch(worker);
	if (worker->outdated)
		return;
	do
	{
		int			last = count;

		if (bad > first)
			last = Max(first + 1, (first + bad) / 2);
		if (apply_range(worker, first, last))
			first = worker->last;
		else
			bad = last;
		if (worker->outdated)
			return;
	} while (first < count);
	kafka_consumer_release(worker->consumer);
}

/*
 * Writes messages [first, last), or fewer (worker->last says how many); false
 * when they must be divided.  Ends the process when it fails otherwise.
 */
static bool
apply_range(KafkaWorker *worker, int first, int last)
{
	ErrorData  *error;

	for (;;)
	{
		worker->first = first;
		worker->last = last;
		error = kafka_worker_try(worker, write_range);
		if (error == NULL || !worker->preparing ||
			error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			break;
		FreeErrorData(error);
		error = NULL;
		kafka_worker_show_state(worker, KAFKA_WORKER_LOCKED);
		kafka_worker_serve_requests(worker);
		if (worker->outdated)
			break;
	}
	if (error == NULL)
	{
		if (worker->written)
			note_commit(worker);
		return true;
	}
	if (kafka_worker_is_transient(error))
		ReThrowError(error);
	if (worker->preparing || last - first <= 1)
		kafka_worker_stop(worker, error);
	FreeErrorData(error);
	return false;
}

/*
 * One transaction: rows of messages [worker->first, worker->last), and the
 * positions after them.  Writes nothing when the definition is outdated.
 */
static void
write_range(KafkaWorker *worker)
{
	KafkaApply *apply = &worker->apply;
	ErrorContextCallback callback = {
		.callback = add_error_context,
		.arg = worker,
		.previous = error_context_stack
	};

	error_context_stack = &callback;
	worker->preparing = true;
	worker->written = false;
	memset(apply, 0, sizeof(KafkaApply));
	worker->nmoves = 0;
	StartTransactionCommand();
	SetConfigOption("lock_timeout", LOCK_SLICE, PGC_SUSET, PGC_S_OVERRIDE);
	if (!lock_definition(worker))
	{
		CommitTransactionCommand();
		error_context_stack = callback.previous;
		return;
	}
	kafka_apply_open(apply, worker->subscription);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);

	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_apply_check(apply);
	worker->preparing = false;
	kafka_worker_show_state(worker, KAFKA_WORKER_APPLYING);
	if (!worker->outdated)
	{
		if (worker->first < worker->last)
			apply_messages(worker);
		kafka_worker_move_positions(worker);
		worker->written = true;
	}
	kafka_apply_close(apply);
	PopActiveSnapshot();
	CommitTransactionCommand();
	error_context_stack = callback.previous;
	pgstat_report_stat(false);
}

static void
apply_messages(KafkaWorker *worker)
{
	KafkaApply *apply = &worker->apply;

	apply->options = worker->options;
	apply->consumer = worker->consumer;
	apply->first = worker->first;
	apply->last = worker->last;
	kafka_apply_run(apply);
	worker->last = apply->last;
}

/*
 * Says which subscription, and which messages, an error is about.
 *
 * Of more than one message it is one, and will be tried alone.
 */
static void
add_error_context(void *arg)
{
	KafkaWorker *worker = arg;
	const KafkaMessage *message;

	if (!worker->preparing && !worker->apply.decoding &&
		worker->last - worker->first == 1)
	{
		message = kafka_consumer_message(worker->consumer, worker->first);
		errcontext("topic \"%s\", partition %d, offset " INT64_FORMAT,
				   message->topic, message->partition, message->offset);
	}
	errcontext("subscription \"%s\"", worker->subscription->name);
}

/*
 * Locks the subscription and says whether it is as this round knows it.
 *
 * What may change within a round is taken over.
 */
static bool
lock_definition(KafkaWorker *worker)
{
	KafkaSubscription *known = worker->subscription;
	KafkaSubscription *now = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(kafka_catalog_relation()))
	{
		kafka_catalog_lock(worker->id, AccessShareLock);
		now = kafka_catalog_by_id(worker->id);
	}
	PopActiveSnapshot();
	if (now == NULL || !now->enabled || now->owner != known->owner ||
		now->source != known->source || strcmp(now->topic, known->topic) != 0)
		worker->outdated = true;
	if (worker->outdated)
		return false;
	known->target = now->target;
	known->batch_rows = now->batch_rows;
	known->batch_interval = now->batch_interval;
	return true;
}

/*
 * Takes over the positions of the transaction that has committed, counts what
 * it wrote, and wakes who waits for it.
 */
static void
note_commit(KafkaWorker *worker)
{
	KafkaWorkerStats *stats = &worker->slot->stats;
	int			count = worker->last - worker->first;
	int64		bytes = count > 0 ? range_bytes(worker) : 0;
	TimestampTz newest = count > 0 ?
	message_time(kafka_consumer_message(worker->consumer,
										worker->last - 1)) : 0;

	for (int m = 0, i = 0; m < worker->nmoves; i++)
		if (worker->partitions[i].partition == worker->moves[m].partition)
		{
			worker->partitions[i].seen = worker->moves[m].next;
			if (worker->moves[m].proof.offset >= 0)
				worker->partitions[i].proof = worker->moves[m].proof;
			m++;
		}
	worker->last_write = GetCurrentTimestamp();

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	stats->messages += count;
	stats->rows += worker->apply.rows;
	stats->bytes += bytes;
	stats->batches += count > 0 ? 1 : 0;
	stats->last_commit = worker->last_write;
	if (newest != 0)
		stats->last_message = newest;
	stats->last_error[0] = '\0';
	worker->slot->failures = 0;
	LWLockRelease(kafka_shared->lock);
	kafka_worker_show_lag(worker);
	kafka_slot_wake_waiters(worker->slot);
}

/*
 * Returns the bytes of keys and values of the messages just written.
 */
static int64
range_bytes(KafkaWorker *worker)
{
	int64		bytes = 0;

	if (worker->first == 0 &&
		worker->last == kafka_consumer_count(worker->consumer))
		return kafka_consumer_bytes(worker->consumer);
	for (int i = worker->first; i < worker->last; i++)
	{
		const KafkaMessage *message =
		kafka_consumer_message(worker->consumer, i);

		bytes += message->key_len + message->value_len;
	}
	return bytes;
}

/*
 * Returns a message's timestamp, or 0 when it has none that PostgreSQL can
 * hold.
 */
static TimestampTz
message_time(const KafkaMessage *message)
{
	int64		epoch_diff = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
	SECS_PER_DAY * INT64CONST(1000);
	TimestampTz time;

	if (message->timestamp < 0 ||
		message->timestamp > (END_TIMESTAMP - 1) / 1000)
		return 0;
	time = (message->timestamp - epoch_diff) * 1000;
	return IS_VALID_TIMESTAMP(time) ? time : 0;
}
