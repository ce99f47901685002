/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts and stops the workers of all databases.
 *
 * NOTES
 *	  The launcher is in no database, so it is in nobody's way; a scanner, a
 *	  process that lives for some milliseconds, looks for the subscriptions of
 *	  a database.  One scanner runs at a time.
 *
 *	  Everything is looked at again whenever the latch is set: by a commit that
 *	  has changed subscriptions, by the end of a worker or scanner, by a
 *	  signal.  Nothing that is found undone is lost when the launcher is
 *	  restarted, for it begins with a scan of all databases.
 *
 *	  DROP DATABASE fails while a worker is connected to the database, so
 *	  ingest.c ends the workers before, and asks for a scan if the database is
 *	  still there afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "compat.h"
#include "ingest/catalog.h"
#include "ingest/copies.h"
#include "ingest/launcher.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define IDLE_TIMEOUT 60000		/* ms between looks when nothing happens */
#define FIRST_RESTART 1000		/* ms after the first failure, doubled up to */
#define LAST_RESTART 30000		/* ms */
#define PROCESS_RETRY 5000		/* ms until the next try to get a process */
#define SCAN_RETRY 5000			/* ms until a failed scan is tried again */
#define WARN_INTERVAL 60000		/* ms between warnings of the same */
#define STOP_PATIENCE 1000		/* ms from asking a worker to end to SIGTERM */

static KafkaWaitEvent wait_event = {"KafkaLauncherMain"};

typedef struct Launcher
{
	BackgroundWorkerHandle **workers;	/* by slot; NULL when not started */
	BackgroundWorkerHandle *scanner;
	Oid			scanning;		/* the scanner's database */
	List	   *databases;		/* OIDs to scan */
	TimestampTz scan_at;		/* not earlier */
	TimestampTz process_at;		/* no process is asked for earlier */
	TimestampTz warned;			/* of exhausted processes */
} Launcher;

static void forget_launcher(int code, Datum arg);
static void retry_all(Launcher *launcher);
static long look(Launcher *launcher);
static void reap(Launcher *launcher, TimestampTz now);
static long tend_slot(Launcher *launcher, int i, TimestampTz now);
static bool has_ended(BackgroundWorkerHandle **handle);
static void schedule_restart(KafkaWorkerSlot *slot, TimestampTz now);
static void ask_to_stop(KafkaWorkerSlot *slot, TimestampTz now);
static bool start_worker(Launcher *launcher, int i, TimestampTz now);
static bool register_process(Launcher *launcher, BackgroundWorker *process,
							 BackgroundWorkerHandle **handle,
							 TimestampTz now);
static long tend_scans(Launcher *launcher, TimestampTz now);
static void take_requests(Launcher *launcher);
static void end_scan(Launcher *launcher, TimestampTz now);
static void start_scan(Launcher *launcher, TimestampTz now);
static List *list_databases(void);
static bool is_connectable(Form_pg_database database);
static bool database_exists(Oid dbid);
static long ms_until(TimestampTz when, TimestampTz now);

/*
 * kafka_launcher_main
 *		The launcher's process.
 */
void
kafka_launcher_main(Datum arg)
{
	Launcher	launcher = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	launcher.workers = MemoryContextAllocZero(TopMemoryContext,
											  mul_size(sizeof(BackgroundWorkerHandle *),
													   Max(kafka_shared->nslots, 1)));
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	kafka_shared->launcher = MyLatch;
	kafka_shared->scan_all = true;
	LWLockRelease(kafka_shared->lock);
	before_shmem_exit(forget_launcher, (Datum) 0);

	while (!ShutdownRequestPending)
	{
		long		timeout;

		MemoryContextSwitchTo(TopMemoryContext);
		timeout = look(&launcher);
		pgstat_report_activity(STATE_IDLE, NULL);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout, kafka_compat_wait_event(&wait_event));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			retry_all(&launcher);
		}
	}
	/* with exit code 0 the postmaster would not start it again */
	proc_exit(1);
}

static void
forget_launcher(int code, Datum arg)
{
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	kafka_shared->launcher = NULL;
	LWLockRelease(kafka_shared->lock);
}

/*
 * Has everything that waits for a next try tried at once.
 */
static void
retry_all(Launcher *launcher)
{
	launcher->process_at = 0;
	launcher->scan_at = 0;
	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nslots; i++)
		kafka_shared->slots[i].restart_at = 0;
	LWLockRelease(kafka_shared->lock);
}

/*
 * Does all there is to do, and returns how many ms may pass until the next
 * look.
 */
static long
look(Launcher *launcher)
{
	TimestampTz now = GetCurrentTimestamp();
	long		timeout;

	reap(launcher, now);
	timeout = tend_scans(launcher, now);
	for (int i = 0; i < kafka_shared->nslots; i++)
		timeout = Min(timeout, tend_slot(launcher, i, now));
	return timeout;
}

/*
 * Sees to processes that have ended; others may have their place.
 */
