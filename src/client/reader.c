/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Takes messages off a queue of librdkafka's, in a thread of its own.
 *
 * NOTES
 *	  The thread appends entries to a chain of chunks, and the backend walks
 *	  behind (reader_chunks.c).
 *
 *	  The backend says that it waits before it looks for the last time, and the
 *	  thread looks whether it waits after it has published, so one of them sees
 *	  the other.
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

#include <pthread.h>
#include <unistd.h>

#include "client/reader.h"
#include "client/thread.h"

#define SLICE 512				/* messages taken at once */
#define PATIENCE 1000			/* ms to wait, before looking around */
#define WAKE_MESSAGES 4096
#define WAKE_BYTES (1024 * 1024)

struct KafkaReader
{
	KafkaReaderJob job;
	pthread_t	thread;
	KafkaReaderChunks chunks;

	/* atomic */
	int			waiting;		/* the backend wants to be woken */
	int			stop;
	int			failed;			/* the thread has ended: no memory */
	int			range_ended;	/* and the fetcher was not woken since */
	int64		seen;			/* messages, wanted or not */
	int64		seen_bytes;		/* of their keys and values */

	/* of the thread */
	const KafkaReaderTopic *topic;	/* of the last message, or NULL */
	int64		woken;			/* seen, when the fetcher was woken */
	int64		woken_bytes;
};

static void *read_queue(void *arg);
static int	messages_at_once(const KafkaReader *reader);
static ssize_t wait_for_message(KafkaReader *reader,
								rd_kafka_message_t **raw);
static bool wait_for_room(KafkaReader *reader);
static void take(KafkaReader *reader, rd_kafka_message_t **raw, ssize_t n,
				 bool drained);
static bool append(KafkaReader *reader, rd_kafka_message_t *raw);
static bool append_event(KafkaReader *reader, rd_kafka_message_t *raw);
static bool append_message(KafkaReader *reader, const rd_kafka_message_t *raw,
						   int range);
static size_t headers_size(rd_kafka_headers_t *headers);
static void copy_headers(KafkaMessage *message, rd_kafka_headers_t *headers,
						 char *to);
static const char *copy_bytes(char **to, const void *bytes, size_t len);
static KafkaEntry *make_entry(KafkaReader *reader, size_t size);
static void wake_backend(KafkaReader *reader);
static void wake_fetcher(KafkaReader *reader, bool drained);

/*
 * kafka_reader_start
 *		Starts to take what is in the queue, where partitions are being read.
 *
 * Returns NULL and sets errno when there is no memory or no thread left.
 */
KafkaReader *
kafka_reader_start(const KafkaReaderJob *job)
{
	KafkaReader *reader = calloc(1, sizeof(KafkaReader));
	int			rc;

	if (reader == NULL)
		return NULL;
	reader->job = *job;
	reader->range_ended = 1;	/* there may be a rest of earlier ranges */
	rc = kafka_chunks_begin(&reader->chunks) ?
		kafka_thread_start(&reader->thread, read_queue, reader) : ENOMEM;
	if (rc != 0)
	{
		kafka_chunks_end(&reader->chunks);
		free(reader);
		errno = rc;
		return NULL;
	}
	return reader;
}

/*
 * kafka_reader_next
 *		Returns the next entry, valid until release or stop; or NULL where there
 *		is none yet: then the handle is woken when there is.
 */
KafkaEntry *
kafka_reader_next(KafkaReader *reader)
{
	KafkaEntry *entry = kafka_chunks_next(&reader->chunks);

	if (entry != NULL)
		return entry;
	__atomic_store_n(&reader->waiting, 1, __ATOMIC_SEQ_CST);
	return kafka_chunks_next(&reader->chunks);
}

/*
 * kafka_reader_failed
 *		Says whether there will be no more entries, for lack of memory.
 */
bool
kafka_reader_failed(KafkaReader *reader)
{
	return __atomic_load_n(&reader->failed, __ATOMIC_SEQ_CST);
}

/*
 * kafka_reader_end_range
 *		Takes note that a partition is not read any more.  What is left of it in
 *		the queue, which may have kept others from being fetched, is dropped
 *		without being seen.
 */
void
kafka_reader_end_range(KafkaReader *reader)
{
	__atomic_store_n(&reader->range_ended, 1, __ATOMIC_SEQ_CST);
	rd_kafka_queue_yield(reader->job.queue);
}

/*
 * kafka_reader_release
 *		Frees the entries that were returned so far.
 */
void
kafka_reader_release(KafkaReader *reader)
{
	kafka_chunks_release(&reader->chunks);
}

/*
 * kafka_reader_add_seen
 *		Adds how many messages, and bytes of keys and values, were in the queue.
 */
void
kafka_reader_add_seen(KafkaReader *reader, int64 *messages, int64 *bytes)
{
	*messages += __atomic_load_n(&reader->seen, __ATOMIC_RELAXED);
	*bytes += __atomic_load_n(&reader->seen_bytes, __ATOMIC_RELAXED);
}

/*
 * kafka_reader_stop
 *		Ends the thread and frees everything; adds what was in the queue.
 */
