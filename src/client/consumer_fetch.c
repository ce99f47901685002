/*-------------------------------------------------------------------------
 *
 * consumer_fetch.c
 *	  Takes messages from librdkafka.
 *
 * NOTES
 *	  A range is read when its position has reached its end, and the position
 *	  comes from a message at or past the end, or from the end-of-partition
 *	  event, which also passes gaps, aborted transactions and control records.
 *	  No timeout ever ends a range.
 *
 *	  The fetcher of librdkafka stops at a threshold of queued messages and,
 *	  before version 2.2, looks again only when something else wakes its
 *	  thread, up to a second later.  So a reader that has taken a good part of
 *	  the queue wakes the broker threads: setting the SASL credentials, anew
 *	  and unchanged, is the public call that does so and sends nothing.  From
 *	  2.2 on, fetch.queue.backoff.ms does it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "client/consumer_internal.h"
#include "compat.h"
#include "utils/timestamp.h"

#define INITIAL_BATCH 256
#define WAKE_MESSAGES 4096
#define WAKE_BYTES (1024 * 1024)

static int	take_batch(KafkaConsumer *consumer, int max);
static int	messages_at_once(const KafkaConsumer *consumer);
static void take_message(KafkaConsumer *consumer, rd_kafka_message_t *raw);
static void reserve(KafkaConsumer *consumer, int n);
static void reach(KafkaConsumer *consumer, KafkaPartitionPosition *position,
				  int64 offset);
static bool is_error(KafkaConsumer *consumer, const rd_kafka_message_t *raw);
static void raise_fetch_error(KafkaConsumer *consumer);
static void raise_no_answer(KafkaConsumer *consumer);
static void wake_fetcher(KafkaConsumer *consumer, int n, int64 bytes,
						 bool drained);

/*
 * kafka_consumer_poll
 *		Takes up to max more messages and returns how many.
 *
 * Waits for the first at most timeout ms, or, with a negative timeout, until
 * one is there or every range has been read; then the client's timeout without
 * any answer is an ERROR.  So is what Kafka says of a partition, once the
 * messages before it have been returned and released; with a negative timeout
 * once they have been returned.
 */
int
kafka_consumer_poll(KafkaConsumer *consumer, int max, int timeout)
{
	TimestampTz start = timeout > 0 ? GetCurrentTimestamp() : 0;
	long		left = timeout;

	kafka_handle_check_process();
	for (;;)
	{
		int			n = consumer->failed == NULL ? take_batch(consumer, max) : 0;

		if (consumer->failed != NULL &&
			(consumer->count == 0 || (n == 0 && timeout < 0)))
			raise_fetch_error(consumer);
		if (n > 0 || kafka_consumer_finished(consumer) || timeout == 0)
			return n;
		if (timeout > 0)
		{
			left = timeout -
				TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
			if (left <= 0)
				return 0;
		}
		else
			raise_no_answer(consumer);

		kafka_handle_wait(consumer->handle, left);
		kafka_handle_serve(consumer->handle);
	}
}

/*
 * Takes what is in the queue, up to max messages, and returns how many of
 * them are in the ranges.  At an error it stops, and keeps it.
 */
static int
take_batch(KafkaConsumer *consumer, int max)
{
	int			before = consumer->count;
	int64		bytes = consumer->bytes;
	ssize_t		n;
	rd_kafka_message_t **got;

	if (consumer->npositions == 0)
		return 0;
	max = Min(max, Max(INITIAL_BATCH, consumer->size));
	max = Min(max, messages_at_once(consumer));
	reserve(consumer, max);
	got = consumer->raw + consumer->count;
	n = rd_kafka_consume_batch_queue(consumer->queue, 0, got, max);
	if (n <= 0)
	{
		/* nor is anything left of a range that has ended */
		if (consumer->wake_fetcher && consumer->range_ended)
			wake_fetcher(consumer, 0, 0, true);
		consumer->range_ended = false;
		return 0;
	}

	consumer->progress = GetCurrentTimestamp();
	for (ssize_t i = 0; i < n; i++)
	{
		if (is_error(consumer, got[i]))
		{
			consumer->failed = got[i];
			for (ssize_t j = i + 1; j < n; j++)
				rd_kafka_message_destroy(got[j]);
			return consumer->count - before;
		}
		take_message(consumer, got[i]);
	}
	if (consumer->wake_fetcher)
		wake_fetcher(consumer, n, consumer->bytes - bytes, n < max);

	/* a full batch was there: allow a larger one next time */
	if (n == max)
		reserve(consumer, 2 * max);
	return consumer->count - before;
}

