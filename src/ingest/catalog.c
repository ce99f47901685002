/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The tables kafka.subscription, subscription_position and
 *	  subscription_error.
 *
 * NOTES
 *	  The tables are read and written as their owner, with a search_path that
 *	  no user can put anything into, and with values only as parameters: who
 *	  may do what is decided by the callers, before.  They are used only if
 *	  they belong to the extension, for a worker runs as the owner that a row
 *	  names, and anybody could make a table of this name elsewhere.
 *
 *	  A change of a subscription takes an exclusive lock on it (a lock of the
 *	  lock manager, not on its row), a batch a shared one.  So what changes a
 *	  subscription waits for the batch under way, and after its commit no
 *	  batch under the old definition writes anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "ingest/catalog.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define MAX_ARGS 8

/* A statement; planned at its first use and kept. */
typedef struct Statement
{
	const char *sql;
	int			nargs;
	Oid			types[MAX_ARGS];
	SPIPlanPtr	plan;
} Statement;

#define SUBSCRIPTION_COLUMNS \
	"subscription, id, owner::oid, source::oid, target::oid, topic, enabled, " \
	"batch_rows, (extract(epoch from batch_interval) * 1000)::int4"

static Statement select_enabled = {
	"SELECT " SUBSCRIPTION_COLUMNS " FROM kafka.subscription "
	"WHERE enabled ORDER BY id"
};
static Statement select_by_name = {
	"SELECT " SUBSCRIPTION_COLUMNS " FROM kafka.subscription "
	"WHERE subscription = $1",
	1, {TEXTOID}
};
static Statement select_by_id = {
	"SELECT " SUBSCRIPTION_COLUMNS " FROM kafka.subscription "
	"WHERE id = $1",
	1, {INT4OID}
};
static Statement insert_subscription = {
	"INSERT INTO kafka.subscription (subscription, owner, source, target, "
	"topic, enabled, batch_rows, batch_interval) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8 * interval '1 ms') RETURNING id",
	8, {TEXTOID, OIDOID, OIDOID, OIDOID, TEXTOID, BOOLOID, INT4OID, INT4OID}
};
static Statement delete_subscription = {
	"DELETE FROM kafka.subscription WHERE id = $1",
	1, {INT4OID}
};
static Statement update_enabled = {
	"UPDATE kafka.subscription SET enabled = $2 WHERE id = $1",
	2, {INT4OID, BOOLOID}
};
static Statement select_error = {
	"SELECT error FROM kafka.subscription_error WHERE subscription = $1",
	1, {TEXTOID}
};
static Statement delete_error = {
	"DELETE FROM kafka.subscription_error WHERE subscription = $1",
	1, {TEXTOID}
};
static Statement insert_error = {
	"INSERT INTO kafka.subscription_error (subscription, error, raised_at) "
	"VALUES ($1, $2, now())",
	2, {TEXTOID, TEXTOID}
};
static Statement select_positions = {
	"SELECT partition, next_offset FROM kafka.subscription_position "
	"WHERE subscription = $1 ORDER BY partition",
	1, {TEXTOID}
};
static Statement insert_position = {
	"INSERT INTO kafka.subscription_position "
	"(subscription, partition, next_offset) VALUES ($1, $2, $3)",
	3, {TEXTOID, INT4OID, INT8OID}
};
static Statement update_positions = {
	"UPDATE kafka.subscription_position p SET next_offset = m.next "
	"FROM unnest($2, $3, $4) AS m (partition, seen, next) "
	"WHERE p.subscription = $1 AND p.partition = m.partition "
	"AND p.next_offset = m.seen",
	4, {TEXTOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
};

/* What enter() has changed, for leave(). */
typedef struct Scope
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;
	MemoryContext context;		/* the caller's */
} Scope;

static void enter(Scope *scope);
static void leave(Scope *scope);
static void run(Statement *statement, Datum *values);
static KafkaSubscription *get_subscription(Statement *statement, Datum key);
static KafkaSubscription *read_subscription(const Scope *scope, int row);
static Datum get_column(int row, int column);
static Datum make_array(const KafkaMove *moves, int nmoves, int field);

/*
 * kafka_catalog_relation
 *		Returns the OID of kafka.subscription, or InvalidOid when this
 *		database does not have the extension.
 */
