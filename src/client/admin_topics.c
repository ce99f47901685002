/*-------------------------------------------------------------------------
 *
 * admin_topics.c
 *	  Topics: create, delete, add partitions, delete records.
 *
 * NOTES
 *	  The controller answers once it has done what was asked; the brokers learn
 *	  of it a moment later.  So each of these waits until the metadata shows
 *	  it, and the next statement sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin_internal.h"
#include "nodes/parsenodes.h"

/* Argument of a call: what the metadata of a topic is to show. */
typedef struct VisibleCall
{
	char	   *topic;
	int			npartitions;	/* at least; 0: the topic is gone */
} VisibleCall;

static void check_topic_result(KafkaAdmin *admin,
							   const rd_kafka_topic_result_t *const *results,
							   const char *what);
static void await_visible(KafkaAdmin *admin, const char *topic,
						  int npartitions);
static rd_kafka_resp_err_t run_visible(rd_kafka_t *rk, void *arg, int timeout);
static void release_visible(void *arg);
static void assign_topic(KafkaAdmin *admin, rd_kafka_NewTopic_t *topic,
						 const KafkaAssignment *assignment, const char *what);
static void assign_partitions(KafkaAdmin *admin,
							  rd_kafka_NewPartitions_t *partitions,
							  const KafkaAssignment *assignment,
							  const char *what);
static void destroy_new_topic(void *object);
static void destroy_old_topic(void *object);
static void destroy_new_partitions(void *object);
static void destroy_delete_records(void *object);

/*
 * kafka_admin_create_topic
 *		Creates a topic and waits until the controller has done so.
 *
 * npartitions and nreplicas -1 are the cluster's defaults; with an assignment
 * both are -1.  config is a list of DefElem with string arguments.
 */
void
kafka_admin_create_topic(KafkaAdmin *admin, const char *topic, int npartitions,
						 int nreplicas, const KafkaAssignment *assignment,
						 const List *config)
{
	char	   *what = psprintf("create topic \"%s\"", topic);
	char		errstr[512];
	rd_kafka_NewTopic_t *new_topic;
	const rd_kafka_topic_result_t **results;
	ListCell   *lc;
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	if (assignment != NULL)
		npartitions = assignment->npartitions;
	new_topic = rd_kafka_NewTopic_new(topic, npartitions, nreplicas, errstr,
									  sizeof(errstr));
	if (new_topic == NULL)
		kafka_admin_check(admin, RD_KAFKA_RESP_ERR__INVALID_ARG, errstr, what);
	kafka_admin_own(admin, new_topic, destroy_new_topic);
	if (assignment != NULL)
		assign_topic(admin, new_topic, assignment, what);
	foreach(lc, config)
	{
		DefElem    *entry = lfirst_node(DefElem, lc);

		rd_kafka_NewTopic_set_config(new_topic, entry->defname,
									 strVal(entry->arg));
	}
	rd_kafka_CreateTopics(admin->handle->rk, &new_topic, 1, admin->request,
						  admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, what);
	results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(admin->result),
												  &n);
	check_topic_result(admin, results, what);
	kafka_admin_end(admin);
	await_visible(admin, topic, Max(npartitions, 1));
}

/*
 * kafka_admin_delete_topic
 *		Deletes a topic and waits until the controller has done so.
 */
void
kafka_admin_delete_topic(KafkaAdmin *admin, const char *topic)
{
	char	   *what = psprintf("delete topic \"%s\"", topic);
	rd_kafka_DeleteTopic_t *old_topic;
	const rd_kafka_topic_result_t **results;
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DELETETOPICS);
	old_topic = kafka_admin_own(admin, rd_kafka_DeleteTopic_new(topic),
								destroy_old_topic);
	rd_kafka_DeleteTopics(admin->handle->rk, &old_topic, 1, admin->request,
						  admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, what);
	results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(admin->result),
												  &n);
	check_topic_result(admin, results, what);
	kafka_admin_end(admin);
	await_visible(admin, topic, 0);
}

/*
 * kafka_admin_add_partitions
 *		Adds partitions to a topic, so that it has npartitions in all.
 *
 * assignment, which may be NULL, is that of the new ones only.
 */
void
kafka_admin_add_partitions(KafkaAdmin *admin, const char *topic,
						   int npartitions, const KafkaAssignment *assignment)
{
	char	   *what = psprintf("add partitions to topic \"%s\"", topic);
	char		errstr[512];
	rd_kafka_NewPartitions_t *partitions;
	const rd_kafka_topic_result_t **results;
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
	partitions = rd_kafka_NewPartitions_new(topic, npartitions, errstr,
											sizeof(errstr));
	if (partitions == NULL)
		kafka_admin_check(admin, RD_KAFKA_RESP_ERR__INVALID_ARG, errstr, what);
	kafka_admin_own(admin, partitions, destroy_new_partitions);
	if (assignment != NULL)
		assign_partitions(admin, partitions, assignment, what);
	rd_kafka_CreatePartitions(admin->handle->rk, &partitions, 1,
							  admin->request, admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, what);
	results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(admin->result),
													  &n);
	check_topic_result(admin, results, what);
	kafka_admin_end(admin);
	await_visible(admin, topic, npartitions);
}

