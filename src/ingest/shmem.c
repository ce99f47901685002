/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  What launcher, workers and sessions tell each other.
 *
 * NOTES
 *	  A session that changes subscriptions asks for a scan of its database
 *	  when, and only when, it commits.  A scan that nobody needed is harmless.
 *
 *	  The requests for scans are a short list; when it is full, all databases
 *	  are scanned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "ingest/catalog.h"
#include "ingest/shmem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "options.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

KafkaSharedState *kafka_shared = NULL;

static KafkaWaitEvent wait_event = {"KafkaSubscriptionProgress"};

static shmem_request_hook_type prev_shmem_request_hook;
static shmem_startup_hook_type prev_shmem_startup_hook;

/* ids of the subscriptions that this transaction has changed */
static List *changed = NIL;

static void request_shmem(void);
static void start_shmem(void);
static Size shmem_size(void);
static void at_xact_end(XactEvent event, void *arg);
static void request_reread(void);
static bool want(Oid dbid, const KafkaSubscription *subscription, int number);
static KafkaWorkerSlot *find_slot(Oid dbid, int32 subscription, int number);
static bool is_of(const KafkaWorkerSlot *slot, Oid dbid, int32 subscription);
static void set_request(KafkaWorkerSlot *slot, bool *flag);
static KafkaWorkerSlot *free_slot(void);
static void detach(int code, Datum arg);

/*
 * kafka_shmem_init
 *		Asks for shared memory, while the library is preloaded.
 */
void
kafka_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(shmem_size());
	RequestNamedLWLockTranche("kafka_fdw", 1);
}

static void
start_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	kafka_shared = ShmemInitStruct("kafka_fdw", shmem_size(), &found);
	if (!found)
	{
		memset(kafka_shared, 0, shmem_size());
		kafka_shared->lock = &GetNamedLWLockTranche("kafka_fdw")->lock;
		kafka_shared->nslots = kafka_max_workers;
		ConditionVariableInit(&kafka_shared->started);
		for (int i = 0; i < kafka_max_workers; i++)
			ConditionVariableInit(&kafka_shared->slots[i].progress);
	}
	LWLockRelease(AddinShmemInitLock);
}

static Size
shmem_size(void)
{
	return add_size(offsetof(KafkaSharedState, slots),
					mul_size(kafka_max_workers, sizeof(KafkaWorkerSlot)));
}

const char *
kafka_worker_state_name(KafkaWorkerState state)
{
	switch (state)
	{
		case KAFKA_WORKER_STARTING:
			return "starting";
		case KAFKA_WORKER_NO_PROCESS:
			return "waiting for a process";
		case KAFKA_WORKER_CONNECTING:
			return "connecting";
		case KAFKA_WORKER_IDLE:
			return "idle";
		case KAFKA_WORKER_READING:
			return "reading";
		case KAFKA_WORKER_APPLYING:
			return "applying";
		case KAFKA_WORKER_LOCKED:
			return "waiting for a lock";
		case KAFKA_WORKER_RETRYING:
			return "retrying";
	}
	return "unknown";
}

/*
 * kafka_request_scan
 *		Has the subscription's worker and the launcher look at this database's
 *		subscriptions once the current transaction has committed.
 */
void
kafka_request_scan(int32 subscription)
{
	static bool registered = false;
	MemoryContext old;

	if (!registered)
	{
		RegisterXactCallback(at_xact_end, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	changed = list_append_unique_int(changed, subscription);
	MemoryContextSwitchTo(old);
}

/*
 * kafka_scan_requested
 *		Says whether the current transaction has changed subscriptions.
 */
bool
kafka_scan_requested(void)
{
	return changed != NIL;
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (changed == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has changed Kafka subscriptions")));
			break;
		case XACT_EVENT_COMMIT:
			request_reread();
			kafka_shmem_request_scan(MyDatabaseId);
			changed = NIL;
			break;
		case XACT_EVENT_ABORT:
			changed = NIL;
			break;
		default:
			break;
	}
}

/*
 * Has the workers of changed subscriptions read the definition again.
 *
 * They would hear of it from the launcher too, if there is a process free for
 * a scanner.
 */
static void
request_reread(void)
{
	if (kafka_shared == NULL)
		return;
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (slot->in_use && slot->dbid == MyDatabaseId &&
			list_member_int(changed, slot->subscription))
			set_request(slot, &slot->reread);
	}
	LWLockRelease(kafka_shared->lock);
}

static void
set_request(KafkaWorkerSlot *slot, bool *flag)
{
	*flag = true;
	if (slot->latch != NULL)
		SetLatch(slot->latch);
}

/*
 * kafka_shmem_request_scan
 *		Has the launcher look at a database, or, for InvalidOid, at all.
 *
 * Raises nothing, so that it can be called when a transaction ends.
 */
void
kafka_shmem_request_scan(Oid dbid)
{
	bool		found = false;

	if (kafka_shared == NULL)
		return;
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nscans; i++)
		found = found || kafka_shared->scans[i] == dbid;
	if (!OidIsValid(dbid) || kafka_shared->nscans == KAFKA_MAX_SCANS)
		kafka_shared->scan_all = true;
	else if (!found)
		kafka_shared->scans[kafka_shared->nscans++] = dbid;
	LWLockRelease(kafka_shared->lock);
	kafka_shmem_wake_launcher();
}

