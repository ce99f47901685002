/*-------------------------------------------------------------------------
 *
 * connections.c
 *	  SQL functions on the session's connections.
 *
 * NOTES
 *	  DISCARD ALL closes them too.  There is no other hook for it than that of
 *	  all utility statements.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/pool.h"
#include "compat.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "funcapi.h"
#include "functions/connections.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kafka_connections);
PG_FUNCTION_INFO_V1(kafka_disconnect_all);

static ProcessUtility_hook_type next_utility_hook = NULL;

static void utility_hook(PlannedStmt *pstmt, const char *queryString,
						 bool readOnlyTree, ProcessUtilityContext context,
						 ParamListInfo params, QueryEnvironment *queryEnv,
						 DestReceiver *dest, QueryCompletion *qc);

/*
 * kafka_connections_init
 *		Has DISCARD ALL close the session's unused connections.
 */
void
kafka_connections_init(void)
{
	next_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}

static void
utility_hook(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *queryEnv, DestReceiver *dest,
			 QueryCompletion *qc)
{
	bool		discard_all = IsA(pstmt->utilityStmt, DiscardStmt) &&
	((DiscardStmt *) pstmt->utilityStmt)->target == DISCARD_ALL;
	ProcessUtility_hook_type next = next_utility_hook != NULL ?
	next_utility_hook : standard_ProcessUtility;

	next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	if (discard_all)
		(void) kafka_pool_close_all();
}

/*
 * kafka.connections()
 *		Lists the session's connections; of a dropped server the name is NULL.
 */
Datum
kafka_connections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KafkaConnection *connections;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = kafka_pool_list(&connections);
	for (int i = 0; i < n; i++)
	{
		KafkaConnection *connection = &connections[i];
		ForeignServer *server = GetForeignServerExtended(connection->serverid,
														 FSV_MISSING_OK);
		Interval   *idle = palloc0(sizeof(Interval));
		Datum		values[4] = {0};
		bool		nulls[4] = {false};

		nulls[0] = server == NULL;
		if (server != NULL)
			values[0] = CStringGetTextDatum(server->servername);
		values[1] = CStringGetTextDatum(connection->producer ?
										"producer" : "consumer");
		values[2] = BoolGetDatum(connection->active);
		idle->time = connection->idle * 1000;
		values[3] = IntervalPGetDatum(idle);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * kafka.disconnect_all()
 *		Closes the session's unused connections and returns how many.
 */
Datum
kafka_disconnect_all(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(kafka_pool_close_all());
}
