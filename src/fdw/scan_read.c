/*-------------------------------------------------------------------------
 *
 * scan_read.c
 *	  Reads the chunks of a scan.
 *
 * NOTES
 *	  A consumer reads one range of each partition at a time.  So the work of a
 *	  scan by itself is read in rounds, one chunk of each partition; a process
 *	  of a parallel scan takes one chunk after the other.
 *
 *	  A consumer fetches ahead as much as it may, and librdkafka unpacks a
 *	  response as a whole.  How much memory that takes, nobody knows before the
 *	  first ones have come, and where a few messages are enough, it would be
 *	  most of the work.  So a scan begins with a consumer that fetches little.
 *	  When more is to be read, another one goes on, whose responses are as large
 *	  as the memory allows, by what became of those so far; and another, when
 *	  that changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "compat.h"
#include "fdw/quals.h"
#include "fdw/scan.h"
#include "port/pg_bitutils.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

/* messages taken from the client at once */
#define BATCH_MESSAGES 2000

/* expected messages up to which a consumer is small, and when it is not */
#define SMALL_MESSAGES 1000
#define GROW_MESSAGES 5000

/* bytes of a response at least; the number of them that tells what they are
 * when unpacked */
#define MIN_RESPONSE (8 * 1024)
#define RESPONSES 3

static bool next_chunks(KafkaScanState *state);
static int	count_round(const KafkaScanState *state);
static void start_chunks(KafkaScanState *state);
static void start_ranges(KafkaScanState *state, const KafkaRange *ranges);
static void poll(KafkaScanState *state);
static void adapt(KafkaScanState *state);
static int	fitting_response(const KafkaScanState *state);
static void reopen(KafkaScanState *state);
static bool is_wanted(KafkaScanState *state, const KafkaMessage *message);
static void limit_memory(KafkaClientOptions *client, int readers);

/*
 * kafka_scan_reset
 *		Forgets what is being read; what is connected stays so.
 */
void
kafka_scan_reset(KafkaScanState *state)
{
	if (state->consumer != NULL)
		kafka_consumer_stop(state->consumer);
	state->work = NULL;
	state->next_chunk = 0;
	state->nreading = 0;
	state->next = 0;
	state->in_message = false;
}

/*
 * kafka_scan_open
 *		Opens the consumer.
 */
void
kafka_scan_open(KafkaScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	KafkaClientOptions *client = palloc(sizeof(KafkaClientOptions));

	*client = *state->options->client;
	client->properties = list_copy(client->properties);
	state->small = state->consumer == NULL;
	state->few = state->small && state->readers == 1 &&
		((state->limit >= 0 && state->limit <= SMALL_MESSAGES) ||
		 kafka_boxes_size(state->boxes) <= SMALL_MESSAGES);

	/*
	 * The event of a partition's end comes with an empty response only, and
	 * the next scan would wait behind a request that is still out.
	 */
	kafka_options_default(client, "fetch.wait.max.ms", "1");
	if (state->small)
		state->response = Min(KAFKA_SMALL_RESPONSE,
							  kafka_fetch_memory * 1024 / 64);
	kafka_options_limit(client, "fetch.max.bytes", state->response);
	kafka_options_default(client, "fetch.message.max.bytes",
						  psprintf("%d", state->response));
	if (state->small)
		kafka_options_limit(client, "queued.min.messages", SMALL_MESSAGES);
	if (state->readers > 1)
		limit_memory(client, state->readers);
	if (state->consumer != NULL)
		kafka_consumer_close(state->consumer);
	state->consumer = NULL;
	state->consumer = kafka_consumer_open(client);
	state->view.consumer = state->consumer;
	kafka_consumer_want_headers(state->consumer, state->map == NULL ||
								state->map->needs_headers);
	state->read = 0;
	MemoryContextSwitchTo(old);
}

/*
 * Divides the memory of a scan among its processes.
 */
static void
limit_memory(KafkaClientOptions *client, int readers)
{
	kafka_options_limit(client, "queued.max.messages.kbytes",
						kafka_fetch_memory / 4 / readers);
	kafka_options_limit(client, "queued.min.messages",
						kafka_fetch_memory / readers);
}

/*
 * kafka_scan_fetch
 *		Makes sure that there is a message to be taken; false at the end.
 */
bool
kafka_scan_fetch(KafkaScanState *state)
{
	if (state->consumer != NULL &&
		state->next < kafka_consumer_count(state->consumer))
		return true;
	kafka_parallel_report(state);
	for (;;)
	{
		if (state->consumer != NULL)
			kafka_consumer_release(state->consumer);
		state->next = 0;
		if (state->nreading == 0 || kafka_consumer_finished(state->consumer))
		{
			if (!next_chunks(state))
				return false;
		}
		else
		{
			adapt(state);
			poll(state);
		}
		if (kafka_consumer_count(state->consumer) > 0)
			return true;
	}
}

/*
 * kafka_scan_take
 *		Takes the next message of the batch; NULL where nobody asks for it.
 */
const KafkaMessage *
kafka_scan_take(KafkaScanState *state)
{
	const KafkaMessage *message;

	message = kafka_consumer_message(state->consumer, state->next++);
	if (state->between && !is_wanted(state, message))
		return NULL;
	state->stats.messages++;
	state->stats.bytes += message->key_len + message->value_len;
	return message;
}

/*
 * Begins with the next chunks; false when there are none.
 */
