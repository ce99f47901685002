/*-------------------------------------------------------------------------
 *
 * consumer_config.c
 *	  Asks how topics stamp their messages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/consumer_internal.h"
#include "compat.h"

static void ask_config(KafkaConsumer *consumer, const List *topics);
static bool has_append_time(const rd_kafka_ConfigResource_t *topic);

/*
 * kafka_consumer_append_time_topics
 *		Returns those of the topics that are configured to stamp messages with
 *		the time of the broker; none where that does not come out: the user may
 *		not be allowed to know.
 *
 * The list points to the names of the given one.
 */
List *
kafka_consumer_append_time_topics(KafkaConsumer *consumer, const List *topics)
{
	const rd_kafka_ConfigResource_t **resources;
	List	   *found = NIL;
	size_t		n;

	if (topics == NIL)
		return NIL;
	ask_config(consumer, topics);
	if (rd_kafka_event_type(consumer->config) ==
		RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT &&
		rd_kafka_event_error(consumer->config) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(consumer->config),
															  &n);
		for (size_t i = 0; i < n; i++)
		{
			const char *name = rd_kafka_ConfigResource_name(resources[i]);
			ListCell   *lc;

			if (!has_append_time(resources[i]))
				continue;
			foreach(lc, topics)
			{
				if (strcmp(lfirst(lc), name) == 0)
					found = lappend(found, lfirst(lc));
			}
		}
	}
	kafka_consumer_end_config(consumer);
	return found;
}

/*
 * Asks for the configuration of topics, and waits for the answer or for what
 * stands in for it after the client's timeout.
 */
static void
ask_config(KafkaConsumer *consumer, const List *topics)
{
	rd_kafka_t *rk = consumer->handle->rk;
	int			n = list_length(topics);
	rd_kafka_ConfigResource_t **resources =
	palloc_array(rd_kafka_ConfigResource_t *, n);
	rd_kafka_AdminOptions_t *options;
	char		errstr[512];

	kafka_consumer_end_config(consumer);
	consumer->config_queue = rd_kafka_queue_new(rk);
	kafka_handle_wake_on(consumer->handle, consumer->config_queue);
	options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(options,
											  consumer->options->timeout,
											  errstr, sizeof(errstr));
	for (int i = 0; i < n; i++)
		resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
												   list_nth(topics, i));
	rd_kafka_DescribeConfigs(rk, resources, n, options, consumer->config_queue);
	rd_kafka_ConfigResource_destroy_array(resources, n);
	rd_kafka_AdminOptions_destroy(options);
	pfree(resources);

	while ((consumer->config = rd_kafka_queue_poll(consumer->config_queue,
												   0)) == NULL)
	{
		kafka_handle_wait(consumer->handle, -1);
		kafka_handle_serve(consumer->handle);
	}
}

static bool
has_append_time(const rd_kafka_ConfigResource_t *topic)
{
	const rd_kafka_ConfigEntry_t **entries;
	size_t		n;

	if (rd_kafka_ConfigResource_error(topic) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	entries = rd_kafka_ConfigResource_configs(topic, &n);
	for (size_t i = 0; i < n; i++)
	{
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]),
				   "message.timestamp.type") == 0)
			return value != NULL && strcmp(value, "LogAppendTime") == 0;
	}
	return false;
}

/*
 * kafka_consumer_end_config
 *		Frees what is left of such a request.
 */
void
kafka_consumer_end_config(KafkaConsumer *consumer)
{
	if (consumer->config != NULL)
		rd_kafka_event_destroy(consumer->config);
	if (consumer->config_queue != NULL)
		rd_kafka_queue_destroy(consumer->config_queue);
	consumer->config = NULL;
	consumer->config_queue = NULL;
}