/*
 * kafka_admin_delete_records
 *		Deletes the messages of a topic's partitions that are before the given
 *		offsets, and puts the earliest offsets that are left in their place.
 *
 * KAFKA_OFFSET_END stands for the high watermark.
 */
void
kafka_admin_delete_records(KafkaAdmin *admin, KafkaTopicPartition *partitions,
						   int n)
{
	rd_kafka_topic_partition_list_t *before;
	rd_kafka_DeleteRecords_t *records;
	const rd_kafka_topic_partition_list_t *result;
	char	   *what;

	what = psprintf("delete records of topic \"%s\"", partitions[0].topic);
	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DELETERECORDS);
	before = kafka_admin_own(admin, rd_kafka_topic_partition_list_new(n),
							 kafka_admin_destroy_list);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(before, partitions[i].topic,
										  partitions[i].partition)->offset =
			partitions[i].offset == KAFKA_OFFSET_END ?
			RD_KAFKA_OFFSET_END : partitions[i].offset;
	records = kafka_admin_own(admin, rd_kafka_DeleteRecords_new(before),
							  destroy_delete_records);
	rd_kafka_DeleteRecords(admin->handle->rk, &records, 1, admin->request,
						   admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, what);
	result = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(admin->result));
	for (int i = 0; i < n; i++)
	{
		const rd_kafka_topic_partition_t *done;

		done = rd_kafka_topic_partition_list_find(unconstify(rd_kafka_topic_partition_list_t *, result),
												  partitions[i].topic,
												  partitions[i].partition);
		kafka_admin_check(admin,
						  done != NULL ? done->err : RD_KAFKA_RESP_ERR__BAD_MSG,
						  NULL,
						  psprintf("delete records of partition %d of topic \"%s\"",
								   partitions[i].partition,
								   partitions[i].topic));
		partitions[i].offset = done->offset;
	}
	kafka_admin_end(admin);
}

static void
check_topic_result(KafkaAdmin *admin,
				   const rd_kafka_topic_result_t *const *results,
				   const char *what)
{
	kafka_admin_check(admin, rd_kafka_topic_result_error(results[0]),
					  rd_kafka_topic_result_error_string(results[0]), what);
}

/*
 * Waits until the brokers' metadata shows what the controller has done.
 */
static void
await_visible(KafkaAdmin *admin, const char *topic, int npartitions)
{
	VisibleCall *call = kafka_admin_calloc(sizeof(VisibleCall));
	rd_kafka_resp_err_t err;

	call->topic = kafka_admin_strdup(topic);
	call->npartitions = npartitions;
	err = kafka_call(admin->handle, run_visible, release_visible, call);
	kafka_call_end(admin->handle);

	/* who may change a topic need not be one who may see it */
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR &&
		err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		ereport(WARNING,
				(kafka_errcode(err),
				 errmsg("the change of topic \"%s\" is not visible on every broker yet",
						topic)));
}

/*
 * In a thread: succeeds once the topic has its partitions, each with a leader,
 * or, when it is to have none, is gone.
 */
static rd_kafka_resp_err_t
run_visible(rd_kafka_t *rk, void *arg, int timeout)
{
	VisibleCall *call = arg;
	const rd_kafka_metadata_t *metadata;
	const rd_kafka_metadata_topic_t *topic;
	rd_kafka_resp_err_t err = kafka_topic_metadata(rk, call->topic, &metadata,
												   timeout);

	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return call->npartitions == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR :
			RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	topic = &metadata->topics[0];
	if (call->npartitions == 0 || topic->partition_cnt < call->npartitions)
		err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	for (int i = 0; i < topic->partition_cnt; i++)
		if (topic->partitions[i].leader < 0)
			err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	rd_kafka_metadata_destroy(metadata);
	return err;
}

static void
release_visible(void *arg)
{
	VisibleCall *call = arg;

	free(call->topic);
	free(call);
}

static void
assign_topic(KafkaAdmin *admin, rd_kafka_NewTopic_t *topic,
			 const KafkaAssignment *assignment, const char *what)
{
	char		errstr[512];

	for (int i = 0; i < assignment->npartitions; i++)
		kafka_admin_check(admin,
						  rd_kafka_NewTopic_set_replica_assignment(topic, i,
																   assignment->brokers + i * assignment->nreplicas,
																   assignment->nreplicas,
																   errstr,
																   sizeof(errstr)),
						  errstr, what);
}

static void
assign_partitions(KafkaAdmin *admin, rd_kafka_NewPartitions_t *partitions,
				  const KafkaAssignment *assignment, const char *what)
{
	char		errstr[512];

	for (int i = 0; i < assignment->npartitions; i++)
		kafka_admin_check(admin,
						  rd_kafka_NewPartitions_set_replica_assignment(partitions, i,
																		assignment->brokers + i * assignment->nreplicas,
																		assignment->nreplicas,
																		errstr,
																		sizeof(errstr)),
						  errstr, what);
}

static void
destroy_new_topic(void *object)
{
	rd_kafka_NewTopic_destroy(object);
}

static void
destroy_old_topic(void *object)
{
	rd_kafka_DeleteTopic_destroy(object);
}

static void
destroy_new_partitions(void *object)
{
	rd_kafka_NewPartitions_destroy(object);
}

static void
destroy_delete_records(void *object)
{
	rd_kafka_DeleteRecords_destroy(object);
}
