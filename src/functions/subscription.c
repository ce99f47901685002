/*-------------------------------------------------------------------------
 *
 * subscription.c
 *	  SQL functions on subscriptions.
 *
 * NOTES
 *	  Everybody may create a subscription of a foreign table that they may
 *	  read, whose server they may use, into a table that they may insert into;
 *	  the worker runs with their rights.  The other functions are for the
 *	  subscription's owner, members of the owner, and superusers.
 *
 *	  All changes are transactional; workers follow when they have committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "client/consumer.h"
#include "compat.h"
#include "fmgr.h"
#include "format/format.h"
#include "ingest/apply.h"
#include "ingest/catalog.h"
#include "ingest/dead_letter.h"
#include "ingest/relations.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define MAX_BATCH_ROWS 1000000
#define MAX_BATCH_INTERVAL 3600000	/* ms */
#define MAX_PARTITION 99999		/* more than a broker can have */
#define WAIT_SLICE 200			/* ms */
#define MIN_TIMEOUT 1000		/* ms for Kafka to answer */

PG_FUNCTION_INFO_V1(kafka_create_subscription);
PG_FUNCTION_INFO_V1(kafka_drop_subscription);
PG_FUNCTION_INFO_V1(kafka_enable_subscription);
PG_FUNCTION_INFO_V1(kafka_disable_subscription);
PG_FUNCTION_INFO_V1(kafka_wait_for_subscription);

static void get_definition(FunctionCallInfo fcinfo,
						   KafkaSubscription *subscription);
static char *get_text(FunctionCallInfo fcinfo, int n);
static void reject_choice(const char *argument, const char *value,
						  const char *choices);
static List *names_of_array(ArrayType *array);
static Bitmapset *partitions_of_array(ArrayType *array);
static void check_definition(const KafkaSubscription *subscription);
static void check_supported(const KafkaSubscription *subscription);
static void check_relations(const KafkaSubscription *subscription);
static void check_login(Oid userid);
static void store_positions(const KafkaSubscription *subscription,
							const char *start);
static bool starts_at_end(const char *start);
static int	get_offsets(const KafkaSubscription *subscription, int64 timeout,
						KafkaPartitionOffsets **offsets);
static KafkaSubscription *find_subscription(const char *name);
static KafkaSubscription *lock_subscription(const char *name);
static void warn_without_launcher(const char *name);
static void check_can_wait(const KafkaSubscription *subscription);
static bool wait_until_applied(const KafkaSubscription *subscription,
							   const KafkaPartitionOffsets *ends, int nends,
							   TimestampTz deadline);
static bool has_applied(const KafkaSubscription *subscription,
						const KafkaPartitionOffsets *ends, int nends,
						bool *unknown);
static void check_still_enabled(const KafkaSubscription *subscription);
static int64 interval_ms(const Interval *interval);

/*
 * kafka.create_subscription(subscription text, source regclass,
 *							 target regclass, start text, command text,
 *							 mode text, key_columns text[], workers int,
 *							 partitions int[], batch_rows int,
 *							 batch_interval interval, on_error text,
 *							 dead_letter_topic text, error_limit int,
 *							 group_id text, enabled boolean)
 *		Creates a subscription with a stored position for each partition.
 */
Datum
kafka_create_subscription(PG_FUNCTION_ARGS)
{
	KafkaSubscription subscription = {0};

	PreventCommandDuringRecovery("kafka.create_subscription()");
	get_definition(fcinfo, &subscription);
	check_definition(&subscription);
	check_supported(&subscription);
	check_relations(&subscription);
	subscription.topic = pstrdup(kafka_options_table(subscription.source,
													 subscription.owner)->topic);
	kafka_catalog_insert(&subscription);
	store_positions(&subscription, text_to_cstring(PG_GETARG_TEXT_PP(3)));
	kafka_request_scan(subscription.id);
	if (subscription.enabled)
		warn_without_launcher(subscription.name);
	PG_RETURN_VOID();
}

/*
 * Reads the arguments of kafka.create_subscription().
 */
