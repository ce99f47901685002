/*-------------------------------------------------------------------------
 *
 * group.c
 *	  Tells Kafka's tools how far a consumer group is, without being one.
 *
 * NOTES
 *	  Offsets are committed outside of any generation of the group, as by a
 *	  consumer that assigns partitions to itself; the coordinator refuses that
 *	  while the group has members.  One commit is under way at a time, and its
 *	  answer comes through the queue that the backend serves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/group.h"
#include "client/handle.h"

struct KafkaGroup
{
	KafkaHandle *handle;
	MemoryContextCallback callback;
	bool		busy;			/* a commit is under way */
	rd_kafka_resp_err_t error;	/* of the last one */
};

static void close_group(void *arg);
static void hear_of_errors(KafkaGroup *group);
static void take_answer(void *arg, rd_kafka_event_t *event);
static rd_kafka_resp_err_t find_error(KafkaGroup *group);

/*
 * kafka_group_open
 *		Opens a client for the offsets of a group.
 *
 * options and group_id must live as long.  No connection is made yet.
 */
KafkaGroup *
kafka_group_open(const KafkaClientOptions *options, const char *group_id)
{
	KafkaGroup *group = palloc0(sizeof(KafkaGroup));
	KafkaClientOptions *own = palloc(sizeof(KafkaClientOptions));
	KafkaProperty *property = palloc0(sizeof(KafkaProperty));

	property->name = "group.id";
	property->value = group_id;
	property->clients = KAFKA_FOR_CONSUMER;
	*own = *options;
	own->properties = lappend(list_copy(options->properties), property);

	group->handle = kafka_handle_open(RD_KAFKA_CONSUMER, own, group,
									  close_group);
	group->handle->deliver = take_answer;
	hear_of_errors(group);
	group->callback.func = close_group;
	group->callback.arg = group;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &group->callback);
	return group;
}

/*
 * Has the handle get what librdkafka says of the group.  While it is not told
 * the coordinator, for want of an ACL, a commit has no answer.
 */
static void
hear_of_errors(KafkaGroup *group)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(group->handle->rk);

	rd_kafka_queue_forward(queue, group->handle->events);
	rd_kafka_queue_destroy(queue);
}

static void
close_group(void *arg)
{
	KafkaGroup *group = arg;

	if (group->handle != NULL)
		kafka_handle_close(group->handle, false);
	group->handle = NULL;
}

/*
 * kafka_group_commit
 *		Sends the positions; false when it could not, because the answer to the
 *		last ones has not come yet or there is an error.
 */
bool
kafka_group_commit(KafkaGroup *group, const KafkaGroupPosition *positions,
				   int n)
{
	rd_kafka_topic_partition_list_t *offsets;

	kafka_handle_serve(group->handle);
	if (group->busy)
		return false;
	offsets = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(offsets, positions[i].topic,
										  positions[i].partition)->offset =
			positions[i].offset;
	group->error = rd_kafka_commit_queue(group->handle->rk, offsets,
										 group->handle->events, NULL, NULL);
	rd_kafka_topic_partition_list_destroy(offsets);
	group->busy = group->error == RD_KAFKA_RESP_ERR_NO_ERROR;
	return group->busy;
}

static void
take_answer(void *arg, rd_kafka_event_t *event)
{
	KafkaGroup *group = arg;
	rd_kafka_topic_partition_list_t *offsets;

	group->busy = false;
	group->error = rd_kafka_event_error(event);
	offsets = rd_kafka_event_topic_partition_list(event);
	for (int i = 0; offsets != NULL && i < offsets->cnt &&
		 group->error == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		group->error = offsets->elems[i].err;
	if (group->error == RD_KAFKA_RESP_ERR_NO_ERROR)
		group->handle->error = RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * kafka_group_error
 *		Returns what became of the last commit, or what keeps it from having an
 *		answer, NULL for nothing bad.
 */
const char *
kafka_group_error(KafkaGroup *group)
{
	rd_kafka_resp_err_t err;

	kafka_handle_serve(group->handle);
	err = find_error(group);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(err);
}

/*
 * kafka_group_errcode
 *		The same for the SQLSTATE, and the hint, of the report under
 *		construction.
 */
int
kafka_group_errcode(KafkaGroup *group)
{
	return kafka_errcode(find_error(group));
}

static rd_kafka_resp_err_t
find_error(KafkaGroup *group)
{
	if (group->handle->error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		return group->handle->error;
	return group->error;
}
