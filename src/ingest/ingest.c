/*-------------------------------------------------------------------------
 *
 * ingest.c
 *	  What ingest does when the library is preloaded: shared memory, launcher,
 *	  and the commands that it makes room for or follows.
 *
 * NOTES
 *	  DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE, and CREATE
 *	  DATABASE of a template want nobody else in the database, so its workers
 *	  are ended before.  Nothing starts them before the scan that is asked for
 *	  when the command has ended, well or not.
 *
 *	  A worker notices by itself when its server, user mapping or foreign table
 *	  changes; one that waits after an error does not run, so such commands ask
 *	  for a scan, after which it starts at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "compat.h"
#include "ingest/copies.h"
#include "ingest/ingest.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "nodes/parsenodes.h"
#include "postmaster/bgworker.h"
#include "tcop/utility.h"

#define LAUNCHER_RESTART 5		/* s */
#define DROP_PATIENCE 5000		/* ms, as long as DROP DATABASE itself waits */
#define DROP_SLICE 20			/* ms */

static KafkaWaitEvent wait_event = {"KafkaEndWorkers"};

static object_access_hook_type prev_object_access_hook;
static ProcessUtility_hook_type prev_utility_hook;

/* the database whose workers were ended for a command of this transaction */
static Oid	cleared;

/* the database that this transaction has created, perhaps with subscriptions */
static Oid	created;

/* commands of this transaction may have mended what a worker failed of */
static bool mended = false;

static void register_launcher(void);
static void on_utility(PlannedStmt *plan, const char *query,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static const char *database_to_clear(Node *command);
static DefElem *find_option(List *options, const char *name);
static void clear_database(const char *name);
static bool is_mending(Node *command);
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
	prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
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
	cleared = objectid;
	end_workers(objectid);
}

static void
on_utility(PlannedStmt *plan, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	Node	   *command = plan->utilityStmt;
	const char *database = database_to_clear(command);
	bool		mends = is_mending(command);
	char	   *name = IsA(command, CreatedbStmt) ?
	pstrdup(((CreatedbStmt *) command)->dbname) : NULL;

	if (database != NULL)
		clear_database(database);
	(prev_utility_hook != NULL ? prev_utility_hook : standard_ProcessUtility)
		(plan, query, read_only_tree, context, params, environment, dest,
		 completion);
	mended = mended || mends;
	if (name != NULL)
		created = get_database_oid(name, true);
}

/*
 * Returns the database that a command wants for itself, or NULL.
 */
static const char *
database_to_clear(Node *command)
{
	if (IsA(command, RenameStmt) &&
		((RenameStmt *) command)->renameType == OBJECT_DATABASE)
		return ((RenameStmt *) command)->subname;
	if (IsA(command, CreatedbStmt))
	{
		DefElem    *option = find_option(((CreatedbStmt *) command)->options,
										 "template");

		return option != NULL && option->arg != NULL ? defGetString(option) :
			"template1";
	}
	if (IsA(command, AlterDatabaseStmt) &&
		find_option(((AlterDatabaseStmt *) command)->options, "tablespace"))
		return ((AlterDatabaseStmt *) command)->dbname;
	return NULL;
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

/*
 * Ends the workers of the database, if the user may do with it what the command
 * is about.
 */
static void
clear_database(const char *name)
{
	Oid			dbid = get_database_oid(name, true);

	if (kafka_shared == NULL || !OidIsValid(dbid) ||
		!kafka_compat_owns_database(dbid, GetUserId()))
		return;
	cleared = dbid;
	end_workers(dbid);
}

static bool
is_mending(Node *command)
{
	switch (nodeTag(command))
	{
		case T_AlterFdwStmt:
		case T_AlterForeignServerStmt:
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
			return true;
		case T_AlterTableStmt:
			return ((AlterTableStmt *) command)->objtype == OBJECT_FOREIGN_TABLE;
		default:
			return false;
	}
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
						 DROP_SLICE, kafka_compat_wait_event(&wait_event));
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
 * Has databases looked at again: one that was cleared for a command, whether
 * that went well or not, and this one.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	if (OidIsValid(cleared))
		kafka_shmem_request_scan(cleared);
	if (OidIsValid(created) && event == XACT_EVENT_COMMIT)
		kafka_shmem_request_scan(created);
	if (mended && event == XACT_EVENT_COMMIT)
		kafka_shmem_request_scan(MyDatabaseId);
	cleared = created = InvalidOid;
	mended = false;
}
