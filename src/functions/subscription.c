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

#include "compat.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "functions/subscription.h"
#include "ingest/dead_letter.h"
#include "ingest/shmem.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kafka_create_subscription);
PG_FUNCTION_INFO_V1(kafka_alter_subscription);
PG_FUNCTION_INFO_V1(kafka_drop_subscription);
PG_FUNCTION_INFO_V1(kafka_enable_subscription);
PG_FUNCTION_INFO_V1(kafka_disable_subscription);

static void rename_subscription(KafkaSubscription *subscription,
								const char *name);
static void change_owner(KafkaSubscription *subscription, Oid owner);
static bool is_same_server(Oid table1, Oid table2);
static void warn_without_launcher(const char *name);

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
	kafka_subscription_require(fcinfo);
	subscription.name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	subscription.owner = GetUserId();
	subscription.enabled = PG_GETARG_BOOL(15);
	kafka_subscription_read(fcinfo, &subscription);
	kafka_subscription_check_name(subscription.name);
	kafka_subscription_check(&subscription);
	kafka_subscription_check_dead_letters(&subscription);
	subscription.topic = kafka_subscription_topic(&subscription);
	kafka_catalog_insert(&subscription);
	kafka_subscription_start(&subscription, text_to_cstring(PG_GETARG_TEXT_PP(3)));
	kafka_request_scan(subscription.id);
	if (subscription.enabled)
		warn_without_launcher(subscription.name);
	PG_RETURN_VOID();
}

/*
 * kafka.alter_subscription(subscription text, source regclass,
 *							target regclass, name text, command text,
 *							mode text, key_columns text[], workers int,
 *							partitions int[], batch_rows int,
 *							batch_interval interval, on_error text,
 *							dead_letter_topic text, error_limit int,
 *							group_id text, owner regrole, reset text[])
 *		Changes what is not null, after reset to its default what is named
 *		there; waits for the batch under way.
 */
Datum
kafka_alter_subscription(PG_FUNCTION_ARGS)
{
	KafkaSubscription *before;
	KafkaSubscription subscription;

	PreventCommandDuringRecovery("kafka.alter_subscription()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("subscription must not be null")));
	before = kafka_subscription_lock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	subscription = *before;
	if (!PG_ARGISNULL(16))
		kafka_subscription_reset(PG_GETARG_ARRAYTYPE_P(16), &subscription);
	kafka_subscription_read(fcinfo, &subscription);
	if (!PG_ARGISNULL(3))
		rename_subscription(&subscription,
							text_to_cstring(PG_GETARG_TEXT_PP(3)));
	if (!PG_ARGISNULL(15))
		change_owner(&subscription, PG_GETARG_OID(15));
	kafka_subscription_check(&subscription);
	if (!PG_ARGISNULL(1) || !PG_ARGISNULL(12) || !PG_ARGISNULL(15))
		kafka_subscription_check_dead_letters(&subscription);
	if (!PG_ARGISNULL(1))
		subscription.topic = kafka_subscription_topic(&subscription);
	kafka_catalog_update(&subscription);
	if (!PG_ARGISNULL(1) ||
		!bms_equal(subscription.partitions, before->partitions))
		kafka_subscription_restart(&subscription,
								   is_same_server(subscription.source,
												  before->source));
	kafka_request_scan(subscription.id);
	PG_RETURN_VOID();
}

static void
rename_subscription(KafkaSubscription *subscription, const char *name)
{
	if (strcmp(name, subscription->name) == 0)
		return;
	kafka_subscription_check_name(name);
	subscription->name = pstrdup(name);
}

/*
 * Gives the subscription to a role that the user may become, as ALTER ... OWNER
 * TO does.
 */
static void
change_owner(KafkaSubscription *subscription, Oid owner)
{
	if (!kafka_compat_can_set_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be able to SET ROLE \"%s\"",
						GetUserNameFromId(owner, false))));
	subscription->owner = owner;
}

static bool
is_same_server(Oid table1, Oid table2)
{
	return table1 == table2 ||
		GetForeignTable(table1)->serverid == GetForeignTable(table2)->serverid;
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

	PreventCommandDuringRecovery("kafka.drop_subscription()");
	if (PG_GETARG_BOOL(1) && kafka_catalog_by_name(name) == NULL)
	{
		ereport(NOTICE,
				(errmsg("subscription \"%s\" does not exist, skipping", name)));
		PG_RETURN_VOID();
	}
	subscription = kafka_subscription_lock(name);
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
	KafkaSubscription *subscription;

	PreventCommandDuringRecovery("kafka.enable_subscription()");
	subscription = kafka_subscription_lock(name);
	kafka_subscription_check(subscription);
	kafka_catalog_set_enabled(subscription, true);
	kafka_catalog_set_error(subscription, NULL, NULL);
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
	KafkaSubscription *subscription;

	PreventCommandDuringRecovery("kafka.disable_subscription()");
	subscription = kafka_subscription_lock(name);
	kafka_catalog_set_enabled(subscription, false);
	kafka_request_scan(subscription->id);
	PG_RETURN_VOID();
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