static bool
next_chunks(KafkaScanState *state)
{
	state->nreading = 0;
	if (state->work == NULL)
		return false;
	if (state->shared != NULL)
		state->next_chunk = kafka_parallel_next(state->shared);
	if (state->next_chunk >= state->work->nchunks)
		return false;
	if (state->consumer == NULL)
		kafka_scan_open(state);
	state->first_chunk = state->next_chunk;
	state->nreading = state->shared != NULL ? 1 : count_round(state);
	state->next_chunk += state->nreading;
	state->stats.chunks += state->nreading;
	start_chunks(state);
	return true;
}

/*
 * Returns how many chunks the next round has.
 */
static int
count_round(const KafkaScanState *state)
{
	const KafkaChunk *chunks = &state->work->chunks[state->next_chunk];
	int			left = state->work->nchunks - state->next_chunk;
	int			n = 1;

	while (n < left && chunks[n].round == chunks[0].round)
		n++;
	return n;
}

static void
start_chunks(KafkaScanState *state)
{
	const KafkaWork *work = state->work;
	KafkaRange *ranges = palloc_array(KafkaRange, state->nreading);

	if (state->spans != NULL)
		pfree(state->spans);
	state->spans = MemoryContextAllocZero(state->context,
										  sizeof(int) * state->nreading);
	state->between = false;
	for (int i = 0; i < state->nreading; i++)
	{
		const KafkaChunk *chunk = &work->chunks[state->first_chunk + i];

		ranges[i].topic = kafka_work_topic(work, chunk);
		ranges[i].partition = chunk->partition;
		ranges[i].start = chunk->start;
		ranges[i].end = chunk->end;
		state->between |= chunk->nwanted > 0;
	}
	start_ranges(state, ranges);
	pfree(ranges);
}

static void
start_ranges(KafkaScanState *state, const KafkaRange *ranges)
{
	kafka_consumer_start(state->consumer, ranges, state->nreading);
	for (int i = 0; i < state->nreading; i++)
	{
		const KafkaChunk *chunk = &state->work->chunks[state->first_chunk + i];

		kafka_consumer_end_by_append_time(state->consumer, i,
										  chunk->append_end,
										  chunk->append_time);
	}
}

/*
 * Waits for messages, or for what else brings the positions on.
 */
static void
poll(KafkaScanState *state)
{
	instr_time	start;
	instr_time	end;

	if (state->timing)
		INSTR_TIME_SET_CURRENT(start);
	state->read += kafka_consumer_poll(state->consumer, BATCH_MESSAGES, -1);
	if (state->timing)
	{
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		state->stats.wait_time += INSTR_TIME_GET_MILLISEC(end);
	}
}

/*
 * Has another consumer go on when more is read than was expected, or when what
 * has come tells that this one fetches too little at once, or more than there
 * is memory for when it is unpacked.
 */
static void
adapt(KafkaScanState *state)
{
	int			response;

	if (state->few && state->read < GROW_MESSAGES)
		return;
	response = fitting_response(state);
	if (response > 0)
		state->response = response;
	if (response > 0 || (state->small && state->read >= GROW_MESSAGES))
		reopen(state);
}

/*
 * Returns the size that a response should have to take a quarter of the memory
 * when it is unpacked; 0 when that is about what it has, or not yet known.
 */
static int
fitting_response(const KafkaScanState *state)
{
	double		memory = kafka_fetch_memory * 1024.0;
	double		expansion;
	double		fitting;
	int64		received;

	expansion = kafka_consumer_expansion(state->consumer, &received);
	/* a system that does not count */
	if (expansion == 0 && state->small && state->read > 0)
		return memory / 64;
	if (expansion == 0 || received < RESPONSES * (int64) state->response)
		return 0;
	fitting = Min(memory / 4 / state->readers / expansion, memory / 64);
	fitting = Max(fitting, MIN_RESPONSE);
	if (!state->small && fitting < 2.0 * state->response &&
		fitting >= state->response / 2.0)
		return 0;
	return pg_prevpower2_32((uint32) fitting);
}

/*
 * Has a new consumer go on from where the old one is.
 */
static void
reopen(KafkaScanState *state)
{
	const KafkaPartitionPosition *positions;
	KafkaRange *ranges = palloc_array(KafkaRange, state->nreading);
	int			n;

	positions = kafka_consumer_positions(state->consumer, &n);
	for (int i = 0; i < n; i++)
	{
		ranges[i].topic =
			kafka_work_topic(state->work,
							 &state->work->chunks[state->first_chunk + i]);
		ranges[i].partition = positions[i].partition;
		ranges[i].start = positions[i].position;
		ranges[i].end = positions[i].end;
	}
	kafka_scan_open(state);
	start_ranges(state, ranges);
	pfree(ranges);
}

/*
 * Says whether a message is one that the conditions leave; those of a
 * partition come in the order of their offsets.
 */
static bool
is_wanted(KafkaScanState *state, const KafkaMessage *message)
{
	int			i = kafka_consumer_range(state->consumer, state->next - 1);
	const KafkaChunk *chunk = &state->work->chunks[state->first_chunk + i];
	const KafkaSpan *wanted = kafka_work_wanted(state->work, chunk);

	if (chunk->nwanted == 0)
		return true;
	while (state->spans[i] < chunk->nwanted &&
		   message->offset >= wanted[state->spans[i]].end)
		state->spans[i]++;
	return state->spans[i] < chunk->nwanted &&
		message->offset >= wanted[state->spans[i]].start;
}
