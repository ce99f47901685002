/*-------------------------------------------------------------------------
 *
 * subscription_definition.c
 *	  What a subscription may be: reads and checks definitions.
 *
 * NOTES
 *	  kafka.create_subscription() and kafka.alter_subscription() have the
 *	  settings as the same arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "format/format.h"
#include "functions/subscription.h"
#include "ingest/apply.h"
#include "ingest/command.h"
#include "ingest/relations.h"
#include "miscadmin.h"
#include "topics.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define MAX_WORKERS 128
#define MAX_BATCH_ROWS 1000000
#define MAX_BATCH_INTERVAL 3600000	/* ms */
#define MAX_PARTITION 99999		/* more than a broker can have */

static int	default_batch_rows(const KafkaSubscription *subscription);
static int	read_interval(const Interval *interval);
static bool reset_setting(KafkaSubscription *subscription, const char *name);
static char *get_text(FunctionCallInfo fcinfo, int n);
static void reject_choice(const char *argument, const char *value,
						  const char *choices);
static List *names_of_array(ArrayType *array, const char *what);
static Bitmapset *partitions_of_array(ArrayType *array);
static void check_settings(const KafkaSubscription *subscription);
static void check_relations(const KafkaSubscription *subscription);
static void check_login(Oid userid);

/*
 * kafka_subscription_require
 *		Raises an ERROR where an argument is NULL that a new subscription needs.
 */
void
kafka_subscription_require(FunctionCallInfo fcinfo)
{
	static const int required[] = {0, 1, 3, 5, 7, 10, 11, 15};

	for (int i = 0; i < lengthof(required); i++)
		if (PG_ARGISNULL(required[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d of kafka.create_subscription() must not be null",
							required[i] + 1)));
}

/*
 * kafka_subscription_read
 *		Reads the settings among the arguments that are not NULL.
 */
void
kafka_subscription_read(FunctionCallInfo fcinfo,
						KafkaSubscription *subscription)
{
	if (!PG_ARGISNULL(1))
		subscription->source = PG_GETARG_OID(1);
	if (!PG_ARGISNULL(2))
		subscription->target = PG_GETARG_OID(2);
	if (!PG_ARGISNULL(4))
	{
		subscription->command = get_text(fcinfo, 4);
		subscription->search_path = kafka_command_search_path();
	}
	if (!PG_ARGISNULL(5) &&
		!kafka_mode_by_name(get_text(fcinfo, 5), &subscription->mode))
		reject_choice("mode", get_text(fcinfo, 5), "\"insert\" or \"upsert\"");
	if (!PG_ARGISNULL(6))
		subscription->key_columns = names_of_array(PG_GETARG_ARRAYTYPE_P(6),
												   "key_columns");
	if (!PG_ARGISNULL(7))
		subscription->workers = PG_GETARG_INT32(7);
	if (!PG_ARGISNULL(8))
		subscription->partitions = partitions_of_array(PG_GETARG_ARRAYTYPE_P(8));
	if (!PG_ARGISNULL(9))
		subscription->batch_rows = PG_GETARG_INT32(9);
	else if (subscription->batch_rows == 0)
		subscription->batch_rows = default_batch_rows(subscription);
	if (!PG_ARGISNULL(10))
		subscription->batch_interval = read_interval(PG_GETARG_INTERVAL_P(10));
	if (!PG_ARGISNULL(11) &&
		!kafka_bad_message_by_name(get_text(fcinfo, 11), &subscription->on_error))
		reject_choice("on_error", get_text(fcinfo, 11),
					  "\"stop\", \"skip\" or \"dead_letter\"");
	if (!PG_ARGISNULL(12))
		subscription->dead_letter_topic = get_text(fcinfo, 12);
	if (!PG_ARGISNULL(13))
	{
		subscription->error_limit = PG_GETARG_INT32(13);
		if (subscription->error_limit < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("error_limit must be at least 1, or null for no limit")));
	}
	if (!PG_ARGISNULL(14))
		subscription->group_id = get_text(fcinfo, 14);
}

/*
 * A worker that inserts begins long before a batch has so many messages; else
 * they are what is gathered first, and a message may wait for them.
 */
static int
default_batch_rows(const KafkaSubscription *subscription)
{
	return subscription->command == NULL &&
		subscription->mode == KAFKA_MODE_INSERT ? 100000 : 20000;
}

