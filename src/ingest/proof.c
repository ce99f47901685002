/*-------------------------------------------------------------------------
 *
 * proof.c
 *	  Messages that tell a topic from another one of its name.
 *
 * NOTES
 *	  worker_proof.c says what they are for, and compares them.  Here they are
 *	  made, and found for positions that a session stores.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "compat.h"
#include "cut_point.h"
#include "ingest/proof.h"

#define SEARCH_BEFORE 100		/* offsets before a position */
#define SEARCH_AFTER 1000		/* offsets from there on */
#define POLL_MESSAGES 1000

static bool is_damaged(const ErrorData *error);
static void find_all(KafkaConsumer *consumer, const KafkaRange *ranges,
					 KafkaPosition **positions, int n);
static int	take_found(KafkaConsumer *consumer, KafkaPosition **positions);

/*
 * kafka_proof_take
 *		Makes a message a proof.
 */
void
kafka_proof_take(const KafkaMessage *message, KafkaProof *proof)
{
	uint64		hash = 0;

	if (message->key != NULL)
		hash = hash_bytes_extended((const unsigned char *) message->key,
								   message->key_len, 1);
	if (message->value != NULL)
		hash = hash_combine64(hash,
							  hash_bytes_extended((const unsigned char *) message->value,
												  message->value_len, 2));
	proof->offset = message->offset;
	proof->timestamp = message->timestamp;
	proof->hash = (int64) hash;
	proof->leader_epoch = message->leader_epoch;
}

/*
 * kafka_proof_same
 *		Says whether two proofs of one offset are of the same message.
 */
bool
kafka_proof_same(const KafkaProof *a, const KafkaProof *b)
{
	return a->hash == b->hash && a->timestamp == b->timestamp;
}

/*
 * kafka_proof_place
 *		Says where a proof is looked for, close to a position; false where the
 *		partition has nothing there.
 */
bool
kafka_proof_place(const KafkaPartitionOffsets *offsets, int64 position,
				  KafkaRange *range)
{
	range->topic = offsets->topic;
	range->partition = offsets->partition;
	range->start = Max(offsets->low, position - SEARCH_BEFORE);
	range->end = Min(offsets->end, range->start + SEARCH_AFTER);
	return range->start < range->end;
}

/*
 * kafka_proof_options
 *		Returns options, in the current memory context, of a consumer for single
 *		messages: requests are small, and none waits at the end of the log.
 *
 * A low threshold of messages fetched ahead would save little, and cost a
 * second now and then (see consumer.c).
 */
KafkaClientOptions *
kafka_proof_options(const KafkaClientOptions *options)
{
	KafkaClientOptions *copy = palloc(sizeof(KafkaClientOptions));

	*copy = *options;
	copy->properties = list_copy(options->properties);
	kafka_options_set(copy, "fetch.message.max.bytes", "65536");
	kafka_options_set(copy, "fetch.min.bytes", "1");
	kafka_options_set(copy, "fetch.wait.max.ms", "5");
	return copy;
}

/*
 * kafka_proofs_find
 *		Looks for proofs of positions; offsets are those of their partitions.
 *
 * Where a batch of messages is damaged on the broker, positions go without:
 * whoever reads them will say so.
 */
void
kafka_proofs_find(const KafkaClientOptions *options,
				  const KafkaPartitionOffsets *offsets,
				  KafkaPosition **positions, int n)
{
	MemoryContext context = CurrentMemoryContext;
	KafkaConsumer *consumer = kafka_consumer_open(kafka_proof_options(options));
	KafkaRange *ranges = palloc_array(KafkaRange, Max(n, 1));
	KafkaPosition **asked = palloc_array(KafkaPosition *, Max(n, 1));
	int			nasked = 0;

	for (int i = 0; i < n; i++)
	{
		positions[i]->proof.offset = -1;
		if (kafka_proof_place(&offsets[i], positions[i]->next_offset,
							  &ranges[nasked]))
			asked[nasked++] = positions[i];
	}
	KAFKA_CUT_POINT("proof");
	PG_TRY();
	{
		find_all(consumer, ranges, asked, nasked);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* nothing but the consumer has been touched */
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_damaged(error))
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	kafka_consumer_discard(consumer);
}

/*
 * Says whether the broker has messages that nobody can read.
 */
static bool
is_damaged(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		error->sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED;
}

/*
 * Reads each range until it has given a message, or has none.
 */
static void
find_all(KafkaConsumer *consumer, const KafkaRange *ranges,
		 KafkaPosition **positions, int n)
{
	int			missing = n;

	kafka_consumer_start(consumer, ranges, n);
	while (missing > 0 && !kafka_consumer_finished(consumer))
	{
		(void) kafka_consumer_poll(consumer, POLL_MESSAGES, -1);
		missing -= take_found(consumer, positions);
	}
	kafka_consumer_stop(consumer);
}

/*
 * Takes the first message of each range, and returns of how many there is one
 * now.
 */
static int
take_found(KafkaConsumer *consumer, KafkaPosition **positions)
{
	int			found = 0;

	for (int m = 0; m < kafka_consumer_count(consumer); m++)
	{
		KafkaProof *proof = &positions[kafka_consumer_range(consumer, m)]->proof;

		if (proof->offset >= 0)
			continue;
		kafka_proof_take(kafka_consumer_message(consumer, m), proof);
		found++;
	}
	kafka_consumer_release(consumer);
	return found;
}
