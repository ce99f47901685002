/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  Reads offset ranges of one topic.
 *
 * NOTES
 *	  librdkafka's partition-wise ("simple") consumer with one queue for all
 *	  partitions: no group, so no coordinator, no group ACL and nothing to
 *	  leave at the end.  Partitions start at absolute offsets after metadata is
 *	  there; a logical offset would cost half a second.
 *
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

#include "client/consumer.h"
#include "client/handle.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FETCH_QUEUE_BACKOFF_VERSION 0x020200ff
#define INITIAL_BATCH 256
#define WAKE_MESSAGES 4096
#define WAKE_BYTES (1024 * 1024)

struct KafkaConsumer
{
	/* for the life of the consumer */
	KafkaHandle *handle;
	const KafkaClientOptions *options;
	MemoryContext context;		/* owns the consumer and what it allocates */
	MemoryContextCallback callback;
	rd_kafka_queue_t *queue;	/* all partitions' messages */
	bool		wake_fetcher;	/* this librdkafka needs it */
	bool		want_headers;	/* messages come with their headers */

	/* from start() to stop() */
	char	   *topic;
	rd_kafka_topic_t *rkt;
	KafkaPartitionPosition *positions;	/* ordered by partition */
	int			npositions;
	int			nreading;		/* not at their end */
	TimestampTz progress;		/* when something last came */

	/* since release() */
	rd_kafka_message_t **raw;
	KafkaMessage *messages;
	int			count;
	int			size;			/* of both arrays */
	int64		bytes;
	MemoryContext batch;		/* headers */

	/* since the fetcher was last woken */
	int64		taken;			/* messages */
	int64		taken_bytes;
};

/* Argument of a call: the offsets of some partitions at a time. */
typedef struct TimesCall
{
	int64		timestamp;		/* ms since 1970 */
	rd_kafka_topic_partition_list_t *offsets;
} TimesCall;

/* Argument of a call: low and end offsets of a topic's partitions. */
typedef struct OffsetsCall
{
	char	   *topic;
	rd_kafka_topic_partition_list_t *low;
	rd_kafka_topic_partition_list_t *end;
} OffsetsCall;

static void close_consumer(void *arg);
static void end_consumer(KafkaConsumer *consumer, bool keep);
static rd_kafka_resp_err_t run_offsets(rd_kafka_t *rk, void *arg, int timeout);
static rd_kafka_resp_err_t find_partitions(rd_kafka_t *rk, OffsetsCall *call,
										   int timeout);
static rd_kafka_resp_err_t ask_offsets(rd_kafka_t *rk,
									   rd_kafka_topic_partition_list_t *list,
									   int64 which, int timeout);
static void release_offsets(void *arg);
static rd_kafka_resp_err_t run_times(rd_kafka_t *rk, void *arg, int timeout);
static void release_times(void *arg);
static int	compare_offsets(const void *a, const void *b);
static void start_partition(KafkaConsumer *consumer,
							KafkaPartitionPosition *position);
static int	take_batch(KafkaConsumer *consumer, int max);
static void take_message(KafkaConsumer *consumer, rd_kafka_message_t *raw);
static void reserve(KafkaConsumer *consumer, int n);
static void reach(KafkaConsumer *consumer, KafkaPartitionPosition *position,
				  int64 offset);
static KafkaPartitionPosition *find_position(KafkaConsumer *consumer,
											 int32 partition);
static void raise_fetch_error(KafkaConsumer *consumer,
							  rd_kafka_message_t *raw);
static void raise_no_answer(KafkaConsumer *consumer);
static void wake_fetcher(KafkaConsumer *consumer, int n, int64 bytes,
						 bool drained);
static void take_headers(KafkaConsumer *consumer, int i);

/*
 * kafka_consumer_open
 *		Opens a consumer, owned by the current memory context.
 *
 * options must live as long.  No connection is made yet.
 */
