/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  Opens consumers, starts and stops ranges, hands out messages.
 *
 * NOTES
 *	  librdkafka's partition-wise ("simple") consumer with one queue for all
 *	  partitions: no group, so no coordinator, no group ACL and nothing to
 *	  leave at the end.  Partitions start at absolute offsets after metadata is
 *	  there; a logical offset would cost half a second.  A thread takes the
 *	  messages off the queue (reader.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "client/consumer_internal.h"
#include "compat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FETCH_QUEUE_BACKOFF_VERSION 0x020200ff
#define AHEAD_BYTES (4 * 1024 * 1024)	/* that the reader may be ahead by */

/* bytes read by a consumer that make it worth returning memory */
#define TRIM_BYTES (16 * 1024 * 1024)

static void close_consumer(void *arg);
static void end_consumer(KafkaConsumer *consumer, bool keep);
static void return_memory(void);
static void start_reader(KafkaConsumer *consumer);
static void open_topics(KafkaConsumer *consumer, const KafkaRange *ranges,
						int nranges);
static KafkaReaderTopic *open_topic(KafkaConsumer *consumer,
									const char *name);
static int	compare_topics(const void *a, const void *b);
static void start_partition(KafkaConsumer *consumer, int i);

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
	consumer->handle = kafka_handle_open(RD_KAFKA_CONSUMER, options, consumer,
										 close_consumer);
	consumer->callback.func = close_consumer;
	consumer->callback.arg = consumer;
	MemoryContextRegisterResetCallback(consumer->context, &consumer->callback);

	consumer->queue = rd_kafka_queue_new(consumer->handle->rk);
	consumer->mark.received = kafka_traffic_received(consumer->handle->traffic);
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
 * kafka_consumer_discard
 *		The same, and nobody else gets its connections.
 */
void
kafka_consumer_discard(KafkaConsumer *consumer)
{
	end_consumer(consumer, false);
}

/*
 * kafka_consumer_want_headers
 *		Says whether messages are to have their headers from the next start()
 *		on, which takes time even where there are none; without, they seem to
 *		have none.
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
	if (consumer->handle == NULL || kafka_handle_is_forked())
		return;
	kafka_consumer_stop(consumer);
	kafka_consumer_end_config(consumer);
	if (consumer->queue != NULL)
		rd_kafka_queue_destroy(consumer->queue);
	kafka_handle_close(consumer->handle, keep);
	consumer->handle = NULL;
	if (consumer->seen_bytes + consumer->seen * KAFKA_MESSAGE_OVERHEAD > TRIM_BYTES)
		return_memory();
}

/*
 * Returns to the system what librdkafka has freed, which the C library
 * otherwise keeps for each of its threads.
 */
static void
return_memory(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/*
 * kafka_consumer_start
 *		Begins to read the ranges, one a partition, in place of those that
 *		were read before.
 *
 * The ranges' offsets are absolute and within what the partitions hold.
 */
void
kafka_consumer_start(KafkaConsumer *consumer, const KafkaRange *ranges,
					 int nranges)
{
	kafka_consumer_stop(consumer);
	open_topics(consumer, ranges, nranges);
	consumer->progress = GetCurrentTimestamp();

	for (int i = 0; i < nranges; i++)
	{
		KafkaPartitionPosition *position = &consumer->positions[i];
		const KafkaReaderTopic *topic = kafka_reader_topic(consumer->topics,
														   consumer->ntopics,
														   consumer->rkts[i]);

		position->topic = topic->name;
		position->partition = ranges[i].partition;
		position->position = ranges[i].start;
		position->end = ranges[i].end;
		position->at_end = ranges[i].start >= ranges[i].end;
		position->at_log_end = false;
		consumer->ends[i] = ranges[i].end;
		consumer->append_ends[i] = KAFKA_OFFSET_MAX;
		consumer->lasts[i] = -1;
		topic->ranges[ranges[i].partition] = i;
		consumer->npositions = i + 1;
		if (!position->at_end)
			start_partition(consumer, i);
	}
	if (consumer->nreading > 0)
		start_reader(consumer);
}

static void
start_reader(KafkaConsumer *consumer)
{
	const KafkaClientOptions *options = consumer->options;
	KafkaReaderJob job = {
		.handle = consumer->handle,
		.queue = consumer->queue,
		.topics = consumer->topics,
		.ntopics = consumer->ntopics,
		.ends = consumer->ends,
		.memory = Min((size_t) kafka_fetch_memory * 1024 / 16, AHEAD_BYTES),
		.headers = consumer->want_headers
	};

	if (rd_kafka_version() < FETCH_QUEUE_BACKOFF_VERSION)
	{
		job.username = kafka_options_get(options, "sasl.username");
		job.password = kafka_options_get(options, "sasl.password");
		if (job.username == NULL)
			job.username = "";
		if (job.password == NULL)
			job.password = "";
	}
	consumer->reader = kafka_reader_start(&job);
	if (consumer->reader == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a thread: %m")));
}

/*
 * kafka_consumer_end_by_append_time
 *		Ends a range, the first one given to start() being 0, before the first
 *		message at or past an offset that the broker has stamped with a time
 *		(ms since 1970) or a later one.
 */
void
kafka_consumer_end_by_append_time(KafkaConsumer *consumer, int range,
								  int64 offset, int64 time)
{
	consumer->append_ends[range] = offset;
	consumer->append_times[range] = time;
}

/*
 * kafka_consumer_stop
 *		Stops reading and releases all messages; the consumer stays connected.
 */
void
kafka_consumer_stop(KafkaConsumer *consumer)
{
	kafka_consumer_release(consumer);
	if (consumer->failed != NULL)
		rd_kafka_message_destroy(consumer->failed);
	consumer->failed = NULL;
	if (consumer->reader != NULL)
	{
		kafka_reader_stop(consumer->reader, &consumer->seen,
						  &consumer->seen_bytes);
		consumer->reader = NULL;
		consumer->held = NULL;
	}
	for (int i = 0; i < consumer->npositions; i++)
		if (!consumer->positions[i].at_end)
			rd_kafka_consume_stop(consumer->rkts[i],
								  consumer->positions[i].partition);
	for (int i = 0; i < consumer->ntopics; i++)
	{
		rd_kafka_topic_destroy(consumer->topics[i].rkt);
		pfree(unconstify(char *, consumer->topics[i].name));
		if (consumer->topics[i].ranges != NULL)
			pfree(consumer->topics[i].ranges);
	}
	if (consumer->positions != NULL)
	{
		pfree(consumer->positions);
		pfree(consumer->ends);
		pfree(consumer->append_ends);
		pfree(consumer->lasts);
		pfree(consumer->append_times);
		pfree(consumer->rkts);
		pfree(consumer->topics);
	}
	consumer->positions = NULL;
	consumer->npositions = 0;
	consumer->nreading = 0;
	consumer->ntopics = 0;
}

/*
 * kafka_consumer_message
 *		Returns one of the messages taken since the last release.
 */
const KafkaMessage *
kafka_consumer_message(KafkaConsumer *consumer, int i)
{
	Assert(i >= 0 && i < consumer->count);
	return &consumer->entries[i]->message;
}

/*
 * kafka_consumer_range
 *		Returns which of the ranges given to start() such a message is in.
 */
int
kafka_consumer_range(KafkaConsumer *consumer, int i)
{
	Assert(i >= 0 && i < consumer->count);
	return consumer->entries[i]->range;
}

/*
 * kafka_consumer_last
 *		Returns which of the messages taken since the last release is the last one
 *		of a range, or -1 where there is none.
 */
int
kafka_consumer_last(KafkaConsumer *consumer, int range)
{
	Assert(range >= 0 && range < consumer->npositions);
	return consumer->lasts[range];
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
 * kafka_consumer_memory
 *		Returns the bytes of memory that these messages take.
 */
int64
kafka_consumer_memory(KafkaConsumer *consumer)
{
	return consumer->memory;
}

/*
 * kafka_consumer_release
 *		Frees the messages taken so far.
 */
void
kafka_consumer_release(KafkaConsumer *consumer)
{
	if (consumer->reader != NULL)
		kafka_reader_release(consumer->reader);
	for (int i = 0; i < consumer->npositions; i++)
		consumer->lasts[i] = -1;
	consumer->count = 0;
	consumer->bytes = 0;
	consumer->memory = 0;
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
 * Opens the topics of the ranges and makes room for the positions.
 */
static void
open_topics(KafkaConsumer *consumer, const KafkaRange *ranges, int nranges)
{
	MemoryContext old = MemoryContextSwitchTo(consumer->context);
	KafkaReaderTopic *topic = NULL;

	consumer->rkts = palloc_array(rd_kafka_topic_t *, Max(nranges, 1));
	consumer->topics = palloc_array(KafkaReaderTopic, Max(nranges, 1));
	consumer->ends = palloc_array(int64, Max(nranges, 1));
	consumer->append_ends = palloc_array(int64, Max(nranges, 1));
	consumer->lasts = palloc_array(int, Max(nranges, 1));
	consumer->append_times = palloc_array(int64, Max(nranges, 1));
	consumer->positions = palloc_array(KafkaPartitionPosition, Max(nranges, 1));
	for (int i = 0; i < nranges; i++)
	{
		if (topic == NULL || strcmp(topic->name, ranges[i].topic) != 0)
			topic = open_topic(consumer, ranges[i].topic);
		topic->npartitions = Max(topic->npartitions, ranges[i].partition + 1);
		consumer->rkts[i] = topic->rkt;
	}
	qsort(consumer->topics, consumer->ntopics, sizeof(KafkaReaderTopic),
		  compare_topics);
	for (int i = 0; i < consumer->ntopics; i++)
	{
		topic = &consumer->topics[i];
		topic->ranges = palloc_array(int, topic->npartitions);
		memset(topic->ranges, -1, sizeof(int) * topic->npartitions);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Returns a topic that is open already, or opens it.
 */
static KafkaReaderTopic *
open_topic(KafkaConsumer *consumer, const char *name)
{
	KafkaReaderTopic *topic = &consumer->topics[consumer->ntopics];

	for (int i = 0; i < consumer->ntopics; i++)
		if (strcmp(consumer->topics[i].name, name) == 0)
			return &consumer->topics[i];

	topic->name = pstrdup(name);
	topic->ranges = NULL;
	topic->npartitions = 0;
	topic->rkt = rd_kafka_topic_new(consumer->handle->rk, name, NULL);
	if (topic->rkt == NULL)
		ereport(ERROR,
				(kafka_errcode(rd_kafka_last_error()),
				 errmsg("could not read topic \"%s\": %s", name,
						rd_kafka_err2str(rd_kafka_last_error()))));
	consumer->ntopics++;
	return topic;
}

static int
compare_topics(const void *a, const void *b)
{
	uintptr_t	x = (uintptr_t) ((const KafkaReaderTopic *) a)->rkt;
	uintptr_t	y = (uintptr_t) ((const KafkaReaderTopic *) b)->rkt;

	return (x > y) - (x < y);
}

/*
 * kafka_consumer_find
 *		Returns the position of a message's partition, or NULL when it is none
 *		that is being read.
 */
KafkaPartitionPosition *
kafka_consumer_find(KafkaConsumer *consumer, const rd_kafka_message_t *raw)
{
	const KafkaReaderTopic *topic = kafka_reader_topic(consumer->topics,
													   consumer->ntopics,
													   raw->rkt);
	int			range = kafka_reader_range(topic, raw->partition);

	return range < 0 ? NULL : &consumer->positions[range];
}

static void
start_partition(KafkaConsumer *consumer, int i)
{
	KafkaPartitionPosition *position = &consumer->positions[i];

	if (rd_kafka_consume_start_queue(consumer->rkts[i], position->partition,
									 position->position,
									 consumer->queue) != 0)
	{
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		position->at_end = true;
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not read partition %d of topic \"%s\": %s",
						position->partition, position->topic,
						rd_kafka_err2str(err))));
	}
	consumer->nreading++;
}
