/*-------------------------------------------------------------------------
 *
 * worker_response.c
 *	  How much a worker asks Kafka for at once.
 *
 * NOTES
 *	  librdkafka unpacks a response as a whole, and nobody knows how well the
 *	  next messages are compressed.  So a worker begins with responses of a
 *	  2048th of the memory, which take a quarter of it where they become 512
 *	  times as much, and has them take an eighth as soon as it knows better.
 *
 *	  It asks for more where it has waited for many responses, and at most for
 *	  what takes an eighth of the memory by the worst of what has come so far.
 *	  A worker that does not wait would not be faster, and would need more memory
 *	  when other messages come.
 *
 *	  A consumer's responses have one size.  So another consumer goes on where
 *	  the old one is, between two batches.
 *
 *	  What is known of the messages is forgotten when all have been read: those
 *	  of the next backlog may be others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "ingest/worker_internal.h"
#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

/* a response at first, and at most, as parts of the memory; bytes at least */
#define FIRST_PART 2048
#define LARGEST_PART 64
#define MIN_RESPONSE 4096

/* the number of them that tells what they become */
#define RESPONSES 3

/* the number that tells whether they are waited for, which part of the time that
 * is, and how many times more is asked for then */
#define MANY_RESPONSES 512
#define WAITING_PART 8
#define GROWTH 4

static int	part_of_memory(int part);
static int	fitting_size(const KafkaWorker *worker, int64 memory,
						 int largest);
static void watch_waiting(KafkaResponses *responses);
static bool note_expansion(KafkaWorker *worker);
static bool is_waiting(KafkaWorker *worker, int connections);
static int64 get_backlog(const KafkaWorker *worker);
static void reopen(KafkaWorker *worker);

/*
 * kafka_worker_consumer_options
 *		Returns the options, in the current memory context, of the consumer that
 *		messages are read with.
 */
KafkaClientOptions *
kafka_worker_consumer_options(KafkaWorker *worker)
{
	KafkaClientOptions *options = palloc(sizeof(KafkaClientOptions));
	KafkaResponses *responses = &worker->responses;

	*options = *worker->options->client;
	options->properties = list_copy(options->properties);
	if (responses->size == 0)
		responses->size = part_of_memory(FIRST_PART);
	kafka_options_limit(options, "fetch.max.bytes", responses->size);
	kafka_options_limit(options, "fetch.message.max.bytes", responses->size);
	return options;
}

static int
part_of_memory(int part)
{
	return Max((int64) kafka_fetch_memory * 1024 / part, MIN_RESPONSE);
}

/*
 * kafka_worker_proof_size
 *		Returns the size of a response of the consumer that proofs are read with:
 *		a quarter of the others, and no more than takes a 16th of the memory.
 */
int
kafka_worker_proof_size(const KafkaWorker *worker)
{
	return fitting_size(worker, part_of_memory(16),
						worker->responses.size / 4);
}

/*
 * Returns the size, at most the largest one, of a response that takes so much
 * memory when it is unpacked, by the worst so far.
 */
static int
fitting_size(const KafkaWorker *worker, int64 memory, int largest)
{
	double		fitting = largest;

	if (worker->responses.expansion > 0)
		fitting = Min(fitting, memory / worker->responses.expansion);
	return pg_prevpower2_32((uint32) Max(fitting, MIN_RESPONSE));
}

/*
 * kafka_worker_watch_responses
 *		Begins to watch a consumer that has been started.
 */
void
kafka_worker_watch_responses(KafkaWorker *worker)
{
	kafka_consumer_mark(worker->consumer);
	watch_waiting(&worker->responses);
}

/*
 * Begins to watch, anew, whether responses are waited for.
 */
static void
watch_waiting(KafkaResponses *responses)
{
	responses->messages = 0;
	responses->received = 0;
	responses->waited = 0;
}

/*
 * kafka_worker_note_poll
 *		Takes note of a poll that began at this time.
 */
void
kafka_worker_note_poll(KafkaWorker *worker, TimestampTz start)
{
	KafkaResponses *responses = &worker->responses;
	TimestampTz now = GetCurrentTimestamp();

	/* to wait for the first one may be to wait for connections */
	if (responses->messages == 0)
		responses->since = now;
	else
		responses->waited += now - start;
	responses->messages += worker->polled;
}

/*
 * kafka_worker_adapt_responses
 *		Has another consumer go on when responses are to be smaller, by what has
 *		become of them, or larger.  No messages are in hand.
 */
void
kafka_worker_adapt_responses(KafkaWorker *worker)
{
	KafkaResponses *responses = &worker->responses;
	int			connections = Max(kafka_consumer_connections(worker->consumer), 1);
	int			size;

	if (!note_expansion(worker))
		return;
	/* each broker sends one */
	size = fitting_size(worker, part_of_memory(8) / connections,
						part_of_memory(LARGEST_PART));
	if (size > responses->size)
		size = is_waiting(worker, connections) ?
			Min(size, GROWTH * responses->size) : responses->size;
	if (size == responses->size)
		return;
	responses->size = size;
	reopen(worker);
}

/*
 * Takes note of what the responses since the last time have become; false while
 * there are too few.
 */
static bool
note_expansion(KafkaWorker *worker)
{
	KafkaResponses *responses = &worker->responses;
	int64		received;
	double		expansion = kafka_consumer_expansion(worker->consumer, &received);

	if (expansion == 0 || received < RESPONSES * (int64) responses->size)
		return false;
	responses->expansion = Max(responses->expansion, expansion);
	responses->received += received;
	kafka_consumer_mark(worker->consumer);
	return true;
}

/*
 * Says whether the worker has waited for many responses of each of so many
 * connections, though Kafka has the messages: as many again are to come.
 */
static bool
is_waiting(KafkaWorker *worker, int connections)
{
	KafkaResponses *responses = &worker->responses;
	TimestampTz elapsed = GetCurrentTimestamp() - responses->since;
	bool		waiting;

	if (responses->received <
		(int64) MANY_RESPONSES * responses->size * connections)
		return false;
	waiting = responses->waited > elapsed / WAITING_PART &&
		get_backlog(worker) > responses->messages;
	watch_waiting(responses);
	return waiting;
}

/*
 * Returns how many offsets are known to be left to read.
 */
static int64
get_backlog(const KafkaWorker *worker)
{
	int			n;
	int64		backlog = 0;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
		backlog += Max(worker->partitions[i].end - positions[i].position, 0);
	return backlog;
}

/*
 * kafka_worker_forget_responses
 *		Has the next backlog begin as the first one, when all has been read.
 */
void
kafka_worker_forget_responses(KafkaWorker *worker)
{
	KafkaResponses *responses = &worker->responses;

	if (kafka_consumer_count(worker->consumer) > 0)
		return;
	responses->expansion = 0;
	if (responses->size == part_of_memory(FIRST_PART))
		return;
	responses->size = part_of_memory(FIRST_PART);
	reopen(worker);
}

/*
 * Has another consumer go on where this one is.
 */
static void
reopen(KafkaWorker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);
	KafkaRange *ranges = palloc_array(KafkaRange, Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		ranges[i].topic = worker->partitions[i].topic;
		ranges[i].partition = worker->partitions[i].partition;
		ranges[i].start = positions[i].position;
		ranges[i].end = positions[i].end;
	}
	kafka_consumer_discard(worker->consumer);
	worker->consumer = NULL;
	worker->consumer = kafka_worker_open_consumer(worker,
												  kafka_worker_consumer_options(worker));
	kafka_worker_start_consumer(worker, ranges);
	pfree(ranges);
}