/*
 * Returns how many messages a batch may have, by the size that they have had
 * so far, for it not to be more than what is fetched at once: what is taken
 * off the queue is fetched anew.
 */
static int
messages_at_once(const KafkaConsumer *consumer)
{
	int64		bytes = (int64) kafka_fetch_memory * 1024 / 16;
	int64		size = 0;

	if (consumer->seen > 0)
		size = consumer->seen_bytes / consumer->seen;
	return Max(1, Min(bytes / Max(size, 1), INT_MAX));
}

/*
 * kafka_consumer_expansion
 *		Returns how many bytes of memory a byte that Kafka has sent has become,
 *		and in *received how many it has sent since open(); 0 where that cannot
 *		be told.
 */
double
kafka_consumer_expansion(KafkaConsumer *consumer, int64 *received)
{
	double		size;

	*received = kafka_traffic_received(consumer->handle->traffic) -
		consumer->received;
	if (*received <= 0 || consumer->seen == 0)
		return 0;
	size = (double) consumer->seen_bytes / consumer->seen +
		KAFKA_MESSAGE_OVERHEAD;
	return size * (consumer->seen + rd_kafka_queue_length(consumer->queue)) /
		*received;
}

/*
 * Adds a message of the queue to the batch, or, when it is not one or lies
 * outside of its range, notes what it says of the position and frees it.
 */
static void
take_message(KafkaConsumer *consumer, rd_kafka_message_t *raw)
{
	KafkaPartitionPosition *position = kafka_consumer_find(consumer, raw);
	KafkaMessage *message;
	rd_kafka_timestamp_type_t type;

	if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		consumer->seen++;
		consumer->seen_bytes += raw->len + raw->key_len;
	}
	if (position != NULL && raw->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
		!position->at_end &&
		raw->offset >= consumer->append_ends[position - consumer->positions])
	{
		int64		time = rd_kafka_message_timestamp(raw, &type);

		if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME &&
			time >= consumer->append_times[position - consumer->positions])
			reach(consumer, position, position->end);
	}

	if (position == NULL || position->at_end ||
		raw->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
		raw->offset < position->position || raw->offset >= position->end)
	{
		if (position != NULL && !position->at_end &&
			(raw->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
			 raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) &&
			raw->offset > position->position)
			reach(consumer, position, raw->offset);
		if (position != NULL && raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			position->at_log_end = true;
		rd_kafka_message_destroy(raw);
		return;
	}

	message = &consumer->messages[consumer->count];
	message->topic = position->topic;
	message->partition = raw->partition;
	message->offset = raw->offset;
	message->timestamp = rd_kafka_message_timestamp(raw, &type);
	message->timestamp_type =
		type == RD_KAFKA_TIMESTAMP_CREATE_TIME ? KAFKA_TIMESTAMP_CREATE_TIME :
		type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ?
		KAFKA_TIMESTAMP_LOG_APPEND_TIME : KAFKA_TIMESTAMP_NONE;
	message->leader_epoch = kafka_message_leader_epoch(raw);
	message->key = raw->key;
	message->key_len = raw->key_len;
	message->value = raw->payload;
	message->value_len = raw->len;
	message->headers = NULL;
	message->nheaders = 0;
	consumer->raw[consumer->count++] = raw;
	consumer->bytes += raw->len + raw->key_len;
	position->at_log_end = false;
	reach(consumer, position, raw->offset + 1);
}

/*
 * Makes room for n more messages.
 */
static void
reserve(KafkaConsumer *consumer, int n)
{
	int			needed = consumer->count + n;

	if (needed <= consumer->size)
		return;
	if (consumer->raw == NULL)
	{
		consumer->raw = MemoryContextAlloc(consumer->context,
										   sizeof(rd_kafka_message_t *) * needed);
		consumer->messages = MemoryContextAlloc(consumer->context,
												sizeof(KafkaMessage) * needed);
	}
	else
	{
		consumer->raw = repalloc(consumer->raw,
								 sizeof(rd_kafka_message_t *) * needed);
		consumer->messages = repalloc(consumer->messages,
									  sizeof(KafkaMessage) * needed);
	}
	consumer->size = needed;
}