void
kafka_shmem_wake_launcher(void)
{
	LWLockAcquire(kafka_shared->lock, LW_SHARED);
	if (kafka_shared->launcher != NULL)
		SetLatch(kafka_shared->launcher);
	LWLockRelease(kafka_shared->lock);
}

/*
 * kafka_wait_for_worker
 *		Asks the subscription's workers to apply what they hold at once and,
 *		with discover, to look for new partitions; then waits until one of them
 *		has done something, or timeout ms.
 *
 * The caller ends its loop with ConditionVariableCancelSleep().
 */
void
kafka_wait_for_worker(int32 subscription, bool discover, long timeout)
{
	ConditionVariable *progress = &kafka_shared->started;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (!is_of(slot, MyDatabaseId, subscription))
			continue;
		if (slot->number == 0)
			progress = &slot->progress;
		if (discover)
			slot->discover = true;
		set_request(slot, &slot->flush);
	}
	LWLockRelease(kafka_shared->lock);
	ConditionVariableTimedSleep(progress, timeout,
								kafka_compat_wait_event(&wait_event));
}

/*
 * kafka_shmem_set_wanted
 *		Makes exactly these subscriptions of a database wanted, and any of
 *		them whose worker waits after an error start at once.
 *
 * subscriptions is a list of KafkaSubscription.
 */
void
kafka_shmem_set_wanted(Oid dbid, const List *subscriptions)
{
	ListCell   *lc;
	int			missing = 0;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nslots; i++)
		if (kafka_shared->slots[i].dbid == dbid)
			kafka_shared->slots[i].wanted = false;
	foreach(lc, subscriptions)
	{
		const KafkaSubscription *subscription = lfirst(lc);
		bool		complete = true;

		for (int i = 0; i < subscription->workers; i++)
			complete = want(dbid, subscription, i) && complete;
		missing += complete ? 0 : 1;
	}
	LWLockRelease(kafka_shared->lock);
	kafka_shmem_wake_launcher();

	if (missing > 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("%d Kafka subscription lacks workers",
							   "%d Kafka subscriptions lack workers",
							   missing, missing),
				 errhint("You might need to increase kafka_fdw.max_subscription_workers.")));
}

/*
 * Makes one worker of a subscription wanted; false when there is no slot for
 * it.
 */
static bool
want(Oid dbid, const KafkaSubscription *subscription, int number)
{
	KafkaWorkerSlot *slot = find_slot(dbid, subscription->id, number);

	if (slot == NULL)
	{
		uint32		generation;

		slot = free_slot();
		if (slot == NULL)
			return false;
		generation = slot->generation;
		memset(slot, 0, offsetof(KafkaWorkerSlot, progress));
		slot->generation = generation + 1;
		slot->in_use = true;
		slot->dbid = dbid;
		slot->subscription = subscription->id;
		slot->number = number;
		slot->state = KAFKA_WORKER_STARTING;
		slot->stats.lag = -1;
		slot->stats.since = GetCurrentTimestamp();
		slot->stats.rate_since = slot->stats.since;
	}
	slot->wanted = true;
	slot->workers = subscription->workers;
	slot->owner = subscription->owner;
	slot->restart_at = 0;
	if (slot->pid == 0)
		slot->restart_now = true;	/* also if the launcher is to see its end */
	namestrcpy(&slot->name, subscription->name);
	return true;
}

static KafkaWorkerSlot *
find_slot(Oid dbid, int32 subscription, int number)
{
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (is_of(slot, dbid, subscription) && slot->number == number)
			return slot;
	}
	return NULL;
}

static bool
is_of(const KafkaWorkerSlot *slot, Oid dbid, int32 subscription)
{
	return slot->in_use && slot->dbid == dbid &&
		slot->subscription == subscription;
}

static KafkaWorkerSlot *
free_slot(void)
{
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (!slot->in_use || (!slot->wanted && slot->pid == 0))
			return slot;
	}
	return NULL;
}

/*
 * kafka_slot_attach
 *		Takes the slot that the launcher has started this worker for, or
 *		returns NULL when it is no longer meant to run.
 */
