/*-------------------------------------------------------------------------
 *
 * admin_topics.c
 *	  SQL functions that change topics, and those on their settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "client/admin.h"
#include "funcapi.h"
#include "functions/server.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(kafka_create_topic);
PG_FUNCTION_INFO_V1(kafka_delete_topic);
PG_FUNCTION_INFO_V1(kafka_add_partitions);
PG_FUNCTION_INFO_V1(kafka_delete_records);
PG_FUNCTION_INFO_V1(kafka_topic_config);
PG_FUNCTION_INFO_V1(kafka_broker_config);
PG_FUNCTION_INFO_V1(kafka_alter_topic_config);

static void require(FunctionCallInfo fcinfo, int nargs, const char *names);
static KafkaAssignment *parse_assignment(ArrayType *array);
static List *parse_config(Jsonb *config, bool reset);
static char *parse_setting(const char *name, const JsonbValue *value,
						   bool reset);
static void put_config(FunctionCallInfo fcinfo,
					   const KafkaConfigEntry *entries, int n);

/*
 * kafka.create_topic(server text, topic text, partitions int,
 *					  replication_factor int, config jsonb,
 *					  replica_assignment int[])
 *		Creates a topic.
 */
Datum
kafka_create_topic(PG_FUNCTION_ARGS)
{
	KafkaAssignment *assignment = NULL;
	KafkaAdmin *admin;
	int32		partitions = PG_ARGISNULL(2) ? -1 : PG_GETARG_INT32(2);
	int32		replication_factor = PG_ARGISNULL(3) ? -1 : PG_GETARG_INT32(3);
	List	   *config = NIL;

	require(fcinfo, 2, "server and topic");
	if (!PG_ARGISNULL(2) && partitions < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be positive")));
	if (!PG_ARGISNULL(3) && replication_factor < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("replication factor must be positive")));
	if (!PG_ARGISNULL(4))
		config = parse_config(PG_GETARG_JSONB_P(4), false);
	if (!PG_ARGISNULL(5))
	{
		if (!PG_ARGISNULL(2) || !PG_ARGISNULL(3))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("partitions and replication_factor must be null with a replica assignment"),
					 errdetail("The assignment says both.")));
		assignment = parse_assignment(PG_GETARG_ARRAYTYPE_P(5));
	}

	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	kafka_admin_create_topic(admin, text_to_cstring(PG_GETARG_TEXT_PP(1)),
							 partitions, replication_factor, assignment,
							 config);
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
 * kafka.add_partitions(server text, topic text, partitions int,
 *						replica_assignment int[])
 *		Adds partitions, so that there are so many in all.
 */