static void
reap(Launcher *launcher, TimestampTz now)
{
	if (has_ended(&launcher->scanner))
	{
		end_scan(launcher, now);
		launcher->process_at = 0;
	}
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (!has_ended(&launcher->workers[i]))
			continue;
		launcher->process_at = 0;
		LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
		if (slot->in_use && slot->wanted && slot->pid == 0)
			schedule_restart(slot, now);
		LWLockRelease(kafka_shared->lock);
	}
}

/*
 * Starts or stops the slot's worker as it is due, and returns how many ms may
 * pass until the next look.
 */
static long
tend_slot(Launcher *launcher, int i, TimestampTz now)
{
	KafkaWorkerSlot *slot = &kafka_shared->slots[i];
	bool		start = false;
	long		timeout = IDLE_TIMEOUT;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	if (slot->in_use && !slot->wanted)
	{
		if (slot->pid != 0)
		{
			ask_to_stop(slot, now);
			timeout = STOP_PATIENCE;
		}
		else if (launcher->workers[i] == NULL)
			slot->in_use = false;
	}
	else if (slot->in_use && slot->pid == 0 && launcher->workers[i] == NULL)
	{
		timeout = ms_until(Max(slot->restart_at, launcher->process_at), now);
		start = timeout == 0;
	}
	LWLockRelease(kafka_shared->lock);

	if (start)
		timeout = start_worker(launcher, i, now) ? IDLE_TIMEOUT :
			PROCESS_RETRY;
	return timeout;
}

/*
 * Says whether a process has ended, and then forgets its handle.
 */
static bool
has_ended(BackgroundWorkerHandle **handle)
{
	pid_t		pid;

	if (*handle == NULL ||
		GetBackgroundWorkerPid(*handle, &pid) != BGWH_STOPPED)
		return false;
	pfree(*handle);
	*handle = NULL;
	return true;
}

/*
 * Decides when a worker that has ended is started again: at once when it
 * wants to, or else the later, the more often it has failed.
 */
static void
schedule_restart(KafkaWorkerSlot *slot, TimestampTz now)
{
	int			delay = FIRST_RESTART;

	if (slot->restart_now || slot->stop)
		delay = 0;
	for (int i = 1; i < slot->failures && delay > 0 && delay < LAST_RESTART; i++)
		delay = Min(delay * 2, LAST_RESTART);
	slot->restart_at = TimestampTzPlusMilliseconds(now, delay);
	slot->state = delay > 0 ? KAFKA_WORKER_RETRYING : KAFKA_WORKER_STARTING;
	slot->restart_now = false;
	slot->stop = false;
}

static void
ask_to_stop(KafkaWorkerSlot *slot, TimestampTz now)
{
	if (!slot->stop)
	{
		slot->stop = true;
		slot->stop_since = now;
		SetLatch(slot->latch);
	}
	else if (ms_until(TimestampTzPlusMilliseconds(slot->stop_since,
												  STOP_PATIENCE), now) == 0)
		kill(slot->pid, SIGTERM);
}

/*
 * Starts the slot's worker; false when there is no process for it.
 */
static bool
start_worker(Launcher *launcher, int i, TimestampTz now)
{
	KafkaWorkerSlot *slot = &kafka_shared->slots[i];
	BackgroundWorker process = {0};
	uint32		generation;
	bool		started;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	generation = ++slot->generation;
	if (slot->workers == 1)
		snprintf(process.bgw_name, BGW_MAXLEN, "kafka_fdw subscription %s",
				 NameStr(slot->name));
	else
		snprintf(process.bgw_name, BGW_MAXLEN, "kafka_fdw worker %d of %s",
				 slot->number + 1, NameStr(slot->name));
	LWLockRelease(kafka_shared->lock);

	snprintf(process.bgw_type, BGW_MAXLEN, "kafka_fdw worker");
	snprintf(process.bgw_function_name, BGW_MAXLEN, "kafka_worker_main");
	process.bgw_main_arg = Int32GetDatum(i);
	memcpy(process.bgw_extra, &generation, sizeof(generation));
	started = register_process(launcher, &process, &launcher->workers[i], now);

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	if (slot->generation == generation && slot->pid == 0)
		slot->state = started ? KAFKA_WORKER_STARTING : KAFKA_WORKER_NO_PROCESS;
	LWLockRelease(kafka_shared->lock);
	return started;
}

/*
 * Asks the postmaster for a process; false when max_worker_processes are in
 * use, which the log is told now and then.
 */
static bool
register_process(Launcher *launcher, BackgroundWorker *process,
				 BackgroundWorkerHandle **handle, TimestampTz now)
{
	process->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	process->bgw_start_time = BgWorkerStart_RecoveryFinished;
	process->bgw_restart_time = BGW_NEVER_RESTART;
	process->bgw_notify_pid = MyProcPid;
	snprintf(process->bgw_library_name, MAXPGPATH, "kafka_fdw");

	if (RegisterDynamicBackgroundWorker(process, handle))
		return true;
	*handle = NULL;
	launcher->process_at = TimestampTzPlusMilliseconds(now, PROCESS_RETRY);
	if (TimestampDifferenceExceeds(launcher->warned, now, WARN_INTERVAL))
	{
		launcher->warned = now;
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("out of background worker slots for Kafka subscriptions"),
				 errhint("You might need to increase max_worker_processes.")));
	}
	return false;
}