KafkaConsumer *
kafka_consumer_open(const KafkaClientOptions *options)
{
	KafkaConsumer *consumer = palloc0(sizeof(KafkaConsumer));

	consumer->context = CurrentMemoryContext;
	consumer->options = options;
	consumer->wake_fetcher = rd_kafka_version() < FETCH_QUEUE_BACKOFF_VERSION;
	consumer->batch = AllocSetContextCreate(consumer->context,
											"kafka consumer batch",
											ALLOCSET_DEFAULT_SIZES);
	consumer->handle = kafka_handle_open(RD_KAFKA_CONSUMER, options, consumer,
										 close_consumer);
	consumer->callback.func = close_consumer;
	consumer->callback.arg = consumer;
	MemoryContextRegisterResetCallback(consumer->context, &consumer->callback);

	consumer->queue = rd_kafka_queue_new(consumer->handle->rk);
	kafka_handle_wake_on(consumer->handle, consumer->queue);

	return consumer;
}

/*
 * kafka_consumer_close
 *		Closes the consumer; its messages are no longer valid.
 */
void
kafka_consumer_close(KafkaConsumer *consumer)
{
	end_consumer(consumer, true);
}

/*
 * kafka_consumer_want_headers
 *		Says whether kafka_consumer_message() reads headers, which takes time
 *		even where there are none; without, messages seem to have none.
 */
void
kafka_consumer_want_headers(KafkaConsumer *consumer, bool want)
{
	consumer->want_headers = want;
}

static void
close_consumer(void *arg)
{
	end_consumer(arg, false);
}

/*
 * Closes, whoever asks for it; an ERROR does not leave a connection behind.
 */
static void
end_consumer(KafkaConsumer *consumer, bool keep)
{
	if (consumer->handle == NULL)
		return;
	kafka_consumer_stop(consumer);
	if (consumer->queue != NULL)
		rd_kafka_queue_destroy(consumer->queue);
	kafka_handle_close(consumer->handle, keep);
	consumer->handle = NULL;
}

/*
 * kafka_consumer_offsets
 *		Asks for the offsets of all partitions of a topic, and returns their
 *		number and, ordered by partition, a palloc'd array.
 *
 * Raises an ERROR when the topic does not exist, or when no answer comes
 * within the timeout.
 */
int
kafka_consumer_offsets(KafkaConsumer *consumer, const char *topic,
					   KafkaPartitionOffsets **offsets)
{
	OffsetsCall *call = calloc(1, sizeof(OffsetsCall));
	rd_kafka_resp_err_t err;
	int			n;

	if (call == NULL || (call->topic = strdup(topic)) == NULL)
	{
		free(call);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	err = kafka_call(consumer->handle, run_offsets, release_offsets, call);
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("topic \"%s\" does not exist", topic)));
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not get the offsets of topic \"%s\": %s",
						topic, rd_kafka_err2str(err)),
				 kafka_error_reason(consumer->handle)));

	n = call->low->cnt;
	*offsets = palloc_array(KafkaPartitionOffsets, n);
	for (int i = 0; i < n; i++)
	{
		(*offsets)[i].partition = call->low->elems[i].partition;
		(*offsets)[i].low = call->low->elems[i].offset;
		(*offsets)[i].end = call->end->elems[i].offset;
	}
	kafka_call_end(consumer->handle);
	qsort(*offsets, n, sizeof(KafkaPartitionOffsets), compare_offsets);

	return n;
}

/*
 * kafka_consumer_offsets_for_time
 *		Asks for the first offset of each partition whose message is not older
 *		than the timestamp (ms since 1970), and puts it into offsets[];
 *		KAFKA_OFFSET_MAX where there is none.
 *
 * Raises an ERROR when no answer comes within the timeout.
 */
void
kafka_consumer_offsets_for_time(KafkaConsumer *consumer, const char *topic,
								int64 timestamp,
								const KafkaPartitionOffsets *partitions,
								int n, int64 *offsets)
{
	TimesCall  *call = calloc(1, sizeof(TimesCall));
	rd_kafka_resp_err_t err;

	if (call == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	call->timestamp = timestamp;
	call->offsets = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(call->offsets, topic,
										  partitions[i].partition);
	err = kafka_call(consumer->handle, run_times, release_times, call);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not get the offsets of topic \"%s\" for a time: %s",
						topic, rd_kafka_err2str(err)),
				 kafka_error_reason(consumer->handle)));
	for (int i = 0; i < n; i++)
	{
		offsets[i] = call->offsets->elems[i].offset;
		if (offsets[i] < 0)
			offsets[i] = KAFKA_OFFSET_MAX;
	}
	kafka_call_end(consumer->handle);
}