void
kafka_reader_stop(KafkaReader *reader, int64 *messages, int64 *bytes)
{
	KafkaEntry *entry;

	kafka_chunks_stop(&reader->chunks, &reader->stop);
	rd_kafka_queue_yield(reader->job.queue);
	pthread_join(reader->thread, NULL);

	kafka_reader_add_seen(reader, messages, bytes);
	while ((entry = kafka_chunks_next(&reader->chunks)) != NULL)
		if (entry->event != NULL)
			rd_kafka_message_destroy(entry->event);
	kafka_chunks_end(&reader->chunks);
	free(reader);
}

/*
 * kafka_reader_topic
 *		Returns the topic of librdkafka's, or NULL.
 */
const KafkaReaderTopic *
kafka_reader_topic(const KafkaReaderTopic *topics, int ntopics,
				   const rd_kafka_topic_t *rkt)
{
	int			low = 0;
	int			high = ntopics;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if ((uintptr_t) topics[middle].rkt < (uintptr_t) rkt)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ntopics && topics[low].rkt == rkt ? &topics[low] : NULL;
}

/*
 * kafka_reader_range
 *		Returns which range a partition is, or -1.
 */
int
kafka_reader_range(const KafkaReaderTopic *topic, int partition)
{
	if (topic == NULL || partition < 0 || partition >= topic->npartitions)
		return -1;
	return topic->ranges[partition];
}

/*
 * The thread.
 */
static void *
read_queue(void *arg)
{
	KafkaReader *reader = arg;
	rd_kafka_message_t *raw[SLICE];

	(void) kafka_thread_begin_batch();
	while (wait_for_room(reader) &&
		   !__atomic_load_n(&reader->failed, __ATOMIC_SEQ_CST))
	{
		int			max = messages_at_once(reader);
		ssize_t		n = rd_kafka_consume_batch_queue(reader->job.queue, 0, raw,
													 max);

		if (n <= 0)
			n = wait_for_message(reader, raw);
		if (n > 0)
			take(reader, raw, n, n < max);
	}
	wake_backend(reader);
	return NULL;
}

/*
 * Returns how many messages are taken off the queue together, by the size that
 * they have had so far: what has been taken off is fetched anew.
 */
static int
messages_at_once(const KafkaReader *reader)
{
	int64		size = reader->seen > 0 ? reader->seen_bytes / reader->seen : 0;

	return Max(1, Min(SLICE, (int64) reader->job.memory / Max(size, 1)));
}

/*
 * Waits for a message, for a moment; gives memory back when there is none.
 *
 * That the thread is to end is looked at here, for the call before may have
 * taken the wish of the backend that the next one is not to wait.
 */
static ssize_t
wait_for_message(KafkaReader *reader, rd_kafka_message_t **raw)
{
	ssize_t		n;

	wake_backend(reader);
	if (__atomic_exchange_n(&reader->range_ended, 0, __ATOMIC_SEQ_CST) ||
		reader->seen > reader->woken)
		wake_fetcher(reader, true);
	if (__atomic_load_n(&reader->stop, __ATOMIC_SEQ_CST))
		return 0;
	n = rd_kafka_consume_batch_queue(reader->job.queue, PATIENCE, raw, 1);
	if (n <= 0)
		kafka_chunks_trim(&reader->chunks);
	return n;
}

/*
 * Waits while the thread is ahead by more than it may be; false when it is to
 * end.
 */
static bool
wait_for_room(KafkaReader *reader)
{
	if (kafka_chunks_is_ahead(&reader->chunks, reader->job.memory))
		wake_backend(reader);
	return kafka_chunks_wait(&reader->chunks, reader->job.memory,
							 &reader->stop);
}

/*
 * Copies and frees messages; drained says that there were no more.
 */
static void
take(KafkaReader *reader, rd_kafka_message_t **raw, ssize_t n, bool drained)
{
	bool		ok = true;

	for (ssize_t i = 0; i < n; i++)
	{
		if (ok)
			ok = append(reader, raw[i]);
		else
			rd_kafka_message_destroy(raw[i]);
	}
	kafka_chunks_publish(&reader->chunks);
	if (!ok)
		__atomic_store_n(&reader->failed, 1, __ATOMIC_SEQ_CST);
	wake_fetcher(reader, drained);
}

/*
 * Appends what was in the queue, which is then freed or the entry's; false when
 * there is no memory.
 */
static bool
append(KafkaReader *reader, rd_kafka_message_t *raw)
{
	int			range;
	bool		ok = true;

	if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return append_event(reader, raw);
	if (reader->topic == NULL || reader->topic->rkt != raw->rkt)
		reader->topic = kafka_reader_topic(reader->job.topics,
										   reader->job.ntopics, raw->rkt);
	range = kafka_reader_range(reader->topic, raw->partition);
	/* nobody else writes these */
	__atomic_store_n(&reader->seen, reader->seen + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&reader->seen_bytes,
					 reader->seen_bytes + raw->len + raw->key_len,
					 __ATOMIC_RELAXED);
	if (range >= 0)
		ok = append_message(reader, raw, range);
	rd_kafka_message_destroy(raw);
	return ok;
}

