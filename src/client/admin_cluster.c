/*-------------------------------------------------------------------------
 *
 * admin_cluster.c
 *	  What the cluster says of itself: brokers, topics, partitions, offsets.
 *
 * NOTES
 *	  Unlike a scan, which needs all partitions of its topic, this shows what
 *	  there is of a cluster that is in trouble: a partition without a leader
 *	  has no offsets, and that is not an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "client/admin_internal.h"

#if RD_KAFKA_VERSION >= 0x020300ff
#define HAVE_DESCRIBE_CLUSTER
#define RACK_TIMEOUT 1000		/* ms */
#endif

/* Argument of a call: the metadata of one topic. */
typedef struct MetadataCall
{
	char	   *topic;
	const rd_kafka_metadata_t *metadata;
} MetadataCall;

/* Argument of a call: the cluster without its topics. */
typedef struct ClusterCall
{
	const rd_kafka_metadata_t *metadata;
	char	   *id;
	int32		controller;
} ClusterCall;

/* Argument of a call: an offset of each of some partitions. */
typedef struct OffsetsCall
{
	char	   *topic;			/* NULL: of several */
	int64		time;
	rd_kafka_topic_partition_list_t *wanted;
	rd_kafka_topic_partition_list_t *found; /* those with a leader */
} OffsetsCall;

static const rd_kafka_metadata_t *call_metadata(KafkaAdmin *admin,
												const char *topic);
static rd_kafka_resp_err_t run_metadata(rd_kafka_t *rk, void *arg, int timeout);
static void release_metadata(void *arg);
static rd_kafka_resp_err_t run_cluster(rd_kafka_t *rk, void *arg, int timeout);
static void release_cluster(void *arg);
static void take_racks(KafkaAdmin *admin, KafkaClusterInfo *info);
static rd_kafka_resp_err_t run_offsets(rd_kafka_t *rk, void *arg, int timeout);
static void take_offsets(KafkaTopicPartition *partitions, int n,
						 const rd_kafka_topic_partition_list_t *found);
static bool has_leader(const rd_kafka_metadata_t *metadata, const char *topic,
					   int32 partition);
static void release_offsets(void *arg);
static void take_partition(KafkaPartitionInfo *info, const char *topic,
						   const rd_kafka_metadata_partition_t *partition);
static int32 *copy_ids(const int32_t *ids, int n);
static int	compare_topics(const void *a, const void *b);
static int	compare_brokers(const void *a, const void *b);
static int	compare_partitions(const void *a, const void *b);

/*
 * kafka_admin_cluster
 *		Asks for the cluster's id, controller and brokers.
 */
KafkaClusterInfo *
kafka_admin_cluster(KafkaAdmin *admin)
{
	ClusterCall *call = kafka_admin_calloc(sizeof(ClusterCall));
	KafkaClusterInfo *info = palloc0(sizeof(KafkaClusterInfo));

	kafka_admin_check(admin,
					  kafka_call(admin->handle, run_cluster, release_cluster,
								 call), NULL,
					  psprintf("describe the cluster of server \"%s\"",
							   admin->options->server));
	info->id = call->id != NULL ? pstrdup(call->id) : NULL;
	info->controller = call->controller;
	info->nbrokers = call->metadata->broker_cnt;
	info->brokers = palloc0_array(KafkaBrokerInfo, Max(info->nbrokers, 1));
	for (int i = 0; i < info->nbrokers; i++)
	{
		info->brokers[i].id = call->metadata->brokers[i].id;
		info->brokers[i].host = pstrdup(call->metadata->brokers[i].host);
		info->brokers[i].port = call->metadata->brokers[i].port;
		info->brokers[i].controller = info->brokers[i].id == info->controller;
	}
	kafka_call_end(admin->handle);
	qsort(info->brokers, info->nbrokers, sizeof(KafkaBrokerInfo),
		  compare_brokers);
	take_racks(admin, info);

	return info;
}

