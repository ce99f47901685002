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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/consumer_internal.h"
#include "compat.h"
#include "utils/timestamp.h"

#define INITIAL_BATCH 256

static int	take_batch(KafkaConsumer *consumer, int max, const bool *wanted);
static KafkaEntry *next_entry(KafkaConsumer *consumer);
static void take_message(KafkaConsumer *consumer, KafkaEntry *entry);
static KafkaConsumerTraffic count_traffic(KafkaConsumer *consumer);
static void take_event(KafkaConsumer *consumer, rd_kafka_message_t *raw);
static void make_room(KafkaConsumer *consumer);
static void reach(KafkaConsumer *consumer, KafkaPartitionPosition *position,
				  int64 offset);
static bool is_error(KafkaConsumer *consumer, const rd_kafka_message_t *raw);
static void raise_fetch_error(KafkaConsumer *consumer);
static void raise_no_answer(KafkaConsumer *consumer);

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
		int			n = consumer->failed == NULL ?
		take_batch(consumer, max, NULL) : 0;

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
 * kafka_consumer_take
 *		Takes up to max more messages that are there, without waiting and without
 *		an ERROR of Kafka's, and returns how many.
 *
 * It ends before a message of a range, numbered as given to start(), for which
 * wanted says no.
 */
int
kafka_consumer_take(KafkaConsumer *consumer, int max, const bool *wanted)
{
	return consumer->failed == NULL ? take_batch(consumer, max, wanted) : 0;
}

/*
 * Takes what the reader has, up to max messages, of ranges that are wanted, and
 * returns how many of them are in the ranges.  At an error it stops, and keeps
 * it; so it does with a message that is not wanted.
 */
static int
take_batch(KafkaConsumer *consumer, int max, const bool *wanted)
{
	int64		at_once = (int64) kafka_fetch_memory * 1024 / 16;
	int64		memory = consumer->memory;
	int			before = consumer->count;
	KafkaEntry *entry = NULL;
	bool		progressed = false;

	if (consumer->reader == NULL)
		return 0;
	while (consumer->count - before < max && consumer->failed == NULL &&
		   consumer->memory - memory < at_once &&
		   (entry = next_entry(consumer)) != NULL)
	{
		if (entry->event == NULL && wanted != NULL && !wanted[entry->range])
		{
			consumer->held = entry;
			break;
		}
		if (entry->event == NULL)
			take_message(consumer, entry);
		else if (is_error(consumer, entry->event))
			consumer->failed = entry->event;
		else
			take_event(consumer, entry->event);
		progressed = true;
	}
	if (progressed)
		consumer->progress = GetCurrentTimestamp();
	if (consumer->count == before && kafka_reader_failed(consumer->reader))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return consumer->count - before;
}

/*
 * Returns the message that is held, or else the reader's next entry, or NULL.
 *
 * What is held outlives a release, being the last that the reader has given.
 */
static KafkaEntry *
next_entry(KafkaConsumer *consumer)
{
	KafkaEntry *entry = consumer->held;

	consumer->held = NULL;
	return entry != NULL ? entry : kafka_reader_next(consumer->reader);
}

/*
 * Adds a message to the batch, or, when it lies outside of its range, notes
 * what it says of the position.
 */
static void
take_message(KafkaConsumer *consumer, KafkaEntry *entry)
{
	KafkaPartitionPosition *position = &consumer->positions[entry->range];
	const KafkaMessage *message = &entry->message;

	if (position->at_end || message->offset < position->position)
		return;
	if (message->offset >= position->end ||
		(message->offset >= consumer->append_ends[entry->range] &&
		 message->timestamp_type == KAFKA_TIMESTAMP_LOG_APPEND_TIME &&
		 message->timestamp >= consumer->append_times[entry->range]))
	{
		reach(consumer, position, position->end);
		return;
	}
	make_room(consumer);
	consumer->lasts[entry->range] = consumer->count;
	consumer->entries[consumer->count++] = entry;
	consumer->bytes += message->key_len + message->value_len;
	consumer->memory += entry->size;
	position->at_log_end = false;
	reach(consumer, position, message->offset + 1);
}

/*
 * kafka_consumer_mark
 *		Has kafka_consumer_expansion() begin here, and not at open().
 */
void
kafka_consumer_mark(KafkaConsumer *consumer)
{
	consumer->mark = count_traffic(consumer);
}

/*
 * kafka_consumer_expansion
 *		Returns how many bytes of memory a byte that Kafka has sent has become,
 *		and in *received how many it has sent since mark() or open(); 0 where
 *		that cannot be told.
 */
double
kafka_consumer_expansion(KafkaConsumer *consumer, int64 *received)
{
	KafkaConsumerTraffic now = count_traffic(consumer);
	KafkaConsumerTraffic *mark = &consumer->mark;
	int64		seen = now.seen - mark->seen;
	double		size;

	*received = now.received - mark->received;
	if (*received <= 0 || seen == 0)
		return 0;
	size = (double) (now.bytes - mark->bytes) / seen + KAFKA_MESSAGE_OVERHEAD;
	return size * Max(seen + now.queued - mark->queued, 0) / *received;
}

/*
 * Counts what has come up to now.
 */
static KafkaConsumerTraffic
count_traffic(KafkaConsumer *consumer)
{
	KafkaConsumerTraffic traffic = {
		.seen = consumer->seen,
		.bytes = consumer->seen_bytes
	};

	traffic.received = kafka_traffic_received(consumer->handle->traffic);
	traffic.queued = rd_kafka_queue_length(consumer->queue);
	if (consumer->reader != NULL)
		kafka_reader_add_seen(consumer->reader, &traffic.seen, &traffic.bytes);
	return traffic;
}

/*
 * kafka_consumer_connections
 *		Returns how many connections there are: with the brokers, each of which
 *		sends a response of its own, and perhaps one more.
 */
int
kafka_consumer_connections(KafkaConsumer *consumer)
{
	return kafka_traffic_connections(consumer->handle->traffic);
}

/*
 * Notes what something that is neither a message nor an error says of a
 * position, and frees it.
 */
static void
take_event(KafkaConsumer *consumer, rd_kafka_message_t *raw)
{
	KafkaPartitionPosition *position = kafka_consumer_find(consumer, raw);

	if (position != NULL && raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		if (!position->at_end && raw->offset > position->position)
			reach(consumer, position, raw->offset);
		position->at_log_end = true;
	}
	rd_kafka_message_destroy(raw);
}

/*
 * Makes room for one message more.
 */
static void
make_room(KafkaConsumer *consumer)
{
	if (consumer->count < consumer->size)
		return;
	consumer->size = Max(2 * consumer->size, INITIAL_BATCH);
	consumer->entries = consumer->entries == NULL ?
		MemoryContextAlloc(consumer->context,
						   sizeof(KafkaEntry *) * consumer->size) :
		repalloc(consumer->entries, sizeof(KafkaEntry *) * consumer->size);
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
	rd_kafka_consume_stop(consumer->rkts[position - consumer->positions],
						  position->partition);
	kafka_reader_end_range(consumer->reader);
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
