/*-------------------------------------------------------------------------
 *
 * admin.c
 *	  Topics: list, create, delete.
 *
 * NOTES
 *	  librdkafka's admin requests are asynchronous, so they need no thread:
 *	  the result comes through a queue.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "client/admin.h"
#include "client/handle.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"

struct KafkaAdmin
{
	/* for the life of the client */
	KafkaHandle *handle;
	const KafkaClientOptions *options;
	MemoryContextCallback callback;
	rd_kafka_queue_t *queue;	/* results */

	/* of the request under way */
	rd_kafka_AdminOptions_t *request;
	rd_kafka_NewTopic_t *new_topic;
	rd_kafka_DeleteTopic_t *old_topic;
	rd_kafka_event_t *result;
};

static void close_admin(void *arg);
static void end_admin(KafkaAdmin *admin, bool keep);
static void end_request(KafkaAdmin *admin);
static void begin_request(KafkaAdmin *admin, rd_kafka_admin_op_t op);
static void await_result(KafkaAdmin *admin, const char *what,
						 const char *topic);
static void check_topic_result(const rd_kafka_topic_result_t *const *results,
							   const char *what, const char *topic);
static void await_visible(KafkaAdmin *admin, const char *topic,
						  KafkaCallRun run);
static rd_kafka_resp_err_t run_created(rd_kafka_t *rk, void *arg, int timeout);
static rd_kafka_resp_err_t run_deleted(rd_kafka_t *rk, void *arg, int timeout);
static int	compare_topics(const void *a, const void *b);

/*
 * kafka_admin_open
 *		Opens an admin client, owned by the current memory context.
 *
 * options must live as long.
 */
KafkaAdmin *
kafka_admin_open(const KafkaClientOptions *options)
{
	KafkaAdmin *admin = palloc0(sizeof(KafkaAdmin));

	admin->options = options;
	admin->handle = kafka_handle_open(RD_KAFKA_PRODUCER, options, admin,
									  close_admin);
	admin->callback.func = close_admin;
	admin->callback.arg = admin;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &admin->callback);

	admin->queue = rd_kafka_queue_new(admin->handle->rk);
	kafka_handle_wake_on(admin->handle, admin->queue);

	return admin;
}

/*
 * kafka_admin_close
 *		Closes the client.
 */
void
kafka_admin_close(KafkaAdmin *admin)
{
	end_admin(admin, true);
}

static void
close_admin(void *arg)
{
	end_admin(arg, false);
}

/*
 * Closes, whoever asks for it; an ERROR does not leave a connection behind.
 */
static void
end_admin(KafkaAdmin *admin, bool keep)
{
	if (admin->handle == NULL)
		return;
	end_request(admin);
	if (admin->queue != NULL)
		rd_kafka_queue_destroy(admin->queue);
	kafka_handle_close(admin->handle, keep);
	admin->handle = NULL;
}

/*
 * kafka_admin_topics
 *		Asks for all topics that the user may see, and returns their number
 *		and, ordered by name, a palloc'd array.
 */
int
kafka_admin_topics(KafkaAdmin *admin, KafkaTopicInfo **topics)
{
	const struct rd_kafka_metadata *metadata = kafka_call_topics(admin->handle);
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
 * kafka_admin_create_topic
 *		Creates a topic and waits until the controller has done so.
 *
 * nreplicas -1 is the cluster's default.  config is a list of DefElem with
 * string arguments.
 */
void
kafka_admin_create_topic(KafkaAdmin *admin, const char *topic, int npartitions,
						 int nreplicas, const List *config)
{
	char		errstr[512];
	ListCell   *lc;
	size_t		n;
	const rd_kafka_topic_result_t **results;

	end_request(admin);
	admin->new_topic = rd_kafka_NewTopic_new(topic, npartitions, nreplicas,
											 errstr, sizeof(errstr));
	if (admin->new_topic == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not create topic \"%s\": %s", topic, errstr)));
	foreach(lc, config)
	{
		DefElem    *entry = lfirst_node(DefElem, lc);

		rd_kafka_NewTopic_set_config(admin->new_topic, entry->defname,
									 strVal(entry->arg));
	}
	begin_request(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_CreateTopics(admin->handle->rk, &admin->new_topic, 1,
						  admin->request, admin->queue);
	await_result(admin, "create", topic);
	results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(admin->result),
												  &n);
	check_topic_result(results, "create", topic);
	end_request(admin);
	await_visible(admin, topic, run_created);
}

/*
 * kafka_admin_delete_topic
 *		Deletes a topic and waits until the controller has done so.
 */
