/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  The topics that a producer sends to.
 *
 * NOTES
 *	  A topic is asked for before anything is sent to it: the client would hold
 *	  its messages back until they time out, and say no more than that.  As
 *	  that takes a request, the instance remembers for a while which topics
 *	  there are, also while it is kept for the next statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/handle.h"
#include "utils/builtins.h"

#define CHECKED_FOR 10000		/* ms */

static KafkaHandleTopic *find_topic(KafkaHandle *handle, const char *topic);
static void forget_topic(KafkaHandleTopic *entry);
static void check_topic(KafkaHandle *handle, const char *topic);
static rd_kafka_resp_err_t run_topic(rd_kafka_t *rk, void *arg, int timeout);

/*
 * kafka_topic_use
 *		Returns a topic that exists, or did a moment ago.
 *
 * It belongs to the handle, which may forget it with the next call.
 */
rd_kafka_topic_t *
kafka_topic_use(KafkaHandle *handle, const char *topic)
{
	KafkaHandleTopic *entry = find_topic(handle, topic);

	if (entry != NULL && kafka_now_ms() - entry->checked < CHECKED_FOR)
		return entry->rkt;
	if (entry == NULL)
	{
		entry = &handle->topics[handle->next_topic];
		handle->next_topic = (handle->next_topic + 1) % KAFKA_HANDLE_TOPICS;
	}
	forget_topic(entry);

	check_topic(handle, topic);
	entry->rkt = rd_kafka_topic_new(handle->rk, topic, NULL);
	if (entry->rkt == NULL)
		ereport(ERROR,
				(kafka_errcode(rd_kafka_last_error()),
				 errmsg("could not send to topic \"%s\": %s", topic,
						rd_kafka_err2str(rd_kafka_last_error()))));
	entry->checked = kafka_now_ms();
	return entry->rkt;
}

/*
 * kafka_topic_forget_all
 *		Lets go of all topics, in any thread, before the instance is destroyed.
 */
void
kafka_topic_forget_all(KafkaHandle *handle)
{
	for (int i = 0; i < KAFKA_HANDLE_TOPICS; i++)
		forget_topic(&handle->topics[i]);
}

static KafkaHandleTopic *
find_topic(KafkaHandle *handle, const char *topic)
{
	for (int i = 0; i < KAFKA_HANDLE_TOPICS; i++)
	{
		KafkaHandleTopic *entry = &handle->topics[i];

		if (entry->rkt != NULL &&
			strcmp(rd_kafka_topic_name(entry->rkt), topic) == 0)
			return entry;
	}
	return NULL;
}

static void
forget_topic(KafkaHandleTopic *entry)
{
	if (entry->rkt != NULL)
		rd_kafka_topic_destroy(entry->rkt);
	entry->rkt = NULL;
}

/*
 * Raises an ERROR when the topic does not exist or nobody answers.
 */
static void
check_topic(KafkaHandle *handle, const char *topic)
{
	const char *create = kafka_options_get(handle->options,
										   "allow.auto.create.topics");
	char	   *arg = strdup(topic);
	bool		creates = false;
	rd_kafka_resp_err_t err;

	if (create != NULL)
		(void) parse_bool(create, &creates);
	if (arg == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	err = kafka_call(handle, run_topic, free, arg);
	kafka_call_end(handle);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR ||
		(err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && creates))
		return;
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("topic \"%s\" does not exist", topic)));
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not send to topic \"%s\": %s", topic,
					rd_kafka_err2str(err)),
			 kafka_error_reason(handle)));
}

/*
 * In a thread: asks for the topic.
 */
static rd_kafka_resp_err_t
run_topic(rd_kafka_t *rk, void *arg, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	err = kafka_topic_metadata(rk, arg, &metadata, timeout);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	return err;
}