KafkaWorkerSlot *
kafka_slot_attach(int index, uint32 generation)
{
	KafkaWorkerSlot *slot = &kafka_shared->slots[index];
	bool		mine;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	mine = slot->in_use && slot->wanted && slot->pid == 0 &&
		slot->generation == generation;
	if (mine)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->stop = false;
		slot->restart_now = false;
		slot->reread = false;
		slot->state = KAFKA_WORKER_CONNECTING;
	}
	LWLockRelease(kafka_shared->lock);
	if (!mine)
		return NULL;
	ConditionVariableBroadcast(&kafka_shared->started);
	before_shmem_exit(detach, PointerGetDatum(slot));
	return slot;
}

static void
detach(int code, Datum arg)
{
	KafkaWorkerSlot *slot = (KafkaWorkerSlot *) DatumGetPointer(arg);

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	slot->pid = 0;
	slot->latch = NULL;
	if (!slot->stop && !slot->restart_now)
	{
		slot->failures++;
		slot->stats.retries++;
	}
	slot->state = slot->stop || slot->restart_now ? KAFKA_WORKER_STARTING :
		KAFKA_WORKER_RETRYING;
	LWLockRelease(kafka_shared->lock);
	kafka_shmem_wake_launcher();
	kafka_slot_wake_waiters(slot);
}

/*
 * kafka_slot_note_rate
 *		Begins a new window when the old one is over; with the lock held.
 */
void
kafka_slot_note_rate(KafkaWorkerSlot *slot, TimestampTz now)
{
	KafkaWorkerStats *stats = &slot->stats;

	if (!TimestampDifferenceExceeds(stats->rate_since, now, KAFKA_RATE_WINDOW))
		return;
	stats->rate = kafka_worker_rate(stats, now);
	stats->rate_since = now;
	stats->rate_messages = stats->messages;
}

/*
 * kafka_worker_rate
 *		Returns the messages a second of the last window's length.
 */
double
kafka_worker_rate(const KafkaWorkerStats *stats, TimestampTz now)
{
	double		window = Max(TimestampDifferenceMilliseconds(stats->rate_since,
															 now), 1);
	double		count = (double) (stats->messages - stats->rate_messages);
	double		before = Max(KAFKA_RATE_WINDOW - window, 0);

	return (count * 1000 + stats->rate * before) / (window + before);
}

/*
 * kafka_shmem_reset_stats
 *		Begins to count anew for a subscription of this database.
 */
void
kafka_shmem_reset_stats(int32 subscription)
{
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];
		KafkaWorkerStats *stats = &slot->stats;

		if (!slot->in_use || slot->dbid != MyDatabaseId ||
			slot->subscription != subscription)
			continue;
		stats->messages = stats->rows = stats->bytes = stats->batches = 0;
		stats->bad_messages = stats->retries = 0;
		stats->since = stats->rate_since = now;
		stats->rate_messages = 0;
		stats->rate = 0;
	}
	LWLockRelease(kafka_shared->lock);
}

/*
 * kafka_slot_wake_waiters
 *		Has those who wait for the subscription look again.
 *
 * They wait at the slot of its first worker, or, for a moment, have none.
 */
void
kafka_slot_wake_waiters(KafkaWorkerSlot *slot)
{
	KafkaWorkerSlot *first;

	LWLockAcquire(kafka_shared->lock, LW_SHARED);
	first = find_slot(slot->dbid, slot->subscription, 0);
	LWLockRelease(kafka_shared->lock);
	if (first != NULL)
		ConditionVariableBroadcast(&first->progress);
}

void
kafka_slot_set_state(KafkaWorkerSlot *slot, KafkaWorkerState state)
{
	if (slot->state == state)
		return;
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	slot->state = state;
	LWLockRelease(kafka_shared->lock);
}

void
kafka_slot_set_error(KafkaWorkerSlot *slot, const char *error)
{
	int			len = pg_mbcliplen(error, strlen(error), KAFKA_ERROR_LEN - 1);

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	memcpy(slot->stats.last_error, error, len);
	slot->stats.last_error[len] = '\0';
	LWLockRelease(kafka_shared->lock);
}

/*
 * kafka_slot_unwant
 *		Says that the worker ends on purpose, and must not be started again
 *		before a scan has found the subscription enabled.
 */
void
kafka_slot_unwant(KafkaWorkerSlot *slot)
{
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	slot->wanted = false;
	slot->restart_now = true;
	LWLockRelease(kafka_shared->lock);
}

/*
 * kafka_slot_restart
 *		Says that the worker ends in order to start anew at once.
 */
void
kafka_slot_restart(KafkaWorkerSlot *slot)
{
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	slot->restart_now = true;
	LWLockRelease(kafka_shared->lock);
}

/*
 * kafka_slot_take_request
 *		Clears one of the slot's request flags and says whether it was set.
 */
bool
kafka_slot_take_request(KafkaWorkerSlot *slot, bool *flag)
{
	bool		set;

	if (!*flag)
		return false;
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	set = *flag;
	*flag = false;
	LWLockRelease(kafka_shared->lock);
	return set;
}