void
kafka_admin_delete_topic(KafkaAdmin *admin, const char *topic)
{
	size_t		n;
	const rd_kafka_topic_result_t **results;

	end_request(admin);
	admin->old_topic = rd_kafka_DeleteTopic_new(topic);
	begin_request(admin, RD_KAFKA_ADMIN_OP_DELETETOPICS);
	rd_kafka_DeleteTopics(admin->handle->rk, &admin->old_topic, 1,
						  admin->request, admin->queue);
	await_result(admin, "delete", topic);
	results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(admin->result),
												  &n);
	check_topic_result(results, "delete", topic);
	end_request(admin);
	await_visible(admin, topic, run_deleted);
}

/*
 * Waits until the brokers' metadata shows what the controller has done, so
 * that the next statement sees it.
 */
static void
await_visible(KafkaAdmin *admin, const char *topic, KafkaCallRun run)
{
	char	   *arg = strdup(topic);
	rd_kafka_resp_err_t err;

	if (arg == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	err = kafka_call(admin->handle, run, free, arg);
	kafka_call_end(admin->handle);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(WARNING,
				(kafka_errcode(err),
				 errmsg("the change of topic \"%s\" is not visible on every broker yet",
						topic)));
}

/*
 * In a thread: succeeds once every partition of the topic has a leader.
 */
static rd_kafka_resp_err_t
run_created(rd_kafka_t *rk, void *arg, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = kafka_topic_metadata(rk, arg, &metadata, timeout);

	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
		if (metadata->topics[0].partitions[i].leader < 0)
			err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	rd_kafka_metadata_destroy(metadata);
	return err;
}

/*
 * In a thread: succeeds once the topic is gone.
 */
static rd_kafka_resp_err_t
run_deleted(rd_kafka_t *rk, void *arg, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = kafka_topic_metadata(rk, arg, &metadata, timeout);

	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	rd_kafka_metadata_destroy(metadata);
	return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

static void
begin_request(KafkaAdmin *admin, rd_kafka_admin_op_t op)
{
	char		errstr[512];

	admin->request = rd_kafka_AdminOptions_new(admin->handle->rk, op);
	if (rd_kafka_AdminOptions_set_request_timeout(admin->request,
												  admin->options->timeout,
												  errstr, sizeof(errstr)) != 0 ||
		rd_kafka_AdminOptions_set_operation_timeout(admin->request,
													admin->options->timeout,
													errstr, sizeof(errstr)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("could not prepare a request to Kafka: %s", errstr)));
}

/*
 * Frees what a request has made, if there is one.
 */
static void
end_request(KafkaAdmin *admin)
{
	if (admin->result != NULL)
		rd_kafka_event_destroy(admin->result);
	if (admin->request != NULL)
		rd_kafka_AdminOptions_destroy(admin->request);
	if (admin->new_topic != NULL)
		rd_kafka_NewTopic_destroy(admin->new_topic);
	if (admin->old_topic != NULL)
		rd_kafka_DeleteTopic_destroy(admin->old_topic);
	admin->result = NULL;
	admin->request = NULL;
	admin->new_topic = NULL;
	admin->old_topic = NULL;
}

static void
await_result(KafkaAdmin *admin, const char *what, const char *topic)
{
	rd_kafka_resp_err_t err;

	while ((admin->result = rd_kafka_queue_poll(admin->queue, 0)) == NULL)
	{
		kafka_handle_wait(admin->handle, -1);
		kafka_handle_serve(admin->handle);
		if (admin->handle->error == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
			admin->handle->error == RD_KAFKA_RESP_ERR__SSL)
			ereport(ERROR,
					(kafka_errcode(admin->handle->error),
					 errmsg("could not %s topic \"%s\": %s", what, topic,
							rd_kafka_err2str(admin->handle->error)),
					 kafka_error_reason(admin->handle)));
	}
	err = rd_kafka_event_error(admin->result);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not %s topic \"%s\": %s", what, topic,
						rd_kafka_event_error_string(admin->result)),
				 kafka_error_reason(admin->handle)));
}

static void
check_topic_result(const rd_kafka_topic_result_t *const *results,
				   const char *what, const char *topic)
{
	rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[0]);
	const char *reason = rd_kafka_topic_result_error_string(results[0]);

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not %s topic \"%s\": %s", what, topic,
					reason != NULL ? reason : rd_kafka_err2str(err))));
}

static int
compare_topics(const void *a, const void *b)
{
	return strcmp(((const KafkaTopicInfo *) a)->name,
				  ((const KafkaTopicInfo *) b)->name);
}
