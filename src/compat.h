/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15 and 18 in one place.
 *
 * NOTES
 *	  Each difference is an inline function or macro with the newest signature
 *	  or meaning.  PG_VERSION_NUM stands nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_COMPAT_H
#define KAFKA_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "kafka_fdw needs PostgreSQL 15 or later"
#endif

/*
 * Memory allocation by type is in minor releases of 2026 only, or in 16.
 */
#ifndef palloc_array
#define palloc_array(type, count) ((type *) palloc(mul_size(sizeof(type), count)))
#endif

/*
 * A function that does not return says so in front of its declaration (18).
 */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif
#ifndef palloc0_array
#define palloc0_array(type, count) ((type *) palloc0(mul_size(sizeof(type), count)))
#endif

/*
 * Wait events: an extension has names of its own since 17.
 */
#include "utils/wait_event.h"

typedef struct KafkaWaitEvent
{
	const char *name;
	uint32		info;			/* 0 before the first use */
} KafkaWaitEvent;

static inline uint32
kafka_compat_wait_event(KafkaWaitEvent *event)
{
#if PG_VERSION_NUM >= 170000
	if (event->info == 0)
		event->info = WaitEventExtensionNew(event->name);
	return event->info;
#else
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * Makes a set of events to wait for that lives until it is freed.
 */
#include "storage/latch.h"
#include "utils/memutils.h"

static inline WaitEventSet *
kafka_compat_wait_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/*
 * Foreign data wrapper.
 */
#include "commands/explain.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "optimizer/pathnode.h"
#include "utils/acl.h"
#include "catalog/pg_database.h"
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_foreign_server.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

static inline ForeignPath *
kafka_compat_foreignscan_path(PlannerInfo *root, RelOptInfo *rel,
							  double rows, Cost startup_cost, Cost total_cost,
							  Relids required_outer)
{
#if PG_VERSION_NUM >= 180000
	return create_foreignscan_path(root, rel, NULL, rows, 0, startup_cost,
								   total_cost, NIL, required_outer, NULL,
								   NIL, NIL);
#elif PG_VERSION_NUM >= 170000
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost,
								   total_cost, NIL, required_outer, NULL,
								   NIL, NIL);
#else
	return create_foreignscan_path(root, rel, NULL, rows, startup_cost,
								   total_cost, NIL, required_outer, NULL,
								   NIL);
#endif
}

/*
 * The role whose rights a scan or a modification of a relation is checked
 * with: that of a view's owner, or the current user.
 */
static inline Oid
kafka_compat_scan_user(ForeignScan *plan, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return OidIsValid(plan->checkAsUser) ? plan->checkAsUser : GetUserId();
#else
	RangeTblEntry *rte = exec_rt_fetch(plan->scan.scanrelid, estate);

	return OidIsValid(rte->checkAsUser) ? rte->checkAsUser : GetUserId();
#endif
}

static inline Oid
kafka_compat_result_user(ResultRelInfo *rinfo, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecGetResultRelCheckAsUser(rinfo, estate);
#else
	RangeTblEntry *rte;

	if (rinfo->ri_RootResultRelInfo != NULL)
		rinfo = rinfo->ri_RootResultRelInfo;
	rte = exec_rt_fetch(rinfo->ri_RangeTableIndex, estate);
	return OidIsValid(rte->checkAsUser) ? rte->checkAsUser : GetUserId();
#endif
}

/*
 * Has a statement run without parallel workers.  Called before it runs.
 */
static inline void
kafka_compat_forbid_workers(EState *estate)
{
	estate->es_plannedstmt->parallelModeNeeded = false;
}

/*
 * The same where they forbid subtransactions (before 17).
 */
static inline void
kafka_compat_allow_subtransactions(EState *estate)
{
#if PG_VERSION_NUM < 170000
	kafka_compat_forbid_workers(estate);
#endif
}

#if PG_VERSION_NUM >= 170000
#define KAFKA_PARALLEL_SUBTRANSACTIONS true
#else
#define KAFKA_PARALLEL_SUBTRANSACTIONS false
#endif

static inline AclResult
kafka_compat_server_aclcheck(Oid serverid, Oid roleid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, roleid, mode);
#else
	return pg_foreign_server_aclcheck(serverid, roleid, mode);
#endif
}

/*
 * Writing.
 */
#include "storage/buffile.h"
#include "storage/proc.h"
#if PG_VERSION_NUM < 170000
#include "storage/backendid.h"
#endif

/* 17: a backend's number is that of its slot in shared memory. */
static inline int
kafka_compat_backend_slot(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyBackendId;
#endif
}