static void
get_definition(FunctionCallInfo fcinfo, KafkaSubscription *subscription)
{
	static const int required[] = {0, 1, 3, 5, 7, 9, 10, 11, 15};
	int64		batch_interval;

	for (int i = 0; i < lengthof(required); i++)
		if (PG_ARGISNULL(required[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d of kafka.create_subscription() must not be null",
							required[i] + 1)));
	subscription->name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	subscription->owner = GetUserId();
	subscription->source = PG_GETARG_OID(1);
	subscription->target = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
	subscription->command = get_text(fcinfo, 4);
	if (!kafka_mode_by_name(get_text(fcinfo, 5), &subscription->mode))
		reject_choice("mode", get_text(fcinfo, 5), "\"insert\" or \"upsert\"");
	if (!PG_ARGISNULL(6))
		subscription->key_columns = names_of_array(PG_GETARG_ARRAYTYPE_P(6));
	subscription->workers = PG_GETARG_INT32(7);
	if (!PG_ARGISNULL(8))
		subscription->partitions = partitions_of_array(PG_GETARG_ARRAYTYPE_P(8));
	subscription->batch_rows = PG_GETARG_INT32(9);
	batch_interval = interval_ms(PG_GETARG_INTERVAL_P(10));
	if (batch_interval < 0 || batch_interval > MAX_BATCH_INTERVAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_interval must be between 0 and 1 hour")));
	subscription->batch_interval = (int) batch_interval;
	if (!kafka_bad_message_by_name(get_text(fcinfo, 11), &subscription->on_error))
		reject_choice("on_error", get_text(fcinfo, 11),
					  "\"stop\", \"skip\" or \"dead_letter\"");
	subscription->dead_letter_topic = get_text(fcinfo, 12);
	if (!PG_ARGISNULL(13))
	{
		subscription->error_limit = PG_GETARG_INT32(13);
		if (subscription->error_limit < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("error_limit must be at least 1, or null for no limit")));
	}
	subscription->group_id = get_text(fcinfo, 14);
	subscription->enabled = PG_GETARG_BOOL(15);
}

/*
 * Returns a text argument, or NULL.
 */
static char *
get_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static void
reject_choice(const char *argument, const char *value, const char *choices)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s of a subscription: \"%s\"", argument, value),
			 errhint("Use %s.", choices)));
}

/*
 * Returns the elements of a text[], none of which may be NULL, as strings.
 */
static List *
names_of_array(ArrayType *array)
{
	List	   *names = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key_columns must not contain nulls")));
		names = lappend(names, TextDatumGetCString(elements[i]));
	}
	return names;
}

/*
 * Returns the elements of an int[] as a set of partitions, which must not be
 * empty.
 */
static Bitmapset *
partitions_of_array(ArrayType *array)
{
	Bitmapset  *partitions = NULL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		int32		partition = nulls[i] ? -1 : DatumGetInt32(elements[i]);

		if (partition < 0 || partition > MAX_PARTITION)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("partitions must be numbers between 0 and %d",
							MAX_PARTITION)));
		partitions = bms_add_member(partitions, partition);
	}
	if (partitions == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions must not be empty, or null for all")));
	return partitions;
}

/*
 * kafka.drop_subscription(subscription text, if_exists boolean)
 *		Drops a subscription; waits for the batch under way.
 */
Datum
kafka_drop_subscription(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	KafkaSubscription *subscription;

	if (PG_GETARG_BOOL(1) && kafka_catalog_by_name(name) == NULL)
	{
		ereport(NOTICE,
				(errmsg("subscription \"%s\" does not exist, skipping", name)));
		PG_RETURN_VOID();
	}
	subscription = lock_subscription(name);
	kafka_dead_letter_check_none(subscription);
	kafka_catalog_delete(subscription);
	kafka_request_scan(subscription->id);
	PG_RETURN_VOID();
}

/*
 * kafka.enable_subscription(subscription text)
 *		Has a worker read from the stored positions on; forgets the error that
 *		stopped the subscription.
 */
Datum
kafka_enable_subscription(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	KafkaSubscription *subscription = lock_subscription(name);

	check_relations(subscription);
	kafka_catalog_set_enabled(subscription, true);
	kafka_catalog_set_error(subscription, NULL);
	kafka_bad_messages_reset(subscription);
	kafka_request_scan(subscription->id);
	warn_without_launcher(name);
	PG_RETURN_VOID();
}

/*
 * kafka.disable_subscription(subscription text)
 *		Ends the subscription's worker; waits for the batch under way.
 */
Datum
kafka_disable_subscription(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	KafkaSubscription *subscription = lock_subscription(name);

	kafka_catalog_set_enabled(subscription, false);
	kafka_request_scan(subscription->id);
	PG_RETURN_VOID();
}

/*
 * kafka.wait_for_subscription(subscription text, timeout interval)
 *		Waits until the subscription has applied what Kafka has at the time of
 *		the call, and returns whether it has.
 */
