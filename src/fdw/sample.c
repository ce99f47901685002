/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Reads a part of a topic, for ANALYZE and IMPORT FOREIGN SCHEMA.
 *
 * NOTES
 *	  A sample is ranges of offsets, read in rounds of one range a partition.
 *	  Ranges may hold fewer messages than offsets, or none: compaction and
 *	  transactions leave gaps.
 *
 *	  What comes out of a topic may be anything, so it is decoded under
 *	  kafka_sample_try(), whose subtransaction takes back whatever an input
 *	  function holds when it raises an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "compat.h"
#include "fdw/sample.h"
#include "storage/block.h"
#include "utils/resowner.h"
#include "utils/sampling.h"

/* messages taken from the client at once */
#define BATCH_MESSAGES 1000

/* a topic of less than so many times the sample is read as a whole */
#define WHOLE_FACTOR 4

/* blocks of a spread sample, and messages of a block if there is a choice */
#define MIN_BLOCKS 10
#define MAX_BLOCKS 100
#define BLOCK_MESSAGES 100

/* steps back from the ends, each twice as wide as the one before */
#define LATEST_STEPS 8

static void add_block(KafkaSample *sample, BlockNumber block, int64 width,
					  int *ranges);
static void add_range(KafkaSample *sample, int round,
					  const KafkaPartitionOffsets *partition, int64 start,
					  int64 end);
static bool next_round(KafkaSample *sample);
static bool is_of_message(const ErrorData *error);

/*
 * kafka_sample_consumer
 *		Opens a consumer that does not fetch much more than it is asked for.
 */
KafkaConsumer *
kafka_sample_consumer(KafkaClientOptions *client)
{
	/* the event of a partition's end comes with an empty response only */
	kafka_options_default(client, "fetch.wait.max.ms", "10");
	kafka_options_limit(client, "fetch.max.bytes", KAFKA_SMALL_RESPONSE);
	kafka_options_limit(client, "fetch.message.max.bytes",
						KAFKA_SMALL_RESPONSE);
	return kafka_consumer_open(client);
}

/*
 * kafka_sample_open
 *		Asks what there is of the topics that an option "topic" means.
 *
 * The sample is in the current memory context.
 */
KafkaSample *
kafka_sample_open(KafkaConsumer *consumer, const char *spec)
{
	KafkaSample *sample = palloc0(sizeof(KafkaSample));

	sample->consumer = consumer;
	sample->noffsets = kafka_consumer_offsets(consumer,
											  kafka_consumer_topics(consumer,
																	spec),
											  &sample->offsets);
	for (int i = 0; i < sample->noffsets; i++)
		sample->size += sample->offsets[i].end - sample->offsets[i].low;
	sample->limit = PG_INT64_MAX;
	return sample;
}

/*
 * kafka_sample_spread
 *		Chooses about so many messages, from all over the topic; all of a
 *		topic that is not much larger.
 *
 * They take the place of what was chosen before.  The offsets of each partition are divided into blocks, as a heap is into
 * pages, and blocks are chosen as ANALYZE chooses pages.
 */
void
kafka_sample_spread(KafkaSample *sample, int messages)
{
	int			nblocks = Min(Max(messages / BLOCK_MESSAGES, MIN_BLOCKS), MAX_BLOCKS);
	int64		width = Max(messages / nblocks, 1);
	int64		total = 0;
	int		   *ranges = palloc0(sizeof(int) * Max(sample->noffsets, 1));
	BlockSamplerData blocks;

	sample->rounds = NIL;
	sample->round = 0;
	sample->covered = sample->messages = sample->bytes = 0;
	if (sample->size / WHOLE_FACTOR < messages)
		width = Max(sample->size, 1);
	width = Max(width, sample->size / (MaxBlockNumber / 2));
	for (int i = 0; i < sample->noffsets; i++)
	{
		const KafkaPartitionOffsets *offsets = &sample->offsets[i];

		total += (offsets->end - offsets->low + width - 1) / width;
	}
	if (width >= sample->size)
		nblocks = Max(total, 1);	/* each is a partition */
	BlockSampler_Init(&blocks, (BlockNumber) total, nblocks,
					  pg_prng_uint32(&pg_global_prng_state));
	while (BlockSampler_HasMore(&blocks))
		add_block(sample, BlockSampler_Next(&blocks), width, ranges);
	pfree(ranges);
}