/*
 * Sees to the scanner: what it has done, and what it does next.
 */
static long
tend_scans(Launcher *launcher, TimestampTz now)
{
	TimestampTz due;

	take_requests(launcher);
	due = Max(launcher->scan_at, launcher->process_at);
	if (launcher->scanner == NULL && launcher->databases != NIL &&
		ms_until(due, now) == 0)
	{
		start_scan(launcher, now);
		due = launcher->process_at;
	}
	return launcher->scanner == NULL && launcher->databases != NIL ?
		ms_until(due, now) : IDLE_TIMEOUT;
}

/*
 * Moves the requests to the launcher's list.
 */
static void
take_requests(Launcher *launcher)
{
	Oid			requests[KAFKA_MAX_SCANS];
	int			n;
	bool		all;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	n = kafka_shared->nscans;
	memcpy(requests, kafka_shared->scans, sizeof(Oid) * n);
	all = kafka_shared->scan_all;
	kafka_shared->nscans = 0;
	kafka_shared->scan_all = false;
	LWLockRelease(kafka_shared->lock);

	if (n > 0 || all)
		launcher->scan_at = 0;
	for (int i = 0; i < n; i++)
		launcher->databases = list_append_unique_oid(launcher->databases,
													 requests[i]);
	if (all)
		launcher->databases = list_concat_unique_oid(launcher->databases,
													 list_databases());
}

/*
 * Puts the database of a scanner that did not finish back on the list.
 */
static void
end_scan(Launcher *launcher, TimestampTz now)
{
	bool		finished;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	finished = kafka_shared->scanned == launcher->scanning;
	LWLockRelease(kafka_shared->lock);
	if (finished)
		return;
	launcher->databases = list_append_unique_oid(launcher->databases,
												 launcher->scanning);
	launcher->scan_at = TimestampTzPlusMilliseconds(now, SCAN_RETRY);
}

static void
start_scan(Launcher *launcher, TimestampTz now)
{
	BackgroundWorker process = {0};
	Oid			dbid = linitial_oid(launcher->databases);

	if (!database_exists(dbid))
	{
		launcher->databases = list_delete_first(launcher->databases);
		kafka_shmem_set_wanted(dbid, NIL);
		SetLatch(MyLatch);
		return;
	}
	snprintf(process.bgw_name, BGW_MAXLEN, "kafka_fdw scanner");
	snprintf(process.bgw_type, BGW_MAXLEN, "kafka_fdw scanner");
	snprintf(process.bgw_function_name, BGW_MAXLEN, "kafka_scanner_main");
	process.bgw_main_arg = ObjectIdGetDatum(dbid);

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	kafka_shared->scanned = InvalidOid;
	LWLockRelease(kafka_shared->lock);
	if (!register_process(launcher, &process, &launcher->scanner, now))
		return;
	launcher->databases = list_delete_first(launcher->databases);
	launcher->scanning = dbid;
}

/*
 * Returns the OIDs of the databases that one can connect to.
 */
static List *
list_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *databases = NIL;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old = MemoryContextSwitchTo(context);

		if (is_connectable(database))
			databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return databases;
}

/*
 * Says whether one can connect to the database; one whose DROP was interrupted
 * has a negative connection limit that no user can set.
 */
static bool
is_connectable(Form_pg_database database)
{
	return database->datallowconn && database->datconnlimit >= -1;
}

static bool
database_exists(Oid dbid)
{
	MemoryContext context = CurrentMemoryContext;
	HeapTuple	tuple;
	bool		exists = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	if (HeapTupleIsValid(tuple))
	{
		exists = is_connectable((Form_pg_database) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return exists;
}

/*
 * kafka_scanner_main
 *		The scanner's process; arg is the database that it looks at.
 */
void
kafka_scanner_main(Datum arg)
{
	Oid			dbid = DatumGetObjectId(arg);
	List	   *subscriptions = NIL;
	List	   *runnable = NIL;
	ListCell   *lc;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(dbid, InvalidOid, 0);

	/* whatever database and role say, and without waiting for anybody long */
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_OVERRIDE);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(kafka_catalog_relation()))
		subscriptions = kafka_copies_settle(kafka_catalog_enabled());
	foreach(lc, subscriptions)
	{
		KafkaSubscription *subscription = lfirst(lc);

		if (SearchSysCacheExists1(AUTHOID,
								  ObjectIdGetDatum(subscription->owner)))
			runnable = lappend(runnable, subscription);
		else
			ereport(WARNING,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("subscription \"%s\" gets no worker because its owner does not exist",
							subscription->name)));
	}
	kafka_shmem_set_wanted(dbid, runnable);
	PopActiveSnapshot();
	CommitTransactionCommand();

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	kafka_shared->scanned = dbid;
	LWLockRelease(kafka_shared->lock);
	proc_exit(0);
}

/*
 * Returns the ms until a moment, 0 when it has passed.
 */
static long
ms_until(TimestampTz when, TimestampTz now)
{
	return when <= now ? 0 : TimestampDifferenceMilliseconds(now, when);
}