/*
 * Moves a position on; at the end of its range the partition is stopped, so
 * that nothing more is fetched of it.
 */
static void
reach(KafkaConsumer *consumer, KafkaPartitionPosition *position, int64 offset)
{
	position->position = Min(offset, position->end);
	if (position->position < position->end)
		return;
	position->at_end = true;
	consumer->nreading--;
	consumer->range_ended = true;
	rd_kafka_consume_stop(consumer->rkts[position - consumer->positions],
						  position->partition);
}

/*
 * Says whether this is no message but an error, of a partition that is still
 * to be read.
 */
static bool
is_error(KafkaConsumer *consumer, const rd_kafka_message_t *raw)
{
	KafkaPartitionPosition *position;

	if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
		raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
		kafka_error_is_transient(raw->err))
		return false;
	position = kafka_consumer_find(consumer, raw);
	return position == NULL || !position->at_end;
}

/*
 * Raises what Kafka says of a partition, and frees the message that says it.
 */
static void
raise_fetch_error(KafkaConsumer *consumer)
{
	rd_kafka_message_t *raw = consumer->failed;
	rd_kafka_resp_err_t err = raw->err;
	int32		partition = raw->partition;
	int64		offset = raw->offset;
	char	   *reason = pstrdup(rd_kafka_message_errstr(raw));
	char	   *topic = pstrdup(raw->rkt != NULL ? rd_kafka_topic_name(raw->rkt) : "");
	KafkaPartitionPosition *position = kafka_consumer_find(consumer, raw);

	consumer->failed = NULL;
	rd_kafka_message_destroy(raw);
	if (err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("offset " INT64_FORMAT " of partition %d of topic \"%s\" is out of range",
						position != NULL ? position->position : offset,
						partition, topic),
				 errdetail_internal("%s", reason),
				 errhint("The messages have been deleted by retention, or the topic has been recreated.")));
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not read partition %d of topic \"%s\": %s",
					partition, topic, rd_kafka_err2str(err)),
			 errdetail_internal("%s", reason)));
}

/*
 * Raises an ERROR when nothing has come for the client's timeout.
 */
static void
raise_no_answer(KafkaConsumer *consumer)
{
	if (TimestampDifferenceMilliseconds(consumer->progress,
										GetCurrentTimestamp()) <
		consumer->options->timeout)
		return;
	for (int i = 0; i < consumer->npositions; i++)
	{
		KafkaPartitionPosition *position = &consumer->positions[i];

		if (!position->at_end)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("no answer from Kafka for %d ms",
							consumer->options->timeout),
					 errdetail("Partition %d of topic \"%s\" has been read to offset " INT64_FORMAT ", of " INT64_FORMAT ".%s%s",
							   position->partition, position->topic,
							   position->position, position->end,
							   consumer->handle->reason[0] != '\0' ?
							   " The client's last error: " : "",
							   consumer->handle->reason)));
	}
}

/*
 * Wakes the fetcher when enough has been taken off the queue since the last
 * time, or all of it; the queue is of all partitions, so one that has ended may
 * have kept others from being fetched.
 */
static void
wake_fetcher(KafkaConsumer *consumer, int n, int64 bytes, bool drained)
{
	const char *username;
	const char *password;
	rd_kafka_error_t *error;

	consumer->taken += n;
	consumer->taken_bytes += bytes;
	if (consumer->taken < WAKE_MESSAGES && consumer->taken_bytes < WAKE_BYTES &&
		!drained)
		return;
	consumer->taken = 0;
	consumer->taken_bytes = 0;

	username = kafka_options_get(consumer->options, "sasl.username");
	password = kafka_options_get(consumer->options, "sasl.password");
	error = rd_kafka_sasl_set_credentials(consumer->handle->rk,
										  username != NULL ? username : "",
										  password != NULL ? password : "");
	if (error != NULL)
		rd_kafka_error_destroy(error);
}