Oid
kafka_catalog_relation(void)
{
	Oid			extension = get_extension_oid("kafka_fdw", true);
	Oid			schema = get_namespace_oid("kafka", true);
	Oid			relation;

	if (!OidIsValid(extension) || !OidIsValid(schema))
		return InvalidOid;
	relation = get_relname_relid("subscription", schema);
	if (!OidIsValid(relation) ||
		getExtensionOfObject(RelationRelationId, relation) != extension)
		return InvalidOid;
	return relation;
}

/*
 * kafka_catalog_lock
 *		Locks a subscription until the end of the transaction: exclusively to
 *		change it, AccessShareLock to write a batch.
 *
 * Its row must be read after that.
 */
void
kafka_catalog_lock(int32 id, LOCKMODE mode)
{
	LockDatabaseObject(kafka_catalog_relation(), (Oid) id, 0, mode);
}

/*
 * kafka_catalog_enabled
 *		Returns all enabled subscriptions, as KafkaSubscription.
 */
List *
kafka_catalog_enabled(void)
{
	Scope		scope;
	List	   *result = NIL;

	enter(&scope);
	run(&select_enabled, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		KafkaSubscription *subscription = read_subscription(&scope, i);
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		result = lappend(result, subscription);
		MemoryContextSwitchTo(old);
	}
	leave(&scope);
	return result;
}

/*
 * kafka_catalog_by_name
 *		Returns a subscription, or NULL.
 */
KafkaSubscription *
kafka_catalog_by_name(const char *name)
{
	return get_subscription(&select_by_name, CStringGetTextDatum(name));
}

/*
 * kafka_catalog_by_id
 *		Returns a subscription, or NULL.
 */
KafkaSubscription *
kafka_catalog_by_id(int32 id)
{
	return get_subscription(&select_by_id, Int32GetDatum(id));
}

/*
 * kafka_catalog_insert
 *		Stores a new subscription, and sets its id.
 */
void
kafka_catalog_insert(KafkaSubscription *subscription)
{
	Scope		scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		ObjectIdGetDatum(subscription->owner),
		ObjectIdGetDatum(subscription->source),
		ObjectIdGetDatum(subscription->target),
		CStringGetTextDatum(subscription->topic),
		BoolGetDatum(subscription->enabled),
		Int32GetDatum(subscription->batch_rows),
		Int32GetDatum(subscription->batch_interval)
	};

	enter(&scope);
	run(&insert_subscription, values);
	subscription->id = DatumGetInt32(get_column(0, 1));
	leave(&scope);
}

/*
 * kafka_catalog_delete
 *		Deletes a subscription with its positions.
 */
void
kafka_catalog_delete(const KafkaSubscription *subscription)
{
	Scope		scope;
	Datum		values[] = {Int32GetDatum(subscription->id)};

	enter(&scope);
	run(&delete_subscription, values);
	leave(&scope);
}

void
kafka_catalog_set_enabled(const KafkaSubscription *subscription, bool enabled)
{
	Scope		scope;
	Datum		values[] = {
		Int32GetDatum(subscription->id), BoolGetDatum(enabled)
	};

	enter(&scope);
	run(&update_enabled, values);
	leave(&scope);
}

/*
 * kafka_catalog_error
 *		Returns the error that stopped the subscription, or NULL.
 */
char *
kafka_catalog_error(const KafkaSubscription *subscription)
{
	Scope		scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	char	   *error = NULL;

	enter(&scope);
	run(&select_error, values);
	if (SPI_processed > 0)
		error = MemoryContextStrdup(scope.context,
									TextDatumGetCString(get_column(0, 1)));
	leave(&scope);
	return error;
}

/*
 * kafka_catalog_set_error
 *		Stores the error that stops the subscription, or, for NULL, that there
 *		is none.
 */
void
kafka_catalog_set_error(const KafkaSubscription *subscription,
						const char *error)
{
	Scope		scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name), (Datum) 0};

	enter(&scope);
	run(&delete_error, values);
	if (error != NULL)
	{
		values[1] = CStringGetTextDatum(error);
		run(&insert_error, values);
	}
	leave(&scope);
}

/*
 * kafka_catalog_positions
 *		Returns the number of stored positions and, ordered by partition, an
 *		array of them.
 */