/*
 * Adds the range of a block; ranges[] counts those of each partition.
 */
static void
add_block(KafkaSample *sample, BlockNumber block, int64 width, int *ranges)
{
	int64		left = block;

	for (int i = 0; i < sample->noffsets; i++)
	{
		const KafkaPartitionOffsets *offsets = &sample->offsets[i];
		int64		n = (offsets->end - offsets->low + width - 1) / width;

		if (left < n)
		{
			int64		start = offsets->low + left * width;

			add_range(sample, ranges[i]++, offsets, start,
					  Min(offsets->end, start + width));
			return;
		}
		left -= n;
	}
}

/*
 * kafka_sample_latest
 *		Chooses so many messages from the ends of all partitions, fewer where
 *		there are many gaps.
 */
void
kafka_sample_latest(KafkaSample *sample, int messages)
{
	int64		width = messages / Max(sample->noffsets, 1) + 1;

	sample->limit = messages;
	for (int i = 0; i < sample->noffsets; i++)
	{
		const KafkaPartitionOffsets *offsets = &sample->offsets[i];
		int64		end = offsets->end;

		for (int step = 0; step < LATEST_STEPS && end > offsets->low; step++)
		{
			int64		start = Max(end - (width << step), offsets->low);

			add_range(sample, step, offsets, start, end);
			end = start;
		}
	}
}

/*
 * Adds a range to a round, which is an old one or the next.
 */
static void
add_range(KafkaSample *sample, int round,
		  const KafkaPartitionOffsets *partition, int64 start, int64 end)
{
	KafkaRange *range = palloc(sizeof(KafkaRange));

	range->topic = partition->topic;
	range->partition = partition->partition;
	range->start = start;
	range->end = end;
	sample->covered += end - start;
	if (round == list_length(sample->rounds))
		sample->rounds = lappend(sample->rounds, list_make1(range));
	else
	{
		ListCell   *lc = list_nth_cell(sample->rounds, round);

		lfirst(lc) = lappend(lfirst(lc), range);
	}
}

/*
 * kafka_sample_next
 *		Returns the next message, valid until the next call, or NULL.
 */
const KafkaMessage *
kafka_sample_next(KafkaSample *sample)
{
	const KafkaMessage *message;

	if (sample->messages >= sample->limit)
		return NULL;
	while (sample->next >= kafka_consumer_count(sample->consumer))
	{
		kafka_consumer_release(sample->consumer);
		sample->next = 0;
		if (!kafka_consumer_finished(sample->consumer))
			kafka_consumer_poll(sample->consumer, BATCH_MESSAGES, -1);
		else if (!next_round(sample))
			return NULL;
	}
	message = kafka_consumer_message(sample->consumer, sample->next++);
	sample->messages++;
	sample->bytes += message->key_len + message->value_len;
	return message;
}

/*
 * Begins to read the ranges of the next round; false when there is none.
 */
static bool
next_round(KafkaSample *sample)
{
	List	   *round;
	KafkaRange *ranges;
	ListCell   *lc;

	if (sample->round >= list_length(sample->rounds))
		return false;
	round = list_nth(sample->rounds, sample->round++);
	ranges = palloc_array(KafkaRange, list_length(round));
	foreach(lc, round)
		ranges[foreach_current_index(lc)] = *(KafkaRange *) lfirst(lc);
	kafka_consumer_start(sample->consumer, ranges, list_length(round));
	pfree(ranges);
	return true;
}

/*
 * kafka_sample_try
 *		Calls a function and returns true; false, with the error in the current
 *		memory context, when it raises one that a message can be the reason of.
 *
 * Any other error is raised again.
 */
bool
kafka_sample_try(void (*run) (void *arg), void *arg, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run(arg);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (!done && !is_of_message(*error))
		ReThrowError(*error);
	return done;
}

/*
 * Says whether an error may be one of the message: not a cancel, and not
 * something that the server lacks.
 */
static bool
is_of_message(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return false;
		default:
			return true;
	}
}