/*
 * Asks for the brokers' racks, where this librdkafka can.  It sends this to the
 * controller, which a cluster in trouble may not have: then there are none.
 */
#ifdef HAVE_DESCRIBE_CLUSTER
static void
take_racks(KafkaAdmin *admin, KafkaClusterInfo *info)
{
	const rd_kafka_Node_t **nodes;
	char		errstr[512];
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER);
	(void) rd_kafka_AdminOptions_set_request_timeout(admin->request,
													 Min(admin->options->timeout,
														 RACK_TIMEOUT),
													 errstr, sizeof(errstr));
	rd_kafka_DescribeCluster(admin->handle->rk, admin->request, admin->queue);
	if (kafka_admin_await(admin) != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		kafka_admin_end(admin);
		return;
	}
	nodes = rd_kafka_DescribeCluster_result_nodes(rd_kafka_event_DescribeCluster_result(admin->result),
												  &n);
	for (size_t i = 0; i < n; i++)
		for (int j = 0; j < info->nbrokers; j++)
			if (info->brokers[j].id == rd_kafka_Node_id(nodes[i]) &&
				rd_kafka_Node_rack(nodes[i]) != NULL)
				info->brokers[j].rack = pstrdup(rd_kafka_Node_rack(nodes[i]));
	kafka_admin_end(admin);
}
#else
static void
take_racks(KafkaAdmin *admin, KafkaClusterInfo *info)
{
}
#endif

/*
 * kafka_admin_topics
 *		Asks for all topics that the user may see, and returns their number
 *		and, ordered by name, an array.
 */
int
kafka_admin_topics(KafkaAdmin *admin, KafkaTopicInfo **topics)
{
	const rd_kafka_metadata_t *metadata = kafka_call_topics(admin->handle);
	int			n = metadata->topic_cnt;

	*topics = palloc_array(KafkaTopicInfo, Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const rd_kafka_metadata_topic_t *topic = &metadata->topics[i];
		KafkaTopicInfo *info = &(*topics)[i];

		info->name = pstrdup(topic->topic);
		info->npartitions = topic->partition_cnt;
		info->nreplicas = topic->partition_cnt > 0 ? INT_MAX : 0;
		for (int p = 0; p < topic->partition_cnt; p++)
			info->nreplicas = Min(info->nreplicas,
								  topic->partitions[p].replica_cnt);
	}
	kafka_call_end(admin->handle);
	qsort(*topics, n, sizeof(KafkaTopicInfo), compare_topics);

	return n;
}

/*
 * kafka_admin_partitions
 *		Asks for the partitions of one topic, or, with NULL, of all, and
 *		returns their number and, ordered by topic and partition, an array.
 *
 * A topic that does not exist is an ERROR.
 */
int
kafka_admin_partitions(KafkaAdmin *admin, const char *topic,
					   KafkaPartitionInfo **partitions)
{
	const rd_kafka_metadata_t *metadata;
	int			n = 0;

	metadata = topic != NULL ? call_metadata(admin, topic) :
		kafka_call_topics(admin->handle);
	for (int i = 0; i < metadata->topic_cnt; i++)
		n += metadata->topics[i].partition_cnt;
	*partitions = palloc0_array(KafkaPartitionInfo, Max(n, 1));
	n = 0;
	for (int i = 0; i < metadata->topic_cnt; i++)
	{
		char	   *name = pstrdup(metadata->topics[i].topic);

		for (int p = 0; p < metadata->topics[i].partition_cnt; p++)
			take_partition(&(*partitions)[n++], name,
						   &metadata->topics[i].partitions[p]);
	}
	kafka_call_end(admin->handle);
	qsort(*partitions, n, sizeof(KafkaPartitionInfo), compare_partitions);

	return n;
}

static void
take_partition(KafkaPartitionInfo *info, const char *topic,
			   const rd_kafka_metadata_partition_t *partition)
{
	info->topic = topic;
	info->partition = partition->id;
	info->leader = partition->leader;
	info->nreplicas = partition->replica_cnt;
	info->replicas = copy_ids(partition->replicas, partition->replica_cnt);
	info->nisr = partition->isr_cnt;
	info->isr = copy_ids(partition->isrs, partition->isr_cnt);
}

