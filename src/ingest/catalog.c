/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The table kafka.subscription.
 *
 * NOTES
 *	  The tables are used only if they belong to the extension, for a worker
 *	  runs as the owner that a row names, and anybody could make a table of
 *	  this name elsewhere.
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
#include "common/hashfn.h"
#include "compat.h"
#include "identity.h"
#include "ingest/catalog.h"
#include "ingest/catalog_sql.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* NULL-able ones come after the others */
#define SUBSCRIPTION_COLUMNS \
	"subscription, id, owner::oid, source::oid, topic, mode, workers, " \
	"batch_rows, (extract(epoch from batch_interval) * 1000)::int4, " \
	"on_error, enabled, identity, xmin, " \
	"target::oid, command, key_columns, partitions, dead_letter_topic, " \
	"error_limit, group_id, search_path"

#define SUBSCRIPTION_VALUES 19

static KafkaStatement select_enabled = {
	"SELECT " SUBSCRIPTION_COLUMNS " FROM kafka.subscription "
	"WHERE enabled ORDER BY id"
};
static KafkaStatement select_by_name = {
	"SELECT " SUBSCRIPTION_COLUMNS " FROM kafka.subscription "
	"WHERE subscription = $1",
	1, {TEXTOID}
};
static KafkaStatement select_by_id = {
	"SELECT " SUBSCRIPTION_COLUMNS " FROM kafka.subscription "
	"WHERE id = $1",
	1, {INT4OID}
};
static KafkaStatement insert_subscription = {
	"INSERT INTO kafka.subscription (subscription, owner, source, topic, "
	"mode, workers, batch_rows, batch_interval, on_error, enabled, identity, "
	"target, command, key_columns, partitions, dead_letter_topic, "
	"error_limit, group_id, search_path) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8 * interval '1 ms', $9, $10, $11, "
	"$12, $13, $14, $15, $16, $17, $18, $19) RETURNING id",
	19, {TEXTOID, OIDOID, OIDOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT4OID,
		TEXTOID, BOOLOID, TEXTOID, OIDOID, TEXTOID, TEXTARRAYOID, INT4ARRAYOID,
	TEXTOID, INT4OID, TEXTOID, TEXTOID}
};
static KafkaStatement update_subscription = {
	"UPDATE kafka.subscription SET subscription = $1, owner = $2, source = $3, "
	"topic = $4, mode = $5, workers = $6, batch_rows = $7, "
	"batch_interval = $8 * interval '1 ms', on_error = $9, enabled = $10, "
	"identity = $11, target = $12, command = $13, key_columns = $14, "
	"partitions = $15, dead_letter_topic = $16, error_limit = $17, "
	"group_id = $18, search_path = $19 WHERE id = $20",
	20, {TEXTOID, OIDOID, OIDOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT4OID,
		TEXTOID, BOOLOID, TEXTOID, OIDOID, TEXTOID, TEXTARRAYOID, INT4ARRAYOID,
	TEXTOID, INT4OID, TEXTOID, TEXTOID, INT4OID}
};
static KafkaStatement touch_subscription = {
	"UPDATE kafka.subscription SET enabled = enabled WHERE id = $1",
	1, {INT4OID}
};
static KafkaStatement delete_subscription = {
	"DELETE FROM kafka.subscription WHERE id = $1",
	1, {INT4OID}
};
static KafkaStatement update_enabled = {
	"UPDATE kafka.subscription SET enabled = $2, identity = $3 WHERE id = $1",
	3, {INT4OID, BOOLOID, TEXTOID}
};
static KafkaStatement settle_copy = {
	"UPDATE kafka.subscription SET enabled = $2, identity = $3 "
	"WHERE id = $1 AND identity = $4 AND enabled",
	4, {INT4OID, BOOLOID, TEXTOID, TEXTOID}
};
static KafkaStatement select_version = {
	"SELECT extversion FROM pg_extension WHERE extname = 'kafka_fdw'"
};
static void put_values(const KafkaSubscription *subscription, Datum *values,
					   bool *nulls);
static KafkaSubscription *get_subscription(KafkaStatement *statement,
										   Datum key);
static KafkaSubscription *read_subscription(const KafkaCatalogScope *scope,
											int row);

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
 * kafka_catalog_check_version
 *		Raises an ERROR, which a restart of the server mends, where the SQL
 *		objects are of another version than this library.
 *
 * A preloaded library stays what it was when the server started.
 */
