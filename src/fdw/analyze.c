/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  Samples a topic for ANALYZE.
 *
 * NOTES
 *	  The number of rows is that of the sample, scaled from the offsets that
 *	  were read to all offsets, so gaps and messages of several rows count as
 *	  they do in the sample.  A topic that is read as a whole is counted.
 *
 *	  A sample has no more bytes than the pages have that ANALYZE would read of
 *	  a heap, one for each row: so many rows of large messages are not worth
 *	  the time and the memory that they take.
 *
 *	  A message that cannot be decoded is left out with all of its rows, and
 *	  a WARNING says so: statistics of the others are better than none.
 *
 *	  Kafka is asked with the credentials of the table's owner, whoever runs
 *	  ANALYZE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "compat.h"
#include "fdw/fdw.h"
#include "fdw/sample.h"
#include "format/format.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

/* messages that the average size is taken from, and the fewest of a sample */
#define SIZE_MESSAGES 100

typedef struct KafkaAnalyzeState
{
	/* for the life of the sample */
	TupleDesc	desc;
	KafkaTableOptions *options;
	KafkaSample *sample;
	double		size;			/* bytes for each offset, about */
	KafkaRowMap *map;
	Datum	   *values;
	bool	   *nulls;
	MemoryContext context;		/* all of it, and the consumer */

	/* of the message */
	const KafkaMessage *message;
	List	   *tuples;
	MemoryContext message_context;

	/* rows that are kept */
	HeapTuple  *rows;
	int			nrows;
	int			targrows;
	MemoryContext row_context;
	ReservoirStateData reservoir;
	double		skip;			/* rows before the next that is kept */
	double		seen;			/* rows in the sample */

	/* messages that are left out */
	int64		bad;
	char	   *first_error;
} KafkaAnalyzeState;

static int	acquire_sample_rows(Relation rel, int elevel, HeapTuple *rows,
								int targrows, double *totalrows,
								double *totaldeadrows);
static KafkaAnalyzeState *open_sample(Relation rel);
static double average_size(KafkaSample *sample);
static int	sample_messages(const KafkaAnalyzeState *state);
static void take_message(KafkaAnalyzeState *state);
static void decode_message(void *arg);
static void keep_row(KafkaAnalyzeState *state, HeapTuple tuple);
static void note_error(KafkaAnalyzeState *state, const ErrorData *error);
static void warn_of_errors(const KafkaAnalyzeState *state, Relation rel);

/*
 * kafkaAnalyzeForeignTable
 *		Says how the table is sampled, and how large it is.
 */
bool
kafkaAnalyzeForeignTable(Relation rel, AcquireSampleRowsFunc *func,
						 BlockNumber *totalpages)
{
	KafkaAnalyzeState *state = open_sample(rel);
	double		pages = ceil(state->size * state->sample->size / BLCKSZ);

	*func = acquire_sample_rows;
	*totalpages = (BlockNumber) Min(pages, MaxBlockNumber);
	if (state->sample->size > 0 && *totalpages == 0)
		*totalpages = 1;		/* none would be an empty table */
	MemoryContextDelete(state->context);
	return true;
}

/*
 * Fills rows[] with a random sample and returns its size.
 */
static int
acquire_sample_rows(Relation rel, int elevel, HeapTuple *rows, int targrows,
					double *totalrows, double *totaldeadrows)
{
	KafkaAnalyzeState *state = open_sample(rel);
	KafkaSample *sample = state->sample;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	int			nrows;

	state->map = kafka_rowmap_create(rel, state->options, NULL);
	state->rows = rows;
	state->targrows = targrows;
	state->row_context = old;
	reservoir_init_selection_state(&state->reservoir, targrows);
	kafka_consumer_want_headers(sample->consumer, state->map->needs_headers);
	kafka_sample_spread(sample, sample_messages(state));
	while ((state->message = kafka_sample_next(sample)) != NULL)
		take_message(state);

	nrows = state->nrows;
	*totalrows = sample->covered == 0 ? 0 :
		rint(state->seen / sample->covered * sample->size);
	*totaldeadrows = 0;
	warn_of_errors(state, rel);
	ereport(elevel,
			(errmsg("\"%s\": read %lld of at most %lld messages; %d rows in sample, %.0f estimated total rows",
					RelationGetRelationName(rel),
					(long long) sample->messages, (long long) sample->size,
					nrows, *totalrows)));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(state->context);
	return nrows;
}

