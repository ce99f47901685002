/*-------------------------------------------------------------------------
 *
 * copies.c
 *	  Subscriptions that are a copy of another cluster's or database's.
 *
 * NOTES
 *	  A subscription is meant to run where it was enabled: kafka.subscription
 *	  says which cluster and database that was.  A restored dump, a database
 *	  made from a template, a base backup that is started as a second server
 *	  and a clone by point-in-time recovery find that they are somewhere else.
 *	  There it is disabled, until somebody enables it, so that a copy for
 *	  tests does not run the commands of the original.
 *
 *	  A standby is somewhere else, too, but is meant to continue when it is
 *	  promoted.  It is a server that was started with standby.signal, which a
 *	  clone is not (recovery.signal, or no such file); this is noted when the
 *	  postmaster starts, for promotion removes the file.  What such a server
 *	  finds enabled was running, on the primary, when the primary's last
 *	  record came: a primary that is a copy itself has disabled it.
 *
 *	  So these are not told apart: a standby that is promoted beside its
 *	  primary in order to be a copy; and a standby that is restarted after its
 *	  promotion before the scanner has seen to the database, a matter of
 *	  milliseconds, which keeps its subscriptions disabled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "ingest/copies.h"
#include "miscadmin.h"

static bool started_as_standby = false;

static bool is_of_this_system(const KafkaSubscription *subscription);

/*
 * kafka_copies_init
 *		Notes, in the postmaster, whether this server starts as a standby.
 */
void
kafka_copies_init(void)
{
	char		path[MAXPGPATH];
	struct stat buf;

	snprintf(path, sizeof(path), "%s/%s", DataDir, STANDBY_SIGNAL_FILE);
	started_as_standby = stat(path, &buf) == 0;
}

/*
 * kafka_copies_settle
 *		Returns those of the enabled subscriptions that run here.  Others are
 *		disabled, or, where a standby has been promoted, enabled here.
 */
List *
kafka_copies_settle(List *subscriptions)
{
	char	   *here = kafka_catalog_identity();
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, subscriptions)
	{
		KafkaSubscription *subscription = lfirst(lc);
		bool		adopt = started_as_standby &&
		is_of_this_system(subscription);

		if (strcmp(subscription->identity, here) != 0 &&
			kafka_catalog_settle(subscription, adopt))
			ereport(LOG,
					(adopt ?
					 errmsg("subscription \"%s\" continues on this server, which was a standby",
							subscription->name) :
					 errmsg("subscription \"%s\" does not run because it is a copy",
							subscription->name),
					 adopt ? 0 :
					 errhint("Use kafka.enable_subscription() to run it here, too.")));
		if (strcmp(subscription->identity, here) == 0 || adopt)
			result = lappend(result, subscription);
	}
	return result;
}

/*
 * Says whether the subscription was enabled in this database of a server of
 * which this one has, or is, a physical copy.
 */
static bool
is_of_this_system(const KafkaSubscription *subscription)
{
	char		system[32];
	char		database[16];
	size_t		len = strlen(subscription->identity);

	snprintf(system, sizeof(system), "%016llx-",
			 (unsigned long long) GetSystemIdentifier());
	snprintf(database, sizeof(database), "-%u", MyDatabaseId);
	return strncmp(subscription->identity, system, strlen(system)) == 0 &&
		len > strlen(database) &&
		strcmp(subscription->identity + len - strlen(database), database) == 0;
}
