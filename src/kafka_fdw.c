/*-------------------------------------------------------------------------
 *
 * kafka_fdw.c
 *	  Loads the module: configuration parameters, shared memory, launcher.
 *
 * NOTES
 *	  No librdkafka handle is made here: under shared_preload_libraries this
 *	  runs in the postmaster, which must stay single-threaded, and no handle
 *	  survives a fork.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "client/commit.h"
#include "client/guard.h"
#include "cut_point.h"
#include "fmgr.h"
#include "functions/connections.h"
#include "ingest/ingest.h"
#include "miscadmin.h"
#include "options.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

int			kafka_timeout;
int			kafka_delivery;
int			kafka_commit_memory;
int			kafka_fetch_memory;
int			kafka_idle_timeout;
char	   *kafka_allowed_brokers;
char	   *kafka_kinit_command;
int			kafka_max_workers;
#ifdef KAFKA_FDW_TESTING
char	   *kafka_stop_at;
#endif

static const struct config_enum_entry delivery_values[] = {
	{"commit", KAFKA_DELIVERY_COMMIT, false},
	{"immediate", KAFKA_DELIVERY_IMMEDIATE, false},
	{NULL, 0, false}
};

void		_PG_init(void);
static bool check_allowed_brokers(char **value, void **extra, GucSource source);

void
_PG_init(void)
{
	DefineCustomIntVariable("kafka_fdw.timeout",
							"Time without an answer from Kafka after which a statement fails.",
							"The option \"timeout\" of a foreign server or table overrides it.",
							&kafka_timeout, 30000, 100, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomEnumVariable("kafka_fdw.delivery",
							 "When rows written to Kafka are sent.",
							 "The option \"delivery\" of a foreign server or table overrides it.",
							 &kafka_delivery, KAFKA_DELIVERY_COMMIT,
							 delivery_values,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kafka_fdw.commit_memory",
							"Memory for messages that a transaction holds back until it commits.",
							"Beyond it they go to a temporary file.",
							&kafka_commit_memory, 64 * 1024, 64, 2097151,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("kafka_fdw.fetch_memory",
							"Memory that one consumer uses for messages fetched ahead.",
							"Where messages are compressed very well, what a response is unpacked to may exceed it.",
							&kafka_fetch_memory, 64 * 1024, 1024, 2097151,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("kafka_fdw.idle_timeout",
							"Time for which a session keeps an unused connection to Kafka.",
							"0 closes connections at the end of each statement.",
							&kafka_idle_timeout, 60000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("kafka_fdw.allowed_brokers",
							   "Hosts and addresses that clients of Kafka may connect to.",
							   "Names with * and ?, addresses and CIDR, with or without a port. Empty allows all but link-local addresses.",
							   &kafka_allowed_brokers, "",
							   PGC_SUSET, GUC_LIST_INPUT,
							   check_allowed_brokers, NULL, NULL);
	DefineCustomStringVariable("kafka_fdw.kinit_command",
							   "Shell command that gets a Kerberos ticket.",
							   "Empty runs none. %{sasl.kerberos.keytab} and the like stand for options of the foreign server.",
							   &kafka_kinit_command, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
	{
		DefineCustomIntVariable("kafka_fdw.max_subscription_workers",
								"Maximum number of subscription workers.",
								NULL,
								&kafka_max_workers, 16, 0, 1024,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
		kafka_ingest_init();
	}
#ifdef KAFKA_FDW_TESTING
	DefineCustomStringVariable("kafka_fdw.stop_at",
							   "Place where the process stops, for tests.",
							   NULL,
							   &kafka_stop_at, "",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
#endif
	MarkGUCPrefixReserved("kafka_fdw");
	kafka_commit_init();
	kafka_connections_init();
}

static bool
check_allowed_brokers(char **value, void **extra, GucSource source)
{
	const char *bad;
	int			length;

	if (kafka_guard_check_list(*value, &bad, &length))
		return true;
	GUC_check_errdetail("\"%.*s\" is not a name, a pattern with * and ?, an address or CIDR, with or without a port.",
						length, bad);
	return false;
}
