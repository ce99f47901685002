/*-------------------------------------------------------------------------
 *
 * admin.c
 *	  SQL functions on topics.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "client/admin.h"
#include "client/consumer.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "functions/server.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kafka_topics);
PG_FUNCTION_INFO_V1(kafka_watermarks);
PG_FUNCTION_INFO_V1(kafka_get_watermarks);
PG_FUNCTION_INFO_V1(kafka_create_topic);
PG_FUNCTION_INFO_V1(kafka_delete_topic);

static void put_watermarks(ReturnSetInfo *result, KafkaClientOptions *options,
						   const char *topic);
static List *topic_config(Jsonb *config);

/*
 * kafka.topics(server text)
 *		Lists the topics that the user may see.
 */
Datum
kafka_topics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KafkaClientOptions *options = kafka_server_options(PG_GETARG_TEXT_PP(0));
	KafkaAdmin *admin;
	KafkaTopicInfo *topics;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(options);
	n = kafka_admin_topics(admin, &topics);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = CStringGetTextDatum(topics[i].name);
		values[1] = Int32GetDatum(topics[i].npartitions);
		values[2] = Int32GetDatum(topics[i].nreplicas);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.watermarks(server text, topic text)
 *		Returns the earliest and the end offset of each partition.
 */
Datum
kafka_watermarks(PG_FUNCTION_ARGS)
{
	KafkaClientOptions *options = kafka_server_options(PG_GETARG_TEXT_PP(0));

	InitMaterializedSRF(fcinfo, 0);
	put_watermarks((ReturnSetInfo *) fcinfo->resultinfo, options,
				   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	return (Datum) 0;
}

/*
 * kafka.kafka_get_watermarks(foreign_table regclass)
 *		Returns the same of a foreign table's topic, under the name and with
 *		the columns of adjust/kafka_fdw.
 */
Datum
kafka_get_watermarks(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	AclResult	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	KafkaTableOptions *options;

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE ||
		!kafka_options_is_ours(GetForeignServer(GetForeignTable(relid)->serverid)->fdwid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a foreign table of Kafka",
						get_rel_name(relid))));
	options = kafka_options_table(relid, GetUserId());

	InitMaterializedSRF(fcinfo, 0);
	put_watermarks((ReturnSetInfo *) fcinfo->resultinfo, options->client,
				   options->topic);
	return (Datum) 0;
}

static void
put_watermarks(ReturnSetInfo *result, KafkaClientOptions *options,
			   const char *topic)
{
	KafkaConsumer *consumer;
	KafkaPartitionOffsets *offsets;
	int			n;

	kafka_options_set(options, "isolation.level", "read_uncommitted");
	consumer = kafka_consumer_open(options);
	n = kafka_consumer_offsets(consumer, list_make1(unconstify(char *, topic)),
							   &offsets);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = Int32GetDatum(offsets[i].partition);
		values[1] = Int64GetDatum(offsets[i].low);
		values[2] = Int64GetDatum(offsets[i].end);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	kafka_consumer_close(consumer);
}

/*
 * kafka.create_topic(server text, topic text, partitions int,
 *					  replication_factor int, config jsonb)
 *		Creates a topic.
 */
Datum
kafka_create_topic(PG_FUNCTION_ARGS)
{
	KafkaClientOptions *options;
	KafkaAdmin *admin;
	int32		partitions;
	int32		replication_factor = PG_ARGISNULL(3) ? -1 : PG_GETARG_INT32(3);
	List	   *config = PG_ARGISNULL(4) ? NIL : topic_config(PG_GETARG_JSONB_P(4));

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server, topic and partitions must not be null")));
	partitions = PG_GETARG_INT32(2);
	if (partitions < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be positive")));
	if (!PG_ARGISNULL(3) && replication_factor < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("replication factor must be positive")));

	options = kafka_server_options(PG_GETARG_TEXT_PP(0));
	admin = kafka_admin_open(options);
	kafka_admin_create_topic(admin, text_to_cstring(PG_GETARG_TEXT_PP(1)),
							 partitions, replication_factor, config);
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}

/*
 * kafka.delete_topic(server text, topic text)
 *		Deletes a topic.
 */
Datum
kafka_delete_topic(PG_FUNCTION_ARGS)
{
	KafkaClientOptions *options = kafka_server_options(PG_GETARG_TEXT_PP(0));
	KafkaAdmin *admin = kafka_admin_open(options);

	kafka_admin_delete_topic(admin, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}

/*
 * Returns a JSON object of strings, numbers and booleans as a list of DefElem.
 */
static List *
topic_config(Jsonb *config)
{
	List	   *list = NIL;
	JsonbIterator *it = JsonbIteratorInit(&config->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *key = NULL;

	if (!JB_ROOT_IS_OBJECT(config))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic configuration must be a JSON object")));

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *setting;

		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE)
			continue;
		if (value.type == jbvString)
			setting = pnstrdup(value.val.string.val, value.val.string.len);
		else if (value.type == jbvNumeric)
			setting = DatumGetCString(DirectFunctionCall1(numeric_out,
														  NumericGetDatum(value.val.numeric)));
		else if (value.type == jbvBool)
			setting = value.val.boolean ? "true" : "false";
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("topic configuration \"%s\" must be a string, a number or a boolean",
							key)));
		list = lappend(list, makeDefElem(key, (Node *) makeString(setting), -1));
	}
	return list;
}