Datum
kafka_wait_for_subscription(PG_FUNCTION_ARGS)
{
	KafkaSubscription *subscription;
	KafkaPartitionOffsets *ends;
	int64		timeout = PG_INT32_MAX;
	TimestampTz deadline = DT_NOEND;
	int			nends;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(1))
	{
		timeout = interval_ms(PG_GETARG_INTERVAL_P(1));
		deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout);
	}
	subscription = find_subscription(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	check_can_wait(subscription);
	nends = get_offsets(subscription, timeout, &ends);
	PG_RETURN_BOOL(wait_until_applied(subscription, ends, nends, deadline));
}

/*
 * Raises an ERROR where a subscription cannot be so, whatever it reads.
 */
static void
check_definition(const KafkaSubscription *subscription)
{
	if (subscription->name[0] == '\0' ||
		strlen(subscription->name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a subscription must have between 1 and %d bytes",
						NAMEDATALEN - 1)));
	if (subscription->batch_rows < 1 ||
		subscription->batch_rows > MAX_BATCH_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_rows must be between 1 and %d",
						MAX_BATCH_ROWS)));
	if (subscription->error_limit != 0 &&
		subscription->on_error == KAFKA_BAD_STOP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("error_limit needs on_error \"skip\" or \"dead_letter\"")));
	if (subscription->dead_letter_topic != NULL &&
		subscription->on_error != KAFKA_BAD_DEAD_LETTER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dead_letter_topic needs on_error \"dead_letter\"")));
	check_login(subscription->owner);
	if (kafka_catalog_by_name(subscription->name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("subscription \"%s\" already exists",
						subscription->name)));
}

/*
 * Raises an ERROR for what is not there yet.
 */
static void
check_supported(const KafkaSubscription *subscription)
{
	const char *what = NULL;

	if (!OidIsValid(subscription->target))
		what = "a subscription without target";
	else if (subscription->command != NULL)
		what = "command";
	else if (subscription->mode != KAFKA_MODE_INSERT)
		what = "mode";
	else if (subscription->key_columns != NIL)
		what = "key_columns";
	else if (subscription->workers != 1)
		what = "workers";
	else if (subscription->partitions != NULL)
		what = "partitions";
	else if (subscription->dead_letter_topic != NULL)
		what = "dead_letter_topic";
	else if (subscription->group_id != NULL)
		what = "group_id";
	if (what != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s is not supported yet", what)));
}

/*
 * Raises an ERROR where the owner may not read the source or write the target,
 * or where the source's rows do not fit.
 */
static void
check_relations(const KafkaSubscription *subscription)
{
	KafkaApply	apply;

	kafka_apply_open(&apply, subscription);
	kafka_check_source(apply.source, subscription->owner);
	kafka_check_server(apply.source, subscription->owner);
	kafka_apply_check(&apply);
	(void) kafka_rowmap_create(apply.source,
							   kafka_options_table(subscription->source,
												   subscription->owner),
							   NULL);
	kafka_apply_close(&apply);
}

/*
 * Raises an ERROR where the worker could not connect as the owner.
 */
static void
check_login(Oid userid)
{
	HeapTuple	tuple;
	bool		can_login;

	if (KAFKA_WORKER_MAY_BYPASS_LOGIN)
		return;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(userid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %u", userid);
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!can_login)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("role \"%s\" cannot own a subscription because it is not permitted to log in",
						GetUserNameFromId(userid, false)),
				 errhint("Before PostgreSQL 17, the subscription's worker needs a role with LOGIN.")));
}

/*
 * Stores the first or the end offset of each partition.
 */
static void
store_positions(const KafkaSubscription *subscription, const char *start)
{
	bool		at_end = starts_at_end(start);
	KafkaPartitionOffsets *offsets;
	int			n = get_offsets(subscription, PG_INT32_MAX, &offsets);

	for (int i = 0; i < n; i++)
	{
		KafkaPosition position;

		position.topic = subscription->topic;
		position.partition = offsets[i].partition;
		position.next_offset = at_end ? offsets[i].end : offsets[i].low;
		kafka_catalog_add_position(subscription, &position);
	}
}

static bool
starts_at_end(const char *start)
{
	if (strcmp(start, "earliest") == 0)
		return false;
	if (strcmp(start, "latest") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid start of a subscription: \"%s\"", start),
				 errhint("Use \"earliest\" or \"latest\".")));
	return true;
}

/*
 * Asks Kafka, as the subscription's owner, what the topic's partitions hold;
 * takes no longer than timeout ms, or a second.
 */