/*
 * kafka_consumer_start
 *		Begins to read the ranges, one a partition, in place of those that
 *		were read before.
 *
 * The ranges' offsets are absolute and within what the partitions hold.
 */
void
kafka_consumer_start(KafkaConsumer *consumer, const char *topic,
					 const KafkaRange *ranges, int nranges)
{
	kafka_consumer_stop(consumer);

	consumer->topic = MemoryContextStrdup(consumer->context, topic);
	consumer->rkt = rd_kafka_topic_new(consumer->handle->rk, topic, NULL);
	if (consumer->rkt == NULL)
		ereport(ERROR,
				(kafka_errcode(rd_kafka_last_error()),
				 errmsg("could not read topic \"%s\": %s", topic,
						rd_kafka_err2str(rd_kafka_last_error()))));
	consumer->positions =
		MemoryContextAlloc(consumer->context,
						   sizeof(KafkaPartitionPosition) * Max(nranges, 1));
	consumer->nreading = 0;
	consumer->progress = GetCurrentTimestamp();

	for (int i = 0; i < nranges; i++)
	{
		KafkaPartitionPosition *position = &consumer->positions[i];

		position->partition = ranges[i].partition;
		position->position = ranges[i].start;
		position->end = ranges[i].end;
		position->at_end = ranges[i].start >= ranges[i].end;
		position->at_log_end = false;
		consumer->npositions = i + 1;
		if (!position->at_end)
			start_partition(consumer, position);
	}
}

/*
 * kafka_consumer_stop
 *		Stops reading and releases all messages; the consumer stays connected.
 */
void
kafka_consumer_stop(KafkaConsumer *consumer)
{
	kafka_consumer_release(consumer);
	if (consumer->rkt == NULL)
		return;
	for (int i = 0; i < consumer->npositions; i++)
		if (!consumer->positions[i].at_end)
			rd_kafka_consume_stop(consumer->rkt,
								  consumer->positions[i].partition);
	rd_kafka_topic_destroy(consumer->rkt);
	consumer->rkt = NULL;
	consumer->npositions = 0;
	consumer->nreading = 0;
	pfree(consumer->positions);
	pfree(consumer->topic);
}

/*
 * kafka_consumer_poll
 *		Takes up to max more messages and returns how many.
 *
 * Waits for the first at most timeout ms, or, with a negative timeout, until
 * one is there or every range has been read; then the client's timeout without
 * any answer is an ERROR.  So is what Kafka says of a partition.
 */
