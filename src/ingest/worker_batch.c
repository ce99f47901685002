/*-------------------------------------------------------------------------
 *
 * worker_batch.c
 *	  Writes a batch of messages, with the positions after it.
 *
 * NOTES
 *	  A batch that fails is divided (batch_search.c, apply_parts.c) until the
 *	  rows before the failing message are stored and the message is found.  Then
 *	  it stops the subscription, or it is known as bad, and what is to become of
 *	  bad messages is done in the transaction that writes those around it.
 *
 *	  Messages that cannot be decoded are found faster: after the first one
 *	  the batch is read carefully, which catches the error of each.
 *
 *	  The locks are taken with a timeout, in slices, for whoever changes the
 *	  subscription or its tables may have locked one and wait for another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "ingest/apply_mode.h"
#include "ingest/apply_parts.h"
#include "ingest/worker_internal.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define LOCK_SLICE "500ms"		/* below deadlock_timeout's default: who waits
								 * for us gets the lock, not an error */

static const KafkaMessage *get_message(void *source, int i, bool headers);
static void check_headers(const KafkaWorker *worker);
static bool lacks_headers(const KafkaWorker *worker);
static ErrorData *try_range(KafkaWorker *worker);
static void handle_error(KafkaWorker *worker, KafkaBatchSearch *search,
						 ErrorData *error);
static void write_range(KafkaWorker *worker);
static void apply_messages(KafkaWorker *worker);
static void add_error_context(void *arg);
static bool lock_definition(KafkaWorker *worker);
static void note_commit(KafkaWorker *worker);
static int64 range_bytes(KafkaWorker *worker);

/*
 * kafka_worker_apply_batch
 *		Writes the batch, whole, or else as much of it as can be written before
 *		the subscription is stopped by the message that cannot.
 */
void
kafka_worker_apply_batch(KafkaWorker *worker)
{
	MemoryContext context = AllocSetContextCreate(worker->context,
												  "kafka worker batch",
												  ALLOCSET_SMALL_SIZES);
	KafkaBatchSearch search;
	bool		found_bad = false;

	worker->preparing = true;
	kafka_worker_prove_batch(worker);
	if (worker->outdated)
		return;
	MemoryContextSwitchTo(context);
	worker->batch = kafka_batch_create(get_message, worker,
									   kafka_consumer_count(worker->consumer));
	MemoryContextSwitchTo(worker->context);
	kafka_search_begin(&search, worker->batch, worker->careful,
					   worker->subscription->on_error != KAFKA_BAD_STOP);
	if (worker->part > 0)
		kafka_search_divide(&search, worker->part);
	worker->search = &search;
	worker->may_extend = !search.careful && !search.divided;
	if (worker->may_extend)
		kafka_worker_begin_ahead(worker);
	do
	{
		ErrorData  *error;

		worker->first = search.first;
		worker->last = kafka_search_next(&search);
		worker->careful = search.careful;
		worker->extended = false;
		error = try_range(worker);
		worker->may_extend = false;
		if (worker->outdated)
			return;
		if (error != NULL && worker->extended)
		{
			/* nothing has been written yet */
			kafka_search_begin(&search, worker->batch, worker->careful,
							   search.passes);
			FreeErrorData(error);
			continue;
		}
		found_bad = found_bad || worker->batch->nbad > 0;
		if (error != NULL)
			handle_error(worker, &search, error);
		else if (!search.divided)
			kafka_search_done(&search, worker->last);
		if (search.first == search.end)
			search.end = worker->batch->count;
	} while (search.first < worker->batch->count || worker->failed);
	worker->preparing = true;
	worker->careful = search.careful && found_bad;
	worker->part = kafka_search_part(&search);
	kafka_consumer_release(worker->consumer);
	MemoryContextDelete(context);
}

/*
 * A KafkaBatchMessage of a worker.
 *
 * Headers take time to read, so messages have them once somebody has wanted
 * them, which is an ERROR: then a new round begins, with headers.
 */
static const KafkaMessage *
get_message(void *source, int i, bool headers)
{
	KafkaWorker *worker = source;

	worker->headers = worker->headers || headers;
	check_headers(worker);
	return kafka_consumer_message(worker->consumer, i);
}

static void
check_headers(const KafkaWorker *worker)
{
	if (lacks_headers(worker))
		elog(ERROR, "messages are to be read again, with headers");
}

static bool
lacks_headers(const KafkaWorker *worker)
{
	return worker->headers && !worker->has_headers;
}

/*
 * Writes messages [worker->first, worker->last), or fewer, which worker->last
 * then says; waits for locks.  Returns the error that has prevented it.
 *
 * Errors that a later try may cure end the process.
 */
