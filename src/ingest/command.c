/*-------------------------------------------------------------------------
 *
 * command.c
 *	  The command of a subscription: SQL that is run for each batch.
 *
 * NOTES
 *	  A command is one or more statements that read or change tables, in one
 *	  transaction with the positions; so it has no commands of transactions and
 *	  no utility commands, whose names are looked up anew at each run.
 *
 *	  Names mean what they meant to whoever created the subscription: the
 *	  search_path of that session is stored with it.  It is used without
 *	  schemas in which everybody may create objects, for whoever puts a better
 *	  match of a function or an operator there would have the owner's rights.
 *	  Temporary objects are found last, as functions are never.
 *
 *	  The statements are planned once and again when what they use has changed.
 *	  Locks of their tables are taken by the check, before the batch is looked
 *	  at.  Privileges are checked there too, in order that what is missing is no
 *	  message's fault.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "catalog/namespace.h"
#include "compat.h"
#include "executor/spi.h"
#include "ingest/command.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "tcop/cmdtag.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/varlena.h"

/* What enter() has changed, for leave(). */
typedef struct CommandScope
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;
} CommandScope;

/* The statements of the subscription that was last used. */
static SPIPlanPtr prepared;
static MemoryContext prepared_context;
static char *prepared_text;		/* in prepared_context */
static char *prepared_path;

static void enter(CommandScope *scope, const KafkaSubscription *subscription);
static void leave(const CommandScope *scope);
static void set_option(const char *name, const char *value);
static List *split_path(const char *path);
static void check_path(const char *path, Oid owner);
static bool is_open_to_everybody(Oid schema);
static void prepare(const char *command, const char *path);
static void check_statement(CachedPlanSource *statement, const char *name);

/*
 * kafka_command_search_path
 *		Returns the search_path of the session, as it is to be stored with a
 *		command.
 */
char *
kafka_command_search_path(void)
{
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, split_path(namespace_search_path))
	{
		if (strcmp(lfirst(lc), "pg_temp") != 0)
			appendStringInfo(&path, "%s, ", quote_identifier(lfirst(lc)));
	}
	appendStringInfoString(&path, "pg_temp");
	return path.data;
}

/*
 * kafka_command_check
 *		Raises an ERROR unless the command can be run for the subscription's
 *		owner; locks what it uses.
 */
void
kafka_command_check(const KafkaSubscription *subscription)
{
	CommandScope scope;
	bool		reads_source = false;
	ListCell   *lc;

	check_path(subscription->search_path, subscription->owner);
	enter(&scope, subscription);
	prepare(subscription->command, subscription->search_path);
	foreach(lc, SPI_plan_get_plan_sources(prepared))
	{
		CachedPlanSource *statement = lfirst(lc);

		check_statement(statement, subscription->name);
		if (list_member_oid(statement->relationOids, subscription->source))
			reads_source = true;
	}
	leave(&scope);
	if (!reads_source)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("command of subscription \"%s\" does not read its source \"%s\"",
						subscription->name,
						get_rel_name(subscription->source))));
}

/*
 * kafka_command_run
 *		Runs the command, and returns how many rows its last statement has
 *		processed.
 *
 * It has been checked in this transaction.  What it returns is thrown away.
 */
uint64
kafka_command_run(const KafkaSubscription *subscription)
{
	CommandScope scope;
	SPIExecuteOptions options = {.dest = None_Receiver};
	uint64		rows;
	int			result;

	enter(&scope, subscription);
	prepare(subscription->command, subscription->search_path);
	result = SPI_execute_plan_extended(prepared, &options);
	if (result < 0)
		elog(ERROR, "could not run the command of subscription \"%s\": %s",
			 subscription->name, SPI_result_code_string(result));
	rows = SPI_processed;
	leave(&scope);
	return rows;
}