int
kafka_consumer_poll(KafkaConsumer *consumer, int max, int timeout)
{
	TimestampTz start = timeout > 0 ? GetCurrentTimestamp() : 0;
	long		left = timeout;

	for (;;)
	{
		int			n = take_batch(consumer, max);

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
 * kafka_consumer_message
 *		Returns one of the messages taken since the last release.
 */
const KafkaMessage *
kafka_consumer_message(KafkaConsumer *consumer, int i)
{
	Assert(i >= 0 && i < consumer->count);
	if (consumer->want_headers)
		take_headers(consumer, i);
	return &consumer->messages[i];
}

/*
 * kafka_consumer_count
 *		Returns how many messages were taken since the last release.
 */
int
kafka_consumer_count(KafkaConsumer *consumer)
{
	return consumer->count;
}

/*
 * kafka_consumer_bytes
 *		Returns the bytes of keys and values taken since the last release.
 */
int64
kafka_consumer_bytes(KafkaConsumer *consumer)
{
	return consumer->bytes;
}

/*
 * kafka_consumer_release
 *		Frees the messages taken so far.
 */
void
kafka_consumer_release(KafkaConsumer *consumer)
{
	for (int i = 0; i < consumer->count; i++)
		rd_kafka_message_destroy(consumer->raw[i]);
	consumer->count = 0;
	consumer->bytes = 0;
	MemoryContextReset(consumer->batch);
}

/*
 * kafka_consumer_finished
 *		Says whether every range has been read to its end.
 */
bool
kafka_consumer_finished(KafkaConsumer *consumer)
{
	return consumer->nreading == 0;
}

/*
 * kafka_consumer_positions
 *		Returns how far each range has been read, ordered as given to start();
 *		valid until the next poll.
 */
const KafkaPartitionPosition *
kafka_consumer_positions(KafkaConsumer *consumer, int *n)
{
	*n = consumer->npositions;
	return consumer->positions;
}

/*
 * In a thread: asks for the topic's partitions, then for their low and their
 * end offsets, each in one request to every leader.
 */
static rd_kafka_resp_err_t
run_offsets(rd_kafka_t *rk, void *arg, int timeout)
{
	OffsetsCall *call = arg;
	rd_kafka_resp_err_t err;

	if (call->low == NULL)
	{
		err = find_partitions(rk, call, timeout);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
			return err;
	}
	err = ask_offsets(rk, call->low, RD_KAFKA_OFFSET_BEGINNING, timeout);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = ask_offsets(rk, call->end, RD_KAFKA_OFFSET_END, timeout);
	return err;
}

static rd_kafka_resp_err_t
find_partitions(rd_kafka_t *rk, OffsetsCall *call, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	const rd_kafka_metadata_topic_t *topic;
	rd_kafka_resp_err_t err;

	err = kafka_topic_metadata(rk, call->topic, &metadata, timeout);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;

	topic = &metadata->topics[0];
	call->low = rd_kafka_topic_partition_list_new(topic->partition_cnt);
	for (int i = 0; i < topic->partition_cnt; i++)
		rd_kafka_topic_partition_list_add(call->low, call->topic,
										  topic->partitions[i].id);
	call->end = rd_kafka_topic_partition_list_copy(call->low);
	rd_kafka_metadata_destroy(metadata);
	return err;
}

/*
 * In a thread: asks for a logical offset of all partitions at once.
 *
 * rd_kafka_offsets_for_times() passes -1 and -2 on, which mean in Kafka's
 * protocol what they mean here.  Under read_committed the end is the last
 * stable offset.
 */
static rd_kafka_resp_err_t
ask_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
			int64 which, int timeout)
{
	rd_kafka_resp_err_t err;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = which;
	err = rd_kafka_offsets_for_times(rk, list, timeout);
	for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		err = list->elems[i].err;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset < 0)
			err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	}
	return err;
}

static void
release_offsets(void *arg)
{
	OffsetsCall *call = arg;

	if (call->low != NULL)
		rd_kafka_topic_partition_list_destroy(call->low);
	if (call->end != NULL)
		rd_kafka_topic_partition_list_destroy(call->end);
	free(call->topic);
	free(call);
}

/*
 * In a thread: asks for the offsets at a time, in one request to every leader.
 */
static rd_kafka_resp_err_t
run_times(rd_kafka_t *rk, void *arg, int timeout)
{
	TimesCall  *call = arg;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < call->offsets->cnt; i++)
		call->offsets->elems[i].offset = call->timestamp;
	err = rd_kafka_offsets_for_times(rk, call->offsets, timeout);
	for (int i = 0; i < call->offsets->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		err = call->offsets->elems[i].err;
	return err;
}

static void
release_times(void *arg)
{
	TimesCall  *call = arg;

	if (call->offsets != NULL)
		rd_kafka_topic_partition_list_destroy(call->offsets);
	free(call);
}

static int
compare_offsets(const void *a, const void *b)
{
	int32		x = ((const KafkaPartitionOffsets *) a)->partition;
	int32		y = ((const KafkaPartitionOffsets *) b)->partition;

	return (x > y) - (x < y);
}

static void
start_partition(KafkaConsumer *consumer, KafkaPartitionPosition *position)
{
	if (rd_kafka_consume_start_queue(consumer->rkt, position->partition,
									 position->position,
									 consumer->queue) != 0)
	{
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		position->at_end = true;
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not read partition %d of topic \"%s\": %s",
						position->partition, consumer->topic,
						rd_kafka_err2str(err))));
	}
	consumer->nreading++;
}

/*
 * Takes what is in the queue, up to max messages, and returns how many of
 * them are in the ranges.
 */
