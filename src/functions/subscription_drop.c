/*-------------------------------------------------------------------------
 *
 * subscription_drop.c
 *	  What DROP does to subscriptions.
 *
 * NOTES
 *	  A subscription is a row, not an object that pg_depend knows.  Event
 *	  triggers of the extension stand in for that: they see every object that
 *	  a command drops, in whatever way, also when the library is not preloaded,
 *	  and in C also whether the command said CASCADE.  DROP EXTENSION kafka_fdw
 *	  has dropped them before they could fire.
 *
 *	  Roles belong to no database, so no event trigger can keep them.  The owner
 *	  of a subscription is granted what everybody may anyway, and that grant is
 *	  what DROP ROLE stumbles over (catalog_owner.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/event_trigger.h"
#include "fmgr.h"
#include "ingest/catalog.h"
#include "ingest/shmem.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"

PG_FUNCTION_INFO_V1(kafka_subscription_on_drop);

static bool is_cascade(Node *command);
static void drop_dependent(const KafkaDependent *dependent, bool cascade);
static void drop_owned(const DropOwnedStmt *command);

/*
 * kafka.subscription_on_drop()
 *		Event trigger: refuses to drop source or target of a subscription, or,
 *		with CASCADE, drops the subscription too; and those of roles whose
 *		objects are dropped.
 */
Datum
kafka_subscription_on_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = (EventTriggerData *) fcinfo->context;
	ListCell   *lc;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("kafka.subscription_on_drop() was not called by event trigger manager")));
	if (!OidIsValid(kafka_catalog_relation()))
		PG_RETURN_NULL();
	if (IsA(data->parsetree, DropOwnedStmt))
		drop_owned((DropOwnedStmt *) data->parsetree);
	if (strcmp(data->event, "sql_drop") == 0)
		foreach(lc, kafka_catalog_dependents())
			drop_dependent(lfirst(lc), is_cascade(data->parsetree));
	PG_RETURN_NULL();
}

static bool
is_cascade(Node *command)
{
	if (IsA(command, DropStmt))
		return ((DropStmt *) command)->behavior == DROP_CASCADE;
	if (IsA(command, DropOwnedStmt))
		return ((DropOwnedStmt *) command)->behavior == DROP_CASCADE;
	return false;
}

static void
drop_dependent(const KafkaDependent *dependent, bool cascade)
{
	KafkaSubscription *subscription;

	if (!cascade)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop %s because other objects depend on it",
						dependent->object),
				 errdetail("subscription %s depends on %s",
						   dependent->subscription, dependent->object),
				 errhint("Use DROP ... CASCADE to drop the dependent objects too.")));
	kafka_catalog_lock(dependent->id, AccessExclusiveLock);
	subscription = kafka_catalog_by_id(dependent->id);
	if (subscription == NULL)
		return;
	ereport(NOTICE,
			(errmsg("drop cascades to subscription %s", subscription->name)));
	kafka_catalog_delete(subscription);
	kafka_request_scan(subscription->id);
}

/*
 * Drops the subscriptions of the roles, as DROP OWNED drops all they own.
 */
static void
drop_owned(const DropOwnedStmt *command)
{
	ListCell   *role;
	ListCell   *lc;

	foreach(role, command->roles)
	{
		Oid			owner = get_rolespec_oid(lfirst(role), false);

		foreach(lc, kafka_catalog_owned(owner))
		{
			KafkaSubscription *subscription = lfirst(lc);

			kafka_catalog_lock(subscription->id, AccessExclusiveLock);
			kafka_catalog_delete(subscription);
			kafka_request_scan(subscription->id);
		}
	}
}