int
kafka_catalog_positions(const KafkaSubscription *subscription,
						KafkaPosition **positions)
{
	Scope		scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	int			n;

	enter(&scope);
	run(&select_positions, values);
	n = (int) SPI_processed;
	*positions = MemoryContextAlloc(scope.context,
									sizeof(KafkaPosition) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*positions)[i].partition = DatumGetInt32(get_column(i, 1));
		(*positions)[i].next_offset = DatumGetInt64(get_column(i, 2));
	}
	leave(&scope);
	return n;
}

void
kafka_catalog_add_position(const KafkaSubscription *subscription,
						   const KafkaPosition *position)
{
	Scope		scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		Int32GetDatum(position->partition),
		Int64GetDatum(position->next_offset)
	};

	enter(&scope);
	run(&insert_position, values);
	leave(&scope);
}

/*
 * kafka_catalog_move
 *		Moves positions, each only from where it was last seen; false when any
 *		of them was not there.
 */
bool
kafka_catalog_move(const KafkaSubscription *subscription,
				   const KafkaMove *moves, int nmoves)
{
	Scope		scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		make_array(moves, nmoves, 0),
		make_array(moves, nmoves, 1),
		make_array(moves, nmoves, 2)
	};
	bool		moved;

	enter(&scope);
	run(&update_positions, values);
	moved = SPI_processed == nmoves;
	leave(&scope);
	return moved;
}

/*
 * Becomes the owner of the extension's tables, with a search_path that only
 * finds what PostgreSQL ships.  An ERROR undoes it with the transaction.
 */
static void
enter(Scope *scope)
{
	Oid			relation = kafka_catalog_relation();
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"kafka_fdw\" does not exist")));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	scope->context = CurrentMemoryContext;
	scope->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&scope->userid, &scope->sec_context);
	SetUserIdAndSecContext(owner, scope->sec_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
leave(Scope *scope)
{
	SPI_finish();
	SetUserIdAndSecContext(scope->userid, scope->sec_context);
	AtEOXact_GUC(true, scope->nestlevel);
}

/*
 * Runs a statement; none of its parameters is NULL.
 */
static void
run(Statement *statement, Datum *values)
{
	int			result;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->sql, statement->nargs, statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	result = SPI_execute_plan(statement->plan, values, NULL, false, 0);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
}

static KafkaSubscription *
get_subscription(Statement *statement, Datum key)
{
	Scope		scope;
	KafkaSubscription *subscription = NULL;

	enter(&scope);
	run(statement, &key);
	if (SPI_processed > 0)
		subscription = read_subscription(&scope, 0);
	leave(&scope);
	return subscription;
}

/*
 * Makes a subscription, in the caller's context, of a row of
 * SUBSCRIPTION_COLUMNS.
 */
static KafkaSubscription *
read_subscription(const Scope *scope, int row)
{
	MemoryContext old = MemoryContextSwitchTo(scope->context);
	KafkaSubscription *subscription = palloc0(sizeof(KafkaSubscription));

	subscription->name = TextDatumGetCString(get_column(row, 1));
	subscription->id = DatumGetInt32(get_column(row, 2));
	subscription->owner = DatumGetObjectId(get_column(row, 3));
	subscription->source = DatumGetObjectId(get_column(row, 4));
	subscription->target = DatumGetObjectId(get_column(row, 5));
	subscription->topic = TextDatumGetCString(get_column(row, 6));
	subscription->enabled = DatumGetBool(get_column(row, 7));
	subscription->batch_rows = DatumGetInt32(get_column(row, 8));
	subscription->batch_interval = DatumGetInt32(get_column(row, 9));
	MemoryContextSwitchTo(old);
	return subscription;
}

/*
 * Returns a column of the last result; the tables' columns are NOT NULL.
 */
static Datum
get_column(int row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return value;
}

/*
 * Makes an array of one of the fields of KafkaMove, by its number.
 */
static Datum
make_array(const KafkaMove *moves, int nmoves, int field)
{
	Datum	   *values = palloc_array(Datum, nmoves);
	ArrayType  *array;

	for (int i = 0; i < nmoves; i++)
		values[i] = field == 0 ? Int32GetDatum(moves[i].partition) :
			Int64GetDatum(field == 1 ? moves[i].seen : moves[i].next);
	if (field == 0)
		array = construct_array(values, nmoves, INT4OID,
								sizeof(int32), true, TYPALIGN_INT);
	else
		array = construct_array(values, nmoves, INT8OID,
								sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	return PointerGetDatum(array);
}