static int
get_offsets(const KafkaSubscription *subscription, int64 timeout,
			KafkaPartitionOffsets **offsets)
{
	KafkaTableOptions *options = kafka_options_table(subscription->source,
													 subscription->owner);
	KafkaConsumer *consumer;
	int			n;

	options->client->timeout = Min(options->client->timeout,
								   Max(timeout, MIN_TIMEOUT));
	consumer = kafka_consumer_open(options->client);
	n = kafka_consumer_offsets(consumer, list_make1(subscription->topic), offsets);
	kafka_consumer_close(consumer);
	return n;
}

/*
 * Returns the subscription; raises an ERROR where there is none or it is not
 * the user's.
 */
static KafkaSubscription *
find_subscription(const char *name)
{
	KafkaSubscription *subscription = kafka_catalog_by_name(name);

	if (subscription == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("subscription \"%s\" does not exist", name)));
	if (!has_privs_of_role(GetUserId(), subscription->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of subscription \"%s\"", name)));
	return subscription;
}

/*
 * The same, with the subscription locked against batches and other changes.
 */
static KafkaSubscription *
lock_subscription(const char *name)
{
	KafkaSubscription *subscription = find_subscription(name);
	int32		id = subscription->id;

	kafka_catalog_lock(id, AccessExclusiveLock);
	subscription = find_subscription(name);
	if (subscription->id != id)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("subscription \"%s\" was concurrently recreated",
						name)));
	return subscription;
}

static void
warn_without_launcher(const char *name)
{
	if (kafka_shared == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no worker will read subscription \"%s\"", name),
				 errhint("Add kafka_fdw to shared_preload_libraries and restart the server.")));
}

/*
 * Raises an ERROR where waiting could not end.
 */
static void
check_can_wait(const KafkaSubscription *subscription)
{
	if (kafka_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no worker reads subscription \"%s\"",
						subscription->name),
				 errhint("Add kafka_fdw to shared_preload_libraries and restart the server.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for a subscription in a %s transaction",
						IsolationIsSerializable() ? "SERIALIZABLE" :
						"REPEATABLE READ"),
				 errdetail("The transaction would not see what the worker commits.")));
	if (kafka_scan_requested())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for subscription \"%s\" in a transaction that has changed subscriptions",
						subscription->name),
				 errhint("Commit first.")));
}

/*
 * Waits until all partitions' positions have reached the ends; false at the
 * deadline.
 */
static bool
wait_until_applied(const KafkaSubscription *subscription,
				   const KafkaPartitionOffsets *ends, int nends,
				   TimestampTz deadline)
{
	bool		unknown;
	bool		done;

	for (;;)
	{
		check_still_enabled(subscription);
		done = has_applied(subscription, ends, nends, &unknown);
		if (done || GetCurrentTimestamp() >= deadline)
			break;
		kafka_wait_for_worker(subscription->id, unknown, WAIT_SLICE);
	}
	ConditionVariableCancelSleep();
	return done;
}

/*
 * Says whether the positions have reached the ends; *unknown, whether a
 * partition has no position yet.
 */
static bool
has_applied(const KafkaSubscription *subscription,
			const KafkaPartitionOffsets *ends, int nends, bool *unknown)
{
	KafkaPosition *positions;
	int			n = kafka_catalog_positions(subscription, &positions);
	int			next = 0;
	bool		applied = true;

	*unknown = false;
	for (int i = 0; i < nends; i++)
	{
		while (next < n && positions[next].partition < ends[i].partition)
			next++;
		if (next == n || positions[next].partition != ends[i].partition)
		{
			*unknown = true;
			applied = applied && ends[i].end == 0;
		}
		else if (positions[next].next_offset < ends[i].end)
			applied = false;
	}
	pfree(positions);
	return applied;
}

/*
 * Raises an ERROR when the subscription is no longer read.
 */
static void
check_still_enabled(const KafkaSubscription *subscription)
{
	KafkaSubscription *now = kafka_catalog_by_id(subscription->id);
	char	   *error;

	if (now == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("subscription \"%s\" has been dropped",
						subscription->name)));
	if (now->enabled)
		return;
	error = kafka_catalog_error(subscription);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 error != NULL ?
			 errmsg("subscription \"%s\" has been stopped by an error",
					subscription->name) :
			 errmsg("subscription \"%s\" is disabled", subscription->name),
			 error != NULL ? errdetail_internal("%s", error) : 0,
			 errhint("Use kafka.enable_subscription() to continue.")));
}

/*
 * Returns an interval in ms, a month being 30 days, as PostgreSQL compares
 * intervals.
 */
static int64
interval_ms(const Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;

	return days * (USECS_PER_DAY / 1000) + interval->time / 1000;
}