void
kafka_catalog_check_version(void)
{
	KafkaCatalogScope scope;
	char	   *version;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_version, NULL, NULL);
	version = TextDatumGetCString(kafka_catalog_column(0, 1));
	if (strcmp(version, KAFKA_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CANNOT_CONNECT_NOW),
				 errmsg("extension \"kafka_fdw\" has version %s, but the library in this server has version %s",
						version, KAFKA_VERSION),
				 errhint("Restart the server if the library has been replaced, or use ALTER EXTENSION kafka_fdw UPDATE.")));
	kafka_catalog_leave(&scope);
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
	KafkaCatalogScope scope;
	List	   *result = NIL;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_enabled, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		KafkaSubscription *subscription = read_subscription(&scope, i);
		MemoryContext old = MemoryContextSwitchTo(scope.context);

		result = lappend(result, subscription);
		MemoryContextSwitchTo(old);
	}
	kafka_catalog_leave(&scope);
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
 * kafka_catalog_identity
 *		Returns which cluster and database this is, as opposed to a copy of
 *		them.
 */
char *
kafka_catalog_identity(void)
{
	return psprintf("%s-%u", kafka_cluster_identity(), MyDatabaseId);
}

/*
 * kafka_catalog_insert
 *		Stores a new subscription, and sets its id and identity.
 */
void
kafka_catalog_insert(KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	bool		nulls[SUBSCRIPTION_VALUES] = {false};
	Datum		values[SUBSCRIPTION_VALUES];

	subscription->identity = kafka_catalog_identity();
	put_values(subscription, values, nulls);
	kafka_catalog_enter(&scope);
	kafka_catalog_run(&insert_subscription, values, nulls);
	subscription->id = DatumGetInt32(kafka_catalog_column(0, 1));
	kafka_catalog_leave(&scope);
	kafka_catalog_hold_owner(subscription->owner);
}

/*
 * kafka_catalog_update
 *		Stores all that can change of a subscription.
 */
void
kafka_catalog_update(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	bool		nulls[SUBSCRIPTION_VALUES + 1] = {false};
	Datum		values[SUBSCRIPTION_VALUES + 1];
	KafkaSubscription *old = kafka_catalog_by_id(subscription->id);

	put_values(subscription, values, nulls);
	values[SUBSCRIPTION_VALUES] = Int32GetDatum(subscription->id);
	kafka_catalog_enter(&scope);
	kafka_catalog_run(&update_subscription, values, nulls);
	kafka_catalog_leave(&scope);
	if (old->owner != subscription->owner)
	{
		kafka_catalog_hold_owner(subscription->owner);
		kafka_catalog_release_owner(old->owner);
	}
}

/*
 * kafka_catalog_touch
 *		Gives the subscription another version, for a change elsewhere that its
 *		workers must not miss.
 */
void
kafka_catalog_touch(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	Datum		values[] = {Int32GetDatum(subscription->id)};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&touch_subscription, values, NULL);
	kafka_catalog_leave(&scope);
}

/*
 * Fills the parameters of INSERT and UPDATE.
 */
static void
put_values(const KafkaSubscription *subscription, Datum *values, bool *nulls)
{
	values[0] = CStringGetTextDatum(subscription->name);
	values[1] = ObjectIdGetDatum(subscription->owner);
	values[2] = ObjectIdGetDatum(subscription->source);
	values[3] = CStringGetTextDatum(subscription->topic);
	values[4] = CStringGetTextDatum(kafka_mode_name(subscription->mode));
	values[5] = Int32GetDatum(subscription->workers);
	values[6] = Int32GetDatum(subscription->batch_rows);
	values[7] = Int32GetDatum(subscription->batch_interval);
	values[8] = CStringGetTextDatum(kafka_bad_message_name(subscription->on_error));
	values[9] = BoolGetDatum(subscription->enabled);
	values[10] = CStringGetTextDatum(subscription->identity);
	values[11] = ObjectIdGetDatum(subscription->target);
	nulls[11] = !OidIsValid(subscription->target);
	values[12] = kafka_catalog_put_text(subscription->command, &nulls[12]);
	values[13] = kafka_catalog_put_names(subscription->key_columns, &nulls[13]);
	values[14] = kafka_catalog_put_numbers(subscription->partitions, &nulls[14]);
	values[15] = kafka_catalog_put_text(subscription->dead_letter_topic, &nulls[15]);
	values[16] = Int32GetDatum(subscription->error_limit);
	nulls[16] = subscription->error_limit == 0;
	values[17] = kafka_catalog_put_text(subscription->group_id, &nulls[17]);
	values[18] = kafka_catalog_put_text(subscription->search_path, &nulls[18]);
}

/*
 * kafka_catalog_delete
 *		Deletes a subscription with its positions.
 */
void
kafka_catalog_delete(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	Datum		values[] = {Int32GetDatum(subscription->id)};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&delete_subscription, values, NULL);
	kafka_catalog_leave(&scope);
	kafka_catalog_release_owner(subscription->owner);
}

/*
 * kafka_catalog_set_enabled
 *		Enables the subscription here, or disables it.
 */