static int32 *
copy_ids(const int32_t *ids, int n)
{
	int32	   *copy = palloc_array(int32, Max(n, 1));

	for (int i = 0; i < n; i++)
		copy[i] = ids[i];
	return copy;
}

/*
 * kafka_admin_offsets
 *		Asks for the offsets of partitions at a time, and puts them in.
 *
 * time is in ms since 1970, KAFKA_TIME_EARLIEST or KAFKA_TIME_LATEST: under
 * isolation.level read_committed the last stable offset, else the high
 * watermark.  KAFKA_OFFSET_UNKNOWN is the offset of a partition that does not
 * exist, has no leader, or has no message as late as that.
 */
void
kafka_admin_offsets(KafkaAdmin *admin, int64 time,
					KafkaTopicPartition *partitions, int n)
{
	OffsetsCall *call = kafka_admin_calloc(sizeof(OffsetsCall));
	const char *topic = n > 0 ? partitions[0].topic : NULL;

	call->time = time;
	call->wanted = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
	{
		if (topic != NULL && strcmp(topic, partitions[i].topic) != 0)
			topic = NULL;
		rd_kafka_topic_partition_list_add(call->wanted, partitions[i].topic,
										  partitions[i].partition);
	}
	if (topic != NULL)
		call->topic = strdup(topic);

	kafka_admin_check(admin,
					  kafka_call(admin->handle, run_offsets, release_offsets,
								 call), NULL,
					  topic != NULL ?
					  psprintf("get the offsets of topic \"%s\"", topic) :
					  "get the offsets of topics");
	take_offsets(partitions, n, call->found);
	kafka_call_end(admin->handle);
}

/*
 * Puts the offsets in; what was found has the order of what was wanted.
 */
static void
take_offsets(KafkaTopicPartition *partitions, int n,
			 const rd_kafka_topic_partition_list_t *found)
{
	int			next = 0;

	for (int i = 0; i < n; i++)
	{
		const rd_kafka_topic_partition_t *candidate = &found->elems[next];

		partitions[i].offset = KAFKA_OFFSET_UNKNOWN;
		if (next < found->cnt &&
			candidate->partition == partitions[i].partition &&
			strcmp(candidate->topic, partitions[i].topic) == 0)
		{
			if (candidate->offset >= 0)
				partitions[i].offset = candidate->offset;
			next++;
		}
	}
}

/*
 * In a thread: asks for the metadata, and then for the offsets of those
 * partitions that have a leader, in one request to each.
 */