/* 16: reading less than is asked for is an error. */
static inline void
kafka_compat_buffile_read(BufFile *file, void *ptr, size_t size)
{
#if PG_VERSION_NUM >= 160000
	BufFileReadExact(file, ptr, size);
#else
	if (BufFileRead(file, ptr, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from temporary file: %m")));
#endif
}

/*
 * Formats.
 */
#include "mb/pg_wchar.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"
#include "utils/jsonfuncs.h"

/*
 * Prepares a caller's lexer; with need_escapes, lex->strval is palloc'd.
 *
 * Before 17 the in-core function pallocs the lexer, which costs a good part of
 * the time that a short message takes, so it is filled here.
 */
static inline void
kafka_compat_json_lexer(JsonLexContext *lex, const char *json, int len,
						bool need_escapes)
{
#if PG_VERSION_NUM >= 170000
	makeJsonLexContextCstringLen(lex, json, len, GetDatabaseEncoding(),
								 need_escapes);
#else
	memset(lex, 0, sizeof(JsonLexContext));
	lex->input = lex->token_terminator = lex->line_start =
		unconstify(char *, json);
	lex->line_number = 1;
	lex->input_length = len;
	lex->input_encoding = GetDatabaseEncoding();
	if (need_escapes)
		lex->strval = makeStringInfo();
#endif
}

/* 16: an action of the JSON parser has a result. */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType KafkaJsonActionResult;
#define KAFKA_JSON_ACTION_DONE JSON_SUCCESS
#else
typedef void KafkaJsonActionResult;
#define KAFKA_JSON_ACTION_DONE
#endif

static inline void
kafka_compat_json_error(JsonParseErrorType error, JsonLexContext *lex)
{
#if PG_VERSION_NUM >= 160000
	json_errsave_error(error, lex, NULL);
#else
	json_ereport_error(error, lex);
#endif
}

static inline void
kafka_compat_adjust_timestamp(Timestamp *timestamp, int32 typmod)
{
#if PG_VERSION_NUM >= 160000
	AdjustTimestampForTypmod(timestamp, typmod, NULL);
#else
	AdjustTimestampForTypmod(timestamp, typmod);
#endif
}

/* a column that is computed when it is read (18) */
static inline bool
kafka_compat_is_virtual(Form_pg_attribute attribute)
{
#if PG_VERSION_NUM >= 180000
	return attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
#endif
}

/*
 * Ingest.
 */
#include "access/htup_details.h"
#include "catalog/pg_namespace.h"

static inline AclResult
kafka_compat_schema_aclcheck(Oid schema, Oid roleid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, roleid, mode);
#else
	return pg_namespace_aclcheck(schema, roleid, mode);
#endif
}

/*
 * Raises an ERROR where the current user may not run a statement.
 */
static inline void
kafka_compat_check_permissions(PlannedStmt *statement)
{
#if PG_VERSION_NUM >= 160000
	(void) ExecCheckPermissions(statement->rtable, statement->permInfos, true);
#else
	(void) ExecCheckRTPerms(statement->rtable, true);
#endif
}

static inline bool
kafka_compat_owns_database(Oid dbid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, dbid, roleid);
#else
	return pg_database_ownercheck(dbid, roleid);
#endif
}

/* 17: a worker may run as a role that cannot log in. */
#if PG_VERSION_NUM >= 170000
#define KAFKA_WORKER_MAY_BYPASS_LOGIN true
#else
#define KAFKA_WORKER_MAY_BYPASS_LOGIN false
#define BGWORKER_BYPASS_ROLELOGINCHECK 0
#endif

/* 18: CopyFrom() takes its rows from a CopyFromRoutine. */
#if PG_VERSION_NUM >= 180000
#define KAFKA_HAVE_COPY_ROUTINE
#endif

/* 16: CopyFromState->defexprs is indexed by column, as defmap[] says. */
#if PG_VERSION_NUM >= 160000
#define KAFKA_COPY_DEFAULT(column, number) (column)
#else
#define KAFKA_COPY_DEFAULT(column, number) (number)
#endif

/* 18: memory in front of the tuple can be asked for. */
static inline MinimalTuple
kafka_compat_form_minimal_tuple(TupleDesc tupdesc, const Datum *values,
								const bool *nulls)
{
#if PG_VERSION_NUM >= 180000
	return heap_form_minimal_tuple(tupdesc, values, nulls, 0);
#else
	return heap_form_minimal_tuple(tupdesc, unconstify(Datum *, values),
								   unconstify(bool *, nulls));
#endif
}

/* 16: only SET ROLE, not membership as such, lets one act as another. */
static inline bool
kafka_compat_can_set_role(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return member_can_set_role(member, role);
#else
	return is_member_of_role(member, role);
#endif
}

#endif							/* KAFKA_COMPAT_H */