static bool
append_event(KafkaReader *reader, rd_kafka_message_t *raw)
{
	KafkaEntry *entry = make_entry(reader, 0);

	if (entry == NULL)
	{
		rd_kafka_message_destroy(raw);
		return false;
	}
	entry->event = raw;
	return true;
}

/*
 * Of a message past the end of its range, only that it was there is of
 * interest.
 */
static bool
append_message(KafkaReader *reader, const rd_kafka_message_t *raw, int range)
{
	bool		within = raw->offset < reader->job.ends[range];
	rd_kafka_headers_t *headers = NULL;
	rd_kafka_timestamp_type_t type;
	KafkaMessage *message;
	KafkaEntry *entry;
	size_t		extra = 0;
	char	   *to;

	if (within && reader->job.headers &&
		rd_kafka_message_headers(raw, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
		extra = headers_size(headers);
	entry = make_entry(reader, extra + (within ? raw->key_len + raw->len : 0));
	if (entry == NULL)
		return false;
	entry->event = NULL;
	entry->range = range;
	message = &entry->message;
	message->topic = reader->topic->name;
	message->partition = raw->partition;
	message->offset = raw->offset;
	message->timestamp = rd_kafka_message_timestamp(raw, &type);
	message->timestamp_type =
		type == RD_KAFKA_TIMESTAMP_CREATE_TIME ? KAFKA_TIMESTAMP_CREATE_TIME :
		type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ?
		KAFKA_TIMESTAMP_LOG_APPEND_TIME : KAFKA_TIMESTAMP_NONE;
	message->leader_epoch = kafka_message_leader_epoch(raw);
	message->headers = NULL;
	message->nheaders = 0;
	message->key = message->value = NULL;
	message->key_len = message->value_len = 0;
	if (!within)
		return true;
	to = (char *) (entry + 1);
	if (headers != NULL)
		copy_headers(message, headers, to);
	to += extra;
	message->key = copy_bytes(&to, raw->key, raw->key_len);
	message->key_len = raw->key_len;
	message->value = copy_bytes(&to, raw->payload, raw->len);
	message->value_len = raw->len;
	return true;
}

static size_t
headers_size(rd_kafka_headers_t *headers)
{
	size_t		n = rd_kafka_header_cnt(headers);
	size_t		size = sizeof(KafkaHeader) * n;

	for (size_t i = 0; i < n; i++)
	{
		const char *name;
		const void *value;
		size_t		len;

		rd_kafka_header_get_all(headers, i, &name, &value, &len);
		size += strlen(name) + 1 + len;
	}
	return size;
}

static void
copy_headers(KafkaMessage *message, rd_kafka_headers_t *headers, char *to)
{
	size_t		n = rd_kafka_header_cnt(headers);
	KafkaHeader *copy = (KafkaHeader *) to;

	to += sizeof(KafkaHeader) * n;
	for (size_t i = 0; i < n; i++)
	{
		const char *name;
		const void *value;
		size_t		len;

		rd_kafka_header_get_all(headers, i, &name, &value, &len);
		copy[i].name = copy_bytes(&to, name, strlen(name) + 1);
		copy[i].value = copy_bytes(&to, value, len);
		copy[i].value_len = len;
	}
	message->headers = copy;
	message->nheaders = n;
}

/*
 * Copies bytes and moves on behind them; what is NULL stays so, also where it
 * has a length.
 */
static const char *
copy_bytes(char **to, const void *bytes, size_t len)
{
	char	   *copy = *to;

	if (bytes == NULL)
		return NULL;
	memcpy(copy, bytes, len);
	*to += len;
	return copy;
}

/*
 * Returns an entry with so many bytes behind it, which is not published yet; or
 * NULL when there is no memory.
 */
static KafkaEntry *
make_entry(KafkaReader *reader, size_t size)
{
	bool		full;
	KafkaEntry *entry = kafka_chunks_append(&reader->chunks, size, &full);

	if (full)
		wake_backend(reader);
	return entry;
}

/*
 * Wakes the backend if it waits.
 */
static void
wake_backend(KafkaReader *reader)
{
	ssize_t		rc;

	if (!__atomic_exchange_n(&reader->waiting, 0, __ATOMIC_SEQ_CST))
		return;
	/* wake[1] stays open: the backend joins this thread before closing */
	rc = write(reader->job.handle->wake[1], "", 1);
	(void) rc;					/* a full pipe wakes the backend as well */
}

/*
 * Wakes the fetcher when enough has been taken off the queue since the last
 * time, or all of it.
 */
static void
wake_fetcher(KafkaReader *reader, bool drained)
{
	rd_kafka_error_t *error;

	if (reader->job.username == NULL ||
		(reader->seen - reader->woken < WAKE_MESSAGES &&
		 reader->seen_bytes - reader->woken_bytes < WAKE_BYTES && !drained))
		return;
	reader->woken = reader->seen;
	reader->woken_bytes = reader->seen_bytes;
	error = rd_kafka_sasl_set_credentials(reader->job.handle->rk,
										  reader->job.username,
										  reader->job.password);
	if (error != NULL)
		rd_kafka_error_destroy(error);
}