static int
take_batch(KafkaConsumer *consumer, int max)
{
	int			before = consumer->count;
	int64		bytes = consumer->bytes;
	ssize_t		n;
	rd_kafka_message_t **got;

	if (consumer->rkt == NULL)
		return 0;
	max = Min(max, Max(INITIAL_BATCH, consumer->size));
	reserve(consumer, max);
	got = consumer->raw + consumer->count;
	n = rd_kafka_consume_batch_queue(consumer->queue, 0, got, max);
	if (n <= 0)
		return 0;

	consumer->progress = GetCurrentTimestamp();
	for (ssize_t i = 0; i < n; i++)
	{
		rd_kafka_message_t *raw = got[i];

		if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
			raw->err != RD_KAFKA_RESP_ERR__PARTITION_EOF &&
			!kafka_error_is_transient(raw->err))
		{
			for (ssize_t j = i + 1; j < n; j++)
				rd_kafka_message_destroy(got[j]);
			raise_fetch_error(consumer, raw);
		}
		take_message(consumer, raw);
	}
	if (consumer->wake_fetcher)
		wake_fetcher(consumer, n, consumer->bytes - bytes, n < max);

	/* a full batch was there: allow a larger one next time */
	if (n == max)
		reserve(consumer, 2 * max);
	return consumer->count - before;
}

/*
 * Adds a message of the queue to the batch, or, when it is not one or lies
 * outside of its range, notes what it says of the position and frees it.
 */
static void
take_message(KafkaConsumer *consumer, rd_kafka_message_t *raw)
{
	KafkaPartitionPosition *position = find_position(consumer, raw->partition);
	KafkaMessage *message;
	rd_kafka_timestamp_type_t type;

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
	message->topic = consumer->topic;
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
	rd_kafka_consume_stop(consumer->rkt, position->partition);
}

static KafkaPartitionPosition *
find_position(KafkaConsumer *consumer, int32 partition)
{
	for (int i = 0; i < consumer->npositions; i++)
		if (consumer->positions[i].partition == partition)
			return &consumer->positions[i];
	return NULL;
}

/*
 * Raises what Kafka says of a partition, and frees the message that says it.
 */
static void
raise_fetch_error(KafkaConsumer *consumer, rd_kafka_message_t *raw)
{
	rd_kafka_resp_err_t err = raw->err;
	int32		partition = raw->partition;
	int64		offset = raw->offset;
	char	   *reason = pstrdup(rd_kafka_message_errstr(raw));
	KafkaPartitionPosition *position = find_position(consumer, partition);

	rd_kafka_message_destroy(raw);
	if (err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("offset " INT64_FORMAT " of partition %d of topic \"%s\" is out of range",
						position != NULL ? position->position : offset,
						partition, consumer->topic),
				 errdetail_internal("%s", reason),
				 errhint("The messages have been deleted by retention, or the topic has been recreated.")));
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not read partition %d of topic \"%s\": %s",
					partition, consumer->topic, rd_kafka_err2str(err)),
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
							   position->partition, consumer->topic,
							   position->position, position->end,
							   consumer->handle->reason[0] != '\0' ?
							   " The client's last error: " : "",
							   consumer->handle->reason)));
	}
}

/*
 * Wakes the fetcher when enough has been taken off the queue since the last
 * time, or all of it.
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

/*
 * Reads the headers of a message that has any.
 */
static void
take_headers(KafkaConsumer *consumer, int i)
{
	KafkaMessage *message = &consumer->messages[i];
	rd_kafka_headers_t *headers;
	KafkaHeader *copy;
	size_t		n;

	if (message->headers != NULL)
		return;
	if (rd_kafka_message_headers(consumer->raw[i], &headers) !=
		RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	n = rd_kafka_header_cnt(headers);
	copy = MemoryContextAlloc(consumer->batch, sizeof(KafkaHeader) * Max(n, 1));
	for (size_t h = 0; h < n; h++)
	{
		const void *value;

		rd_kafka_header_get_all(headers, h, &copy[h].name, &value,
								&copy[h].value_len);
		copy[h].value = value;
	}
	message->headers = copy;
	message->nheaders = n;
}