static ErrorData *
try_range(KafkaWorker *worker)
{
	int			last = worker->last;
	ErrorData  *error;

	for (;;)
	{
		worker->last = last;
		error = kafka_worker_try(worker, write_range);
		worker->failed = error != NULL && !lacks_headers(worker);
		if (lacks_headers(worker))
		{
			worker->outdated = true;
			return NULL;
		}
		if (error == NULL)
		{
			if (worker->written && worker->collecting)
				kafka_worker_note_collected(worker);
			else if (worker->written)
				note_commit(worker);
			return NULL;
		}
		if (!worker->preparing ||
			error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			break;
		FreeErrorData(error);
		kafka_worker_show_state(worker, KAFKA_WORKER_LOCKED);
		kafka_worker_serve_requests(worker);
		if (worker->outdated)
			return NULL;
	}
	if (kafka_error_may_pass(error))
		ReThrowError(error);
	if (worker->collection != NULL && !worker->preparing)
	{
		kafka_worker_forget_collected(worker, true);
		FreeErrorData(error);
		worker->outdated = true;
		return NULL;
	}
	return error;
}

/*
 * Decides how to go on after messages [worker->first, worker->last) could not
 * be written.
 */
static void
handle_error(KafkaWorker *worker, KafkaBatchSearch *search, ErrorData *error)
{
	if (worker->preparing)
		kafka_worker_stop(worker, error);
	if (worker->excess >= 0)
	{
		if (worker->excess == worker->first)
			kafka_worker_stop(worker,
							  kafka_worker_excess_error(worker, worker->excess));
		kafka_search_end_before(search, worker->first, worker->excess);
	}
	else if (search->divided)
	{
		/* parts have gone well; what comes after them has not */
		if (worker->last - worker->first <= 1)
			kafka_worker_stop(worker, error);
		kafka_search_end_before(search, worker->first,
								(worker->first + worker->last) / 2);
	}
	else if (!kafka_search_handle_error(search, &worker->apply, error))
		kafka_worker_stop(worker, error);
	FreeErrorData(error);
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
	worker->excess = -1;
	worker->nbad = 0;
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
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_apply_check(apply);	/* locks what a command uses */
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	worker->mode = kafka_apply_mode(apply);
	worker->preparing = false;
	kafka_worker_show_state(worker, KAFKA_WORKER_APPLYING);
	if (!worker->outdated)
	{
		if (worker->first < worker->last || worker->collection != NULL)
			apply_messages(worker);
		if (!worker->collecting)
		{
			kafka_worker_write_bad_messages(worker);
			check_headers(worker);	/* a command may have caught that */
			kafka_worker_move_positions(worker);
		}
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
	apply->batch = worker->batch;
	apply->first = worker->first;
	apply->last = worker->last;
	apply->careful = worker->careful;
	apply->collect = worker->collecting;
	if (worker->collecting || worker->collection != NULL)
	{
		KafkaCollection *collection = kafka_worker_collection(worker);

		apply->collected = &collection->rows;
		apply->collection = collection->context;
	}
	if (worker->search->divided)
	{
		worker->last = worker->first + 1;	/* its ERROR is that one's */
		kafka_apply_parts(apply, worker->search);
	}
	else
	{
		kafka_worker_let_extend(worker);
		kafka_apply_run(apply);
	}
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
	const KafkaMessage *message = kafka_worker_culprit(worker);

	if (message != NULL && !worker->batch->decoding)
		errcontext("topic \"%s\", partition %d, offset " INT64_FORMAT,
				   message->topic, message->partition, message->offset);
	errcontext("subscription \"%s\"", worker->subscription->name);
}

/*
 * kafka_worker_culprit
 *		Returns the message that an error of the transaction is about, or NULL
 *		where it is about none, or one of several.
 */
const KafkaMessage *
kafka_worker_culprit(KafkaWorker *worker)
{
	if (worker->preparing)
		return NULL;
	if (worker->excess >= 0)
		return kafka_batch_message(worker->batch, worker->excess, false);
	if (worker->apply.last - worker->apply.first != 1)
		return NULL;
	return kafka_batch_message(worker->batch, worker->apply.first, false);
}

/*
 * Locks the subscription and says whether it is as this round knows it.
 */
static bool
lock_definition(KafkaWorker *worker)
{
	KafkaSubscription *now = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(kafka_catalog_relation()))
	{
		kafka_catalog_lock(worker->id, AccessShareLock);
		now = kafka_catalog_by_id(worker->id);
	}
	PopActiveSnapshot();
	if (now == NULL || now->version != worker->subscription->version)
		worker->outdated = true;
	return !worker->outdated;
}

/*
 * Takes over the positions of the transaction that has committed, counts what
 * it wrote, and wakes who waits for it.
 */
static void
note_commit(KafkaWorker *worker)
{
	KafkaWorkerStats *stats = &worker->slot->stats;
	KafkaCollection *collection = worker->collection;
	int64		count = worker->last - worker->first;
	int64		bytes = count > 0 ? range_bytes(worker) : 0;
	TimestampTz newest = collection != NULL ? collection->newest : 0;

	for (int i = 0; i < worker->nmoves; i++)
	{
		KafkaWorkerPartition *partition =
		&worker->partitions[worker->moved[i]];

		partition->seen = worker->moves[i].next;
		if (worker->moves[i].proof.offset >= 0)
			partition->proof = worker->moves[i].proof;
	}
	worker->last_write = GetCurrentTimestamp();
	worker->group_due = worker->group_due || worker->nmoves > 0;
	if (count > 0)
		(void) kafka_message_time(kafka_batch_message(worker->batch,
													  worker->last - 1, false),
								  &newest);
	if (collection != NULL)
	{
		count += collection->messages;
		bytes += collection->bytes;
		kafka_worker_forget_collected(worker, false);
	}

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	stats->messages += count;
	stats->rows += worker->apply.rows;
	stats->bad_messages += worker->nbad;
	stats->bytes += bytes;
	stats->batches += count > 0 ? 1 : 0;
	stats->last_commit = worker->last_write;
	strlcpy(stats->mode, worker->mode, KAFKA_MODE_LEN);
	kafka_slot_note_rate(worker->slot, worker->last_write);
	if (newest != 0)
		stats->last_message = newest;
	stats->last_error[0] = '\0';
	worker->slot->failures = 0;
	LWLockRelease(kafka_shared->lock);
	kafka_worker_show_lag(worker);
	kafka_slot_wake_waiters(worker->slot);
	if (worker->nbad > 0)
		kafka_worker_forget_bad_messages(worker);
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
		const KafkaMessage *message = kafka_batch_message(worker->batch, i,
														  false);

		bytes += message->key_len + message->value_len;
	}
	return bytes;
}
