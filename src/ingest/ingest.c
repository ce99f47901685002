/*-------------------------------------------------------------------------
 *
 * ingest.c
 *	  What ingest does when the library is preloaded: shared memory, launcher,
 *	  and room for DROP DATABASE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "ingest/copies.h"
#include "ingest/ingest.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"

#define LAUNCHER_RESTART 5		/* s */
#define DROP_PATIENCE 5000		/* ms, as long as DROP DATABASE itself waits */
#define DROP_SLICE 20			/* ms */

static object_access_hook_type prev_object_access_hook;

/* the database that this transaction drops */
static Oid	dropping;

static void register_launcher(void);
static void on_object_access(ObjectAccessType access, Oid classid,
							 Oid objectid, int subid, void *arg);
static void end_workers(Oid dbid);
static int	signal_workers(Oid dbid);
static void at_xact_end(XactEvent event, void *arg);

/*
 * kafka_ingest_init
 *		Registers all that needs shared_preload_libraries.
 */
void
kafka_ingest_init(void)
{
	kafka_copies_init();
	kafka_shmem_init();
	register_launcher();
	prev_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
	RegisterXactCallback(at_xact_end, NULL);
}

static void
register_launcher(void)
{
	BackgroundWorker process = {0};

	process.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	process.bgw_start_time = BgWorkerStart_RecoveryFinished;
	process.bgw_restart_time = LAUNCHER_RESTART;
	snprintf(process.bgw_name, BGW_MAXLEN, "kafka_fdw launcher");
	snprintf(process.bgw_type, BGW_MAXLEN, "kafka_fdw launcher");
	snprintf(process.bgw_library_name, MAXPGPATH, "kafka_fdw");
	snprintf(process.bgw_function_name, BGW_MAXLEN, "kafka_launcher_main");
	RegisterBackgroundWorker(&process);
}

/*
 * Ends the workers of a database that is about to be dropped.
 *
 * DROP DATABASE comes here with the database locked and its privileges
 * checked, before it looks whether anybody is connected.
 */
static void
on_object_access(ObjectAccessType access, Oid classid, Oid objectid,
				 int subid, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, classid, objectid, subid, arg);
	if (access != OAT_DROP || classid != DatabaseRelationId ||
		kafka_shared == NULL || objectid == MyDatabaseId)
		return;
	dropping = objectid;
	end_workers(objectid);
}

/*
 * Ends the database's workers and waits for them, a while.
 */
static void
end_workers(Oid dbid)
{
	for (int waited = 0; signal_workers(dbid) > 0; waited += DROP_SLICE)
	{
		if (waited >= DROP_PATIENCE)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 DROP_SLICE, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Tells the database's workers to end, and returns how many there are.
 */
static int
signal_workers(Oid dbid)
{
	int			n = 0;

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < kafka_shared->nslots; i++)
	{
		KafkaWorkerSlot *slot = &kafka_shared->slots[i];

		if (!slot->in_use || slot->dbid != dbid)
			continue;
		slot->wanted = false;
		if (slot->pid == 0)
			continue;
		n++;
		if (!slot->stop)
			kill(slot->pid, SIGTERM);
		slot->stop = true;
	}
	LWLockRelease(kafka_shared->lock);
	return n;
}

/*
 * Has the database looked at again, be it dropped or, after an error, not.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (!OidIsValid(dropping) ||
		(event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	kafka_shmem_request_scan(dropping);
	dropping = InvalidOid;
}