static rd_kafka_resp_err_t
run_offsets(rd_kafka_t *rk, void *arg, int timeout)
{
	OffsetsCall *call = arg;
	const rd_kafka_metadata_t *metadata;
	rd_kafka_resp_err_t err;

	if (call->topic != NULL)
		err = kafka_topic_metadata(rk, call->topic, &metadata, timeout);
	else
		err = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout);
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		metadata = NULL;
	else if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;

	if (call->found != NULL)
		rd_kafka_topic_partition_list_destroy(call->found);
	call->found = rd_kafka_topic_partition_list_new(call->wanted->cnt);
	for (int i = 0; i < call->wanted->cnt && metadata != NULL; i++)
	{
		const rd_kafka_topic_partition_t *wanted = &call->wanted->elems[i];

		if (has_leader(metadata, wanted->topic, wanted->partition))
			rd_kafka_topic_partition_list_add(call->found, wanted->topic,
											  wanted->partition)->offset =
				call->time;
	}
	if (metadata != NULL)
		rd_kafka_metadata_destroy(metadata);
	if (call->found->cnt == 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;

	err = rd_kafka_offsets_for_times(rk, call->found, timeout);
	for (int i = 0; i < call->found->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		err = call->found->elems[i].err;
	return err;
}

static bool
has_leader(const rd_kafka_metadata_t *metadata, const char *topic,
		   int32 partition)
{
	for (int i = 0; i < metadata->topic_cnt; i++)
	{
		const rd_kafka_metadata_topic_t *candidate = &metadata->topics[i];

		if (strcmp(candidate->topic, topic) != 0)
			continue;
		for (int p = 0; p < candidate->partition_cnt; p++)
			if (candidate->partitions[p].id == partition)
				return candidate->partitions[p].leader >= 0;
	}
	return false;
}

static void
release_offsets(void *arg)
{
	OffsetsCall *call = arg;

	rd_kafka_topic_partition_list_destroy(call->wanted);
	if (call->found != NULL)
		rd_kafka_topic_partition_list_destroy(call->found);
	free(call->topic);
	free(call);
}

/*
 * Asks for the metadata of one topic; kafka_call_end() frees it.
 */
static const rd_kafka_metadata_t *
call_metadata(KafkaAdmin *admin, const char *topic)
{
	MetadataCall *call = kafka_admin_calloc(sizeof(MetadataCall));
	rd_kafka_resp_err_t err;

	call->topic = kafka_admin_strdup(topic);
	err = kafka_call(admin->handle, run_metadata, release_metadata, call);
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("topic \"%s\" does not exist", topic)));
	kafka_admin_check(admin, err, NULL,
					  psprintf("get the partitions of topic \"%s\"", topic));
	return call->metadata;
}

static rd_kafka_resp_err_t
run_metadata(rd_kafka_t *rk, void *arg, int timeout)
{
	MetadataCall *call = arg;
	rd_kafka_resp_err_t err = kafka_topic_metadata(rk, call->topic,
												   &call->metadata, timeout);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		call->metadata = NULL;
	return err;
}

static void
release_metadata(void *arg)
{
	MetadataCall *call = arg;

	if (call->metadata != NULL)
		rd_kafka_metadata_destroy(call->metadata);
	free(call->topic);
	free(call);
}

/*
 * In a thread: asks for the brokers; id and controller come with them.
 */
static rd_kafka_resp_err_t
run_cluster(rd_kafka_t *rk, void *arg, int timeout)
{
	ClusterCall *call = arg;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (call->metadata == NULL)
		err = rd_kafka_metadata(rk, 0, NULL, &call->metadata, timeout);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		call->metadata = NULL;
		return err;
	}
	call->id = rd_kafka_clusterid(rk, timeout);
	call->controller = rd_kafka_controllerid(rk, timeout);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void
release_cluster(void *arg)
{
	ClusterCall *call = arg;

	if (call->metadata != NULL)
		rd_kafka_metadata_destroy(call->metadata);
	if (call->id != NULL)
		rd_kafka_mem_free(NULL, call->id);
	free(call);
}

static int
compare_topics(const void *a, const void *b)
{
	return strcmp(((const KafkaTopicInfo *) a)->name,
				  ((const KafkaTopicInfo *) b)->name);
}

static int
compare_brokers(const void *a, const void *b)
{
	int32		x = ((const KafkaBrokerInfo *) a)->id;
	int32		y = ((const KafkaBrokerInfo *) b)->id;

	return (x > y) - (x < y);
}

static int
compare_partitions(const void *a, const void *b)
{
	const KafkaPartitionInfo *x = a;
	const KafkaPartitionInfo *y = b;
	int			order = strcmp(x->topic, y->topic);

	return order != 0 ? order :
		(x->partition > y->partition) - (x->partition < y->partition);
}

/*
 * kafka_compare_topic_partitions
 *		Compares by topic and partition, for qsort().
 */
int
kafka_compare_topic_partitions(const void *a, const void *b)
{
	const KafkaTopicPartition *x = a;
	const KafkaTopicPartition *y = b;
	int			order = strcmp(x->topic, y->topic);

	return order != 0 ? order :
		(x->partition > y->partition) - (x->partition < y->partition);
}
