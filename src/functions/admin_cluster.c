/*-------------------------------------------------------------------------
 *
 * admin_cluster.c
 *	  SQL functions that show a cluster: brokers, topics, partitions, offsets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "client/admin.h"
#include "client/consumer.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "functions/server.h"
#include "miscadmin.h"
#include "topics.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(kafka_cluster);
PG_FUNCTION_INFO_V1(kafka_brokers);
PG_FUNCTION_INFO_V1(kafka_topics);
PG_FUNCTION_INFO_V1(kafka_partitions);
PG_FUNCTION_INFO_V1(kafka_watermarks);
PG_FUNCTION_INFO_V1(kafka_get_watermarks);
PG_FUNCTION_INFO_V1(kafka_offsets_for_time);

static KafkaTopicPartition *ask_offsets(KafkaClientOptions *options,
										int64 time,
										const KafkaPartitionInfo *partitions,
										int n);
static void put_watermarks(FunctionCallInfo fcinfo,
						   KafkaClientOptions *options, const char *topic);

/*
 * kafka.cluster(server text)
 *		Shows the cluster behind a server.
 */
Datum
kafka_cluster(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaClusterInfo *cluster;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	cluster = kafka_admin_cluster(admin);
	kafka_admin_close(admin);

	values[0] = kafka_text_or_null(cluster->id, &nulls[0]);
	values[1] = kafka_id_or_null(cluster->controller, &nulls[1]);
	values[2] = Int32GetDatum(cluster->nbrokers);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * kafka.brokers(server text)
 *		Lists the brokers that are alive.
 */
Datum
kafka_brokers(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaClusterInfo *cluster;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	cluster = kafka_admin_cluster(admin);
	for (int i = 0; i < cluster->nbrokers; i++)
	{
		KafkaBrokerInfo *broker = &cluster->brokers[i];
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = Int32GetDatum(broker->id);
		values[1] = CStringGetTextDatum(broker->host);
		values[2] = Int32GetDatum(broker->port);
		values[3] = kafka_text_or_null(broker->rack, &nulls[3]);
		values[4] = BoolGetDatum(broker->controller);
		kafka_put_row(fcinfo, values, nulls);
	}
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.topics(server text)
 *		Lists the topics that the user may see.
 */
Datum
kafka_topics(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaTopicInfo *topics;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	n = kafka_admin_topics(admin, &topics);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = CStringGetTextDatum(topics[i].name);
		values[1] = Int32GetDatum(topics[i].npartitions);
		values[2] = Int32GetDatum(topics[i].nreplicas);
		kafka_put_row(fcinfo, values, nulls);
	}
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.partitions(server text, topic text)
 *		Lists the partitions of a topic, or of all, with their replicas and
 *		offsets.
 */
Datum
kafka_partitions(PG_FUNCTION_ARGS)
{
	KafkaClientOptions *options;
	KafkaPartitionInfo *partitions;
	KafkaTopicPartition *earliest;
	KafkaTopicPartition *latest;
	KafkaTopicPartition *stable;
	KafkaAdmin *admin;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	options = kafka_server_options(PG_GETARG_TEXT_PP(0));
	kafka_options_set(options, "isolation.level", "read_committed");
	admin = kafka_admin_open(options);
	n = kafka_admin_partitions(admin,
							   PG_ARGISNULL(1) ? NULL :
							   text_to_cstring(PG_GETARG_TEXT_PP(1)),
							   &partitions);
	kafka_admin_close(admin);
	earliest = ask_offsets(options, KAFKA_TIME_EARLIEST, partitions, n);
	stable = ask_offsets(options, KAFKA_TIME_LATEST, partitions, n);
	options = kafka_server_options_uncommitted(PG_GETARG_TEXT_PP(0));
	latest = ask_offsets(options, KAFKA_TIME_LATEST, partitions, n);

	for (int i = 0; i < n; i++)
	{
		KafkaPartitionInfo *info = &partitions[i];
		Datum		values[8];
		bool		nulls[8] = {false};

		values[0] = CStringGetTextDatum(info->topic);
		values[1] = Int32GetDatum(info->partition);
		values[2] = kafka_id_or_null(info->leader, &nulls[2]);
		values[3] = kafka_int_array(info->replicas, info->nreplicas);
		values[4] = kafka_int_array(info->isr, info->nisr);
		values[5] = kafka_offset_or_null(earliest[i].offset, &nulls[5]);
		values[6] = kafka_offset_or_null(latest[i].offset, &nulls[6]);
		values[7] = kafka_offset_or_null(stable[i].offset, &nulls[7]);
		kafka_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Asks for the offsets of partitions at a time.
 */
static KafkaTopicPartition *
ask_offsets(KafkaClientOptions *options, int64 time,
			const KafkaPartitionInfo *partitions, int n)
{
	KafkaAdmin *admin = kafka_admin_open(options);
	KafkaTopicPartition *offsets = palloc0_array(KafkaTopicPartition, Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		offsets[i].topic = partitions[i].topic;
		offsets[i].partition = partitions[i].partition;
	}
	if (n > 0)
		kafka_admin_offsets(admin, time, offsets, n);
	kafka_admin_close(admin);
	return offsets;
}

/*
 * kafka.watermarks(server text, topic text)
 *		Returns the earliest and the end offset of each partition.
 */
Datum
kafka_watermarks(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	put_watermarks(fcinfo,
				   kafka_server_options_uncommitted(PG_GETARG_TEXT_PP(0)),
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
	if (!kafka_topics_is_single(options->topic))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table \"%s\" is of several topics",
						get_rel_name(relid)),
				 errhint("Use kafka.watermarks() with the name of a topic.")));

	InitMaterializedSRF(fcinfo, 0);
	kafka_options_set(options->client, "isolation.level", "read_uncommitted");
	put_watermarks(fcinfo, options->client, options->topic);
	return (Datum) 0;
}

static void
put_watermarks(FunctionCallInfo fcinfo, KafkaClientOptions *options,
			   const char *topic)
{
	KafkaConsumer *consumer = kafka_consumer_open(options);
	KafkaPartitionOffsets *offsets;
	int			n;

	n = kafka_consumer_offsets(consumer, list_make1(unconstify(char *, topic)),
							   &offsets);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = Int32GetDatum(offsets[i].partition);
		values[1] = Int64GetDatum(offsets[i].low);
		values[2] = Int64GetDatum(offsets[i].end);
		kafka_put_row(fcinfo, values, nulls);
	}
	kafka_consumer_close(consumer);
}

/*
 * kafka.offsets_for_time(server text, topic text, "timestamp" timestamptz)
 *		Returns the first offset of each partition whose message is not older.
 */
Datum
kafka_offsets_for_time(PG_FUNCTION_ARGS)
{
	KafkaClientOptions *options = kafka_server_options(PG_GETARG_TEXT_PP(0));
	char	   *topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int64		time = kafka_time_of_timestamp(PG_GETARG_TIMESTAMPTZ(2));
	KafkaAdmin *admin = kafka_admin_open(options);
	KafkaPartitionInfo *partitions;
	KafkaTopicPartition *offsets;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = kafka_admin_partitions(admin, topic, &partitions);
	kafka_admin_close(admin);
	offsets = ask_offsets(options, time, partitions, n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		values[0] = Int32GetDatum(offsets[i].partition);
		values[1] = kafka_offset_or_null(offsets[i].offset, &nulls[1]);
		kafka_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}