Datum
kafka_add_partitions(PG_FUNCTION_ARGS)
{
	KafkaAssignment *assignment = NULL;
	KafkaAdmin *admin;

	require(fcinfo, 3, "server, topic and partitions");
	if (PG_GETARG_INT32(2) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be positive")));
	if (!PG_ARGISNULL(3))
		assignment = parse_assignment(PG_GETARG_ARRAYTYPE_P(3));

	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	kafka_admin_add_partitions(admin, text_to_cstring(PG_GETARG_TEXT_PP(1)),
							   PG_GETARG_INT32(2), assignment);
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}

/*
 * kafka.delete_records(server text, topic text, partition int, before int8)
 *		Deletes the messages before an offset, of one partition or of all, and
 *		returns what is now the earliest offset of each.
 */
Datum
kafka_delete_records(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaPartitionInfo *found;
	KafkaTopicPartition *partitions;
	char	   *topic;
	int64		before = PG_ARGISNULL(3) ? KAFKA_OFFSET_END : PG_GETARG_INT64(3);
	int			n;
	int			m = 0;

	require(fcinfo, 2, "server and topic");
	if (!PG_ARGISNULL(3) && before < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset must not be negative")));
	topic = text_to_cstring(PG_GETARG_TEXT_PP(1));

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	n = kafka_admin_partitions(admin, topic, &found);
	partitions = palloc0_array(KafkaTopicPartition, n);
	for (int i = 0; i < n; i++)
		if (PG_ARGISNULL(2) || found[i].partition == PG_GETARG_INT32(2))
		{
			partitions[m].topic = topic;
			partitions[m].partition = found[i].partition;
			partitions[m++].offset = before;
		}
	if (m == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" has no partition %d", topic,
						PG_GETARG_INT32(2))));
	kafka_admin_delete_records(admin, partitions, m);
	for (int i = 0; i < m; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		values[0] = Int32GetDatum(partitions[i].partition);
		values[1] = Int64GetDatum(partitions[i].offset);
		kafka_put_row(fcinfo, values, nulls);
	}
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.topic_config(server text, topic text)
 *		Lists the settings of a topic.
 */
Datum
kafka_topic_config(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaConfigEntry *entries;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	n = kafka_admin_topic_config(admin, text_to_cstring(PG_GETARG_TEXT_PP(1)),
								 &entries);
	put_config(fcinfo, entries, n);
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.broker_config(server text, broker int)
 *		Lists the settings of a broker.
 */
Datum
kafka_broker_config(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaClusterInfo *cluster;
	KafkaConfigEntry *entries;
	bool		found = false;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));

	/* librdkafka would wait for a broker that nobody knows */
	cluster = kafka_admin_cluster(admin);
	for (int i = 0; i < cluster->nbrokers; i++)
		found |= cluster->brokers[i].id == PG_GETARG_INT32(1);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no broker %d, or it is not running",
						PG_GETARG_INT32(1))));
	n = kafka_admin_broker_config(admin, PG_GETARG_INT32(1), &entries);
	put_config(fcinfo, entries, n);
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.alter_topic_config(server text, topic text, config jsonb)
 *		Sets, and where the value is null resets, settings of a topic.
 */
Datum
kafka_alter_topic_config(PG_FUNCTION_ARGS)
{
	List	   *config = parse_config(PG_GETARG_JSONB_P(2), true);
	KafkaAdmin *admin;

	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	kafka_admin_alter_topic_config(admin,
								   text_to_cstring(PG_GETARG_TEXT_PP(1)),
								   config);
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}

/*
 * Raises an ERROR when one of the first arguments is NULL.
 */
static void
require(FunctionCallInfo fcinfo, int nargs, const char *names)
{
	for (int i = 0; i < nargs; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", names)));
}

/*
 * Returns an array that has the brokers of one partition a row.
 */
static KafkaAssignment *
parse_assignment(ArrayType *array)
{
	KafkaAssignment *assignment = palloc(sizeof(KafkaAssignment));

	if (ARR_NDIM(array) != 2 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("replica assignment must have two dimensions and no nulls"),
				 errhint("Give the brokers of each partition, the preferred leader first, such as {{1,2},{2,3}}.")));
	assignment->npartitions = ARR_DIMS(array)[0];
	assignment->nreplicas = ARR_DIMS(array)[1];
	assignment->brokers = (int32 *) ARR_DATA_PTR(array);
	return assignment;
}

/*
 * Returns a JSON object of strings, numbers and booleans as a list of DefElem;
 * with reset, null is an element without an argument.
 */
static List *
parse_config(Jsonb *config, bool reset)
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
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			char	   *setting = parse_setting(key, &value, reset);

			list = lappend(list,
						   makeDefElem(key,
									   setting != NULL ?
									   (Node *) makeString(setting) : NULL,
									   -1));
		}
	}
	return list;
}

static char *
parse_setting(const char *name, const JsonbValue *value, bool reset)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		case jbvNull:
			if (reset)
				return NULL;
			/* FALLTHROUGH */
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("topic configuration \"%s\" must be a string, a number or a boolean",
							name)));
	}
	return NULL;
}

static void
put_config(FunctionCallInfo fcinfo, const KafkaConfigEntry *entries, int n)
{
	for (int i = 0; i < n; i++)
	{
		const KafkaConfigEntry *entry = &entries[i];
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = CStringGetTextDatum(entry->name);
		values[1] = kafka_text_or_null(entry->value, &nulls[1]);
		values[2] = BoolGetDatum(entry->is_default);
		values[3] = CStringGetTextDatum(entry->source);
		values[4] = BoolGetDatum(entry->sensitive);
		values[5] = BoolGetDatum(entry->read_only);
		kafka_put_row(fcinfo, values, nulls);
	}
}