/*
 * Becomes the subscription's owner, with the settings that a command runs
 * with: a parallel worker would not see the batch, and nothing that is short
 * gains from JIT.
 *
 * In the session of somebody else nothing that the owner's code does may
 * outlive it, for it would go on with the rights of that session; planning,
 * too, runs functions.  An ERROR undoes it with the transaction.
 */
static void
enter(CommandScope *scope, const KafkaSubscription *subscription)
{
	scope->nestlevel = NewGUCNestLevel();
	GetUserIdAndSecContext(&scope->userid, &scope->sec_context);
	if (scope->userid != subscription->owner)
		SetUserIdAndSecContext(subscription->owner, scope->sec_context |
							   SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
	set_option("search_path", subscription->search_path);
	set_option("max_parallel_workers_per_gather", "0");
	set_option("jit", "off");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/*
 * Also undoes what the command has set.
 */
static void
leave(const CommandScope *scope)
{
	SPI_finish();
	SetUserIdAndSecContext(scope->userid, scope->sec_context);
	AtEOXact_GUC(false, scope->nestlevel);
}

static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Returns the schemas of a search_path.
 */
static List *
split_path(const char *path)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(path), ',', &names))
		elog(ERROR, "search_path \"%s\" is malformed", path);
	return names;
}

/*
 * Raises an ERROR where everybody could change what the command means.
 */
static void
check_path(const char *path, Oid owner)
{
	ListCell   *lc;

	foreach(lc, split_path(path))
	{
		char	   *name = lfirst(lc);
		Oid			schema;

		if (strcmp(name, "$user") == 0)
			name = GetUserNameFromId(owner, false);
		schema = get_namespace_oid(name, true);
		if (OidIsValid(schema) && is_open_to_everybody(schema))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot use schema \"%s\" in the search_path of a command",
							name),
					 errdetail("Everybody may create objects there, which the command might use with the rights of role \"%s\".",
							   GetUserNameFromId(owner, false)),
					 errhint("Use REVOKE CREATE ON SCHEMA, or create the subscription with another search_path and qualify names.")));
	}
}

static bool
is_open_to_everybody(Oid schema)
{
	return kafka_compat_schema_aclcheck(schema, ACL_ID_PUBLIC, ACL_CREATE) ==
		ACLCHECK_OK;
}

/*
 * Prepares the command's statements, unless they are.
 */
static void
prepare(const char *command, const char *path)
{
	SPIPlanPtr	plan;

	if (prepared != NULL && strcmp(prepared_text, command) == 0 &&
		strcmp(prepared_path, path) == 0)
		return;
	plan = SPI_prepare(command, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not prepare a command: %s",
			 SPI_result_code_string(SPI_result));
	if (SPI_plan_get_plan_sources(plan) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("command must not be empty")));
	if (prepared != NULL)
		SPI_freeplan(prepared);
	prepared = NULL;
	if (prepared_context == NULL)
		prepared_context = AllocSetContextCreate(CacheMemoryContext,
												 "kafka command",
												 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(prepared_context);
	prepared_text = MemoryContextStrdup(prepared_context, command);
	prepared_path = MemoryContextStrdup(prepared_context, path);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	prepared = plan;
}

/*
 * Raises an ERROR for a statement that must not be in a command, or needs
 * privileges that the user does not have; locks what it uses.
 */
static void
check_statement(CachedPlanSource *statement, const char *name)
{
	CachedPlan *plan;
	ListCell   *lc;

	foreach(lc, statement->query_list)
	{
		if (lfirst_node(Query, lc)->commandType == CMD_UTILITY)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s cannot be used in the command of subscription \"%s\"",
							GetCommandTagName(statement->commandTag), name),
					 errhint("Use SELECT, INSERT, UPDATE, DELETE or MERGE.")));
	}
	plan = GetCachedPlan(statement, NULL, CurrentResourceOwner, NULL);
	foreach(lc, plan->stmt_list)
	{
		kafka_compat_check_permissions(lfirst_node(PlannedStmt, lc));
	}
	ReleaseCachedPlan(plan, CurrentResourceOwner);
}