void
kafka_catalog_set_enabled(const KafkaSubscription *subscription, bool enabled)
{
	KafkaCatalogScope scope;
	Datum		values[] = {
		Int32GetDatum(subscription->id), BoolGetDatum(enabled),
		CStringGetTextDatum(enabled ? kafka_catalog_identity() :
							subscription->identity)
	};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&update_enabled, values, NULL);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_catalog_settle
 *		Decides about a subscription that was enabled elsewhere: adopts it, or
 *		disables it.  False when somebody else has changed it meanwhile.
 */
bool
kafka_catalog_settle(const KafkaSubscription *subscription, bool adopt)
{
	KafkaCatalogScope scope;
	Datum		values[] = {
		Int32GetDatum(subscription->id), BoolGetDatum(adopt),
		CStringGetTextDatum(adopt ? kafka_catalog_identity() :
							subscription->identity),
		CStringGetTextDatum(subscription->identity)
	};
	bool		settled;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&settle_copy, values, NULL);
	settled = SPI_processed > 0;
	kafka_catalog_leave(&scope);
	return settled;
}

/*
 * kafka_subscription_reads
 *		Says whether the subscription reads the partitions of this number.
 */
bool
kafka_subscription_reads(const KafkaSubscription *subscription,
						 int32 partition)
{
	return subscription->partitions == NULL ||
		bms_is_member(partition, subscription->partitions);
}

/*
 * kafka_subscription_worker
 *		Returns the number of the worker that reads a partition.
 *
 * It depends on nothing but the definition, so that a partition never changes
 * hands because others come or go.
 */
int
kafka_subscription_worker(const KafkaSubscription *subscription,
						  const char *topic, int32 partition)
{
	uint32		hash = hash_bytes((const unsigned char *) topic, strlen(topic));
	uint32		rank = subscription->partitions == NULL ? partition :
	bms_member_index(subscription->partitions, partition);

	return (hash % subscription->workers + rank) % subscription->workers;
}

static KafkaSubscription *
get_subscription(KafkaStatement *statement, Datum key)
{
	KafkaCatalogScope scope;
	KafkaSubscription *subscription = NULL;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(statement, &key, NULL);
	if (SPI_processed > 0)
		subscription = read_subscription(&scope, 0);
	kafka_catalog_leave(&scope);
	return subscription;
}

/*
 * Makes a subscription, in the caller's context, of a row of
 * SUBSCRIPTION_COLUMNS.
 */
static KafkaSubscription *
read_subscription(const KafkaCatalogScope *scope, int row)
{
	MemoryContext old = MemoryContextSwitchTo(scope->context);
	KafkaSubscription *subscription = palloc0(sizeof(KafkaSubscription));
	Datum		value;
	bool		isnull;

	subscription->name = kafka_catalog_text(row, 1);
	subscription->id = DatumGetInt32(kafka_catalog_column(row, 2));
	subscription->owner = DatumGetObjectId(kafka_catalog_column(row, 3));
	subscription->source = DatumGetObjectId(kafka_catalog_column(row, 4));
	subscription->topic = kafka_catalog_text(row, 5);
	if (!kafka_mode_by_name(kafka_catalog_text(row, 6), &subscription->mode))
		elog(ERROR, "unknown mode of subscription \"%s\"", subscription->name);
	subscription->workers = DatumGetInt32(kafka_catalog_column(row, 7));
	subscription->batch_rows = DatumGetInt32(kafka_catalog_column(row, 8));
	subscription->batch_interval = DatumGetInt32(kafka_catalog_column(row, 9));
	if (!kafka_bad_message_by_name(kafka_catalog_text(row, 10), &subscription->on_error))
		elog(ERROR, "unknown on_error of subscription \"%s\"", subscription->name);
	subscription->enabled = DatumGetBool(kafka_catalog_column(row, 11));
	subscription->identity = kafka_catalog_text(row, 12);
	subscription->version = DatumGetTransactionId(kafka_catalog_column(row, 13));
	value = kafka_catalog_column_or_null(row, 14, &isnull);
	subscription->target = isnull ? InvalidOid : DatumGetObjectId(value);
	subscription->command = kafka_catalog_text(row, 15);
	subscription->key_columns = kafka_catalog_names(row, 16);
	subscription->partitions = kafka_catalog_numbers(row, 17);
	subscription->dead_letter_topic = kafka_catalog_text(row, 18);
	value = kafka_catalog_column_or_null(row, 19, &isnull);
	subscription->error_limit = isnull ? 0 : DatumGetInt32(value);
	subscription->group_id = kafka_catalog_text(row, 20);
	subscription->search_path = kafka_catalog_text(row, 21);
	MemoryContextSwitchTo(old);
	return subscription;
}