static int
read_interval(const Interval *interval)
{
	int64		ms = kafka_interval_ms(interval);

	if (ms < 0 || ms > MAX_BATCH_INTERVAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_interval must be between 0 and 1 hour")));
	return (int) ms;
}

/*
 * kafka_subscription_reset
 *		Gives settings the values that kafka.create_subscription() gives them,
 *		once kafka_subscription_read() has been called.
 */
void
kafka_subscription_reset(ArrayType *names, KafkaSubscription *subscription)
{
	ListCell   *lc;

	foreach(lc, names_of_array(names, "reset"))
	{
		if (!reset_setting(subscription, lfirst(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a subscription has no setting \"%s\" with a default",
							(char *) lfirst(lc))));
	}
}

static bool
reset_setting(KafkaSubscription *subscription, const char *name)
{
	if (strcmp(name, "target") == 0)
		subscription->target = InvalidOid;
	else if (strcmp(name, "command") == 0)
		subscription->command = subscription->search_path = NULL;
	else if (strcmp(name, "mode") == 0)
		subscription->mode = KAFKA_MODE_INSERT;
	else if (strcmp(name, "key_columns") == 0)
		subscription->key_columns = NIL;
	else if (strcmp(name, "workers") == 0)
		subscription->workers = 1;
	else if (strcmp(name, "partitions") == 0)
		subscription->partitions = NULL;
	else if (strcmp(name, "batch_rows") == 0)
		subscription->batch_rows = 0;	/* by kafka_subscription_read() */
	else if (strcmp(name, "batch_interval") == 0)
		subscription->batch_interval = 1000;
	else if (strcmp(name, "on_error") == 0)
		subscription->on_error = KAFKA_BAD_STOP;
	else if (strcmp(name, "dead_letter_topic") == 0)
		subscription->dead_letter_topic = NULL;
	else if (strcmp(name, "error_limit") == 0)
		subscription->error_limit = 0;
	else if (strcmp(name, "group_id") == 0)
		subscription->group_id = NULL;
	else
		return false;
	return true;
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
names_of_array(ArrayType *array, const char *what)
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
					 errmsg("%s must not contain nulls", what)));
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
 * kafka_subscription_topic
 *		Returns the topics that the source reads at the moment.
 */
char *
kafka_subscription_topic(const KafkaSubscription *subscription)
{
	return pstrdup(kafka_options_table(subscription->source,
									   subscription->owner)->topic);
}

/*
 * kafka_subscription_check_name
 *		Raises an ERROR where a subscription cannot get this name.
 */
void
kafka_subscription_check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a subscription must have between 1 and %d bytes",
						NAMEDATALEN - 1)));
	if (kafka_catalog_by_name(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("subscription \"%s\" already exists", name)));
}

/*
 * kafka_subscription_check
 *		Raises an ERROR where a subscription cannot be so.
 */
void
kafka_subscription_check(const KafkaSubscription *subscription)
{
	check_settings(subscription);
	check_login(subscription->owner);
	check_relations(subscription);
}

/*
 * kafka_subscription_check_dead_letters
 *		Raises an ERROR where the topic for dead letters does not exist.
 */
void
kafka_subscription_check_dead_letters(const KafkaSubscription *subscription)
{
	const char *topic = subscription->dead_letter_topic;
	KafkaConsumer *consumer;

	if (topic == NULL)
		return;
	consumer = kafka_subscription_connect(subscription, PG_INT32_MAX);
	if (!kafka_consumer_has_topic(consumer, topic))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("topic \"%s\" for dead letters does not exist", topic),
				 errhint("Create it, for example with kafka.create_topic(), or leave dead_letter_topic out to keep dead letters in the table kafka.dead_letter.")));
	kafka_consumer_close(consumer);
}

static void
check_settings(const KafkaSubscription *subscription)
{
	if (subscription->workers < 1 || subscription->workers > MAX_WORKERS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be between 1 and %d", MAX_WORKERS)));
	if (subscription->batch_rows < 1 ||
		subscription->batch_rows > MAX_BATCH_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_rows must be between 1 and %d",
						MAX_BATCH_ROWS)));
	if (!OidIsValid(subscription->target) && subscription->command == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a subscription needs a target or a command")));
	if (subscription->command != NULL &&
		(subscription->mode != KAFKA_MODE_INSERT ||
		 subscription->key_columns != NIL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a subscription with a command has no mode and no key columns")));
	if (subscription->key_columns != NIL &&
		subscription->mode != KAFKA_MODE_UPSERT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key_columns needs mode \"upsert\"")));
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
	if (subscription->dead_letter_topic != NULL &&
		kafka_topics_include(kafka_subscription_topic(subscription),
							 subscription->dead_letter_topic))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dead_letter_topic \"%s\" is a topic that the subscription reads",
						subscription->dead_letter_topic)));
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
	if (subscription->target == subscription->source)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source and target of a subscription must not be the same table")));
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
