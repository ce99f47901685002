/*-------------------------------------------------------------------------
 *
 * catalog_owner.c
 *	  The owners of subscriptions, and what subscriptions depend on.
 *
 * NOTES
 *	  Who owns a subscription is granted SELECT on kafka.subscription, which
 *	  everybody has by PUBLIC.  The grant is what makes DROP ROLE refuse, in
 *	  any database of the cluster, and is in a dump.  DROP OWNED takes it away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "ingest/catalog.h"
#include "ingest/catalog_sql.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

static KafkaStatement select_owned = {
	"SELECT id FROM kafka.subscription WHERE owner::oid = $1 ORDER BY id",
	1, {OIDOID}
};
static KafkaStatement select_dependents = {
	"SELECT s.id, s.subscription, d.object_type || ' ' || d.object_identity "
	"FROM pg_event_trigger_dropped_objects() AS d "
	"JOIN kafka.subscription AS s ON d.objid IN (s.source::oid, s.target::oid) "
	"WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0 "
	"ORDER BY s.id"
};

static void change_grant(Oid owner, const char *command, const char *to);

/*
 * kafka_catalog_hold_owner
 *		Makes DROP ROLE refuse to drop the role.
 */
void
kafka_catalog_hold_owner(Oid owner)
{
	change_grant(owner, "GRANT", "TO");
}

/*
 * kafka_catalog_release_owner
 *		Undoes it when the role owns no subscription any more.
 */
void
kafka_catalog_release_owner(Oid owner)
{
	if (kafka_catalog_owned(owner) == NIL)
		change_grant(owner, "REVOKE", "FROM");
}

/*
 * Grants or revokes.  Only one session at a time can change the row that
 * grants are in, so others wait for its transaction.
 */
static void
change_grant(Oid owner, const char *command, const char *to)
{
	char	   *name = GetUserNameFromId(owner, true);
	KafkaCatalogScope scope;

	if (name == NULL)
		return;
	kafka_catalog_enter(&scope);
	if (owner != GetUserId())
	{
		LockRelationOid(kafka_catalog_relation(), ShareUpdateExclusiveLock);
		if (SPI_execute(psprintf("%s SELECT ON kafka.subscription %s %s",
								 command, to, quote_identifier(name)),
						false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not %s", command);
	}
	kafka_catalog_leave(&scope);
}

/*
 * kafka_catalog_owned
 *		Returns the subscriptions of a role, as KafkaSubscription.
 */
List *
kafka_catalog_owned(Oid owner)
{
	KafkaCatalogScope scope;
	Datum		values[] = {ObjectIdGetDatum(owner)};
	List	   *ids = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_owned, values, NULL);
	MemoryContextSwitchTo(scope.context);
	for (uint64 i = 0; i < SPI_processed; i++)
		ids = lappend_int(ids, DatumGetInt32(kafka_catalog_column(i, 1)));
	kafka_catalog_leave(&scope);
	foreach(lc, ids)
		result = lappend(result, kafka_catalog_by_id(lfirst_int(lc)));
	return result;
}

/*
 * kafka_catalog_dependents
 *		Returns the subscriptions whose source or target has been dropped, as
 *		KafkaDependent.  For event triggers of sql_drop only.
 */
List *
kafka_catalog_dependents(void)
{
	KafkaCatalogScope scope;
	List	   *result = NIL;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_dependents, NULL, NULL);
	MemoryContextSwitchTo(scope.context);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		KafkaDependent *dependent = palloc(sizeof(KafkaDependent));

		dependent->id = DatumGetInt32(kafka_catalog_column(i, 1));
		dependent->subscription = TextDatumGetCString(kafka_catalog_column(i, 2));
		dependent->object = TextDatumGetCString(kafka_catalog_column(i, 3));
		result = lappend(result, dependent);
	}
	kafka_catalog_leave(&scope);
	return result;
}