/*
 * Connects as the table's owner and asks what there is of the topic.
 *
 * Deleting the state's context closes the consumer.
 */
static KafkaAnalyzeState *
open_sample(Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kafka_fdw analyze",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KafkaAnalyzeState *state = palloc0(sizeof(KafkaAnalyzeState));
	KafkaConsumer *consumer;

	state->context = context;
	state->message_context = AllocSetContextCreate(context,
												   "kafka_fdw analyze message",
												   ALLOCSET_DEFAULT_SIZES);
	state->desc = RelationGetDescr(rel);
	state->values = palloc0(sizeof(Datum) * Max(state->desc->natts, 1));
	state->nulls = palloc0(sizeof(bool) * Max(state->desc->natts, 1));
	state->options = kafka_options_table(RelationGetRelid(rel),
										 rel->rd_rel->relowner);
	consumer = kafka_sample_consumer(state->options->client);
	state->sample = kafka_sample_open(consumer, state->options->topic);
	state->size = average_size(state->sample);
	state->skip = -1;
	MemoryContextSwitchTo(old);
	return state;
}

/*
 * Returns how many bytes of keys and values there are for each offset.
 */
static double
average_size(KafkaSample *sample)
{
	kafka_sample_spread(sample, SIZE_MESSAGES);
	while (kafka_sample_next(sample) != NULL)
		;
	return sample->covered == 0 ? 0 : (double) sample->bytes / sample->covered;
}

/*
 * Returns how many messages to read: one for each row, or fewer large ones.
 */
static int
sample_messages(const KafkaAnalyzeState *state)
{
	double		messages = state->targrows;

	if (state->size > BLCKSZ)
		messages = messages * BLCKSZ / state->size;
	return (int) Max(messages, SIZE_MESSAGES);
}

/*
 * Decodes a message, and keeps its rows or notes its error.
 */
static void
take_message(KafkaAnalyzeState *state)
{
	MemoryContext old;
	ErrorData  *error;
	ListCell   *lc;

	MemoryContextReset(state->message_context);
	old = MemoryContextSwitchTo(state->message_context);
	state->tuples = NIL;
	if (kafka_sample_try(decode_message, state, &error))
	{
		foreach(lc, state->tuples)
			keep_row(state, lfirst(lc));
	}
	else
		note_error(state, error);
	MemoryContextSwitchTo(old);
}

static void
decode_message(void *arg)
{
	KafkaAnalyzeState *state = arg;

	kafka_rowmap_start(state->map, state->message);
	while (kafka_rowmap_next(state->map, state->values, state->nulls))
		state->tuples = lappend(state->tuples,
								heap_form_tuple(state->desc, state->values,
												state->nulls));
}

/*
 * Keeps a row if the reservoir has room or chance wants it (Vitter's
 * algorithm, as in acquire_sample_rows() of commands/analyze.c).
 */
static void
keep_row(KafkaAnalyzeState *state, HeapTuple tuple)
{
	MemoryContext old = MemoryContextSwitchTo(state->row_context);

	if (state->nrows < state->targrows)
		state->rows[state->nrows++] = heap_copytuple(tuple);
	else
	{
		if (state->skip < 0)
			state->skip = reservoir_get_next_S(&state->reservoir, state->seen,
											   state->targrows);
		if (state->skip <= 0)
		{
			int			i = (int) (state->targrows *
								   sampler_random_fract(&state->reservoir.randstate));

			heap_freetuple(state->rows[i]);
			state->rows[i] = heap_copytuple(tuple);
		}
		state->skip -= 1;
	}
	state->seen += 1;
	MemoryContextSwitchTo(old);
}

/*
 * Counts a message that is left out; the reason of the first is kept.
 */
static void
note_error(KafkaAnalyzeState *state, const ErrorData *error)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	if (state->bad++ == 0)
		state->first_error = psprintf(_("Partition %d, offset %lld: %s."),
									  state->message->partition,
									  (long long) state->message->offset,
									  error->message);
	MemoryContextSwitchTo(old);
}

static void
warn_of_errors(const KafkaAnalyzeState *state, Relation rel)
{
	if (state->bad == 0)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("left %lld of %lld messages out of the statistics of \"%s\"",
					(long long) state->bad,
					(long long) state->sample->messages,
					RelationGetRelationName(rel)),
			 errdetail_internal("%s", state->first_error)));
}
