/*-------------------------------------------------------------------------
 *
 * work.c
 *	  Makes chunks of boxes and of what the partitions hold.
 *
 * NOTES
 *	  Of each partition, the boxes leave ranges, which are united.  Ranges that
 *	  are close to each other are read as one chunk, with what is wanted of it.
 *
 *	  Time: Kafka finds the first message that is not older than a time, and
 *	  all before it are.  So a lower bound begins a range.  Behind that message
 *	  there may be older ones where producers stamp, and so there is no upper
 *	  bound.  Where the topic is configured to be stamped by the broker, a range
 *	  ends at the message found, or the first behind it, that has itself been
 *	  stamped so, and not earlier: the topic may have been configured otherwise
 *	  before.  Clocks of brokers may differ by CLOCK_SKEW.
 *
 *	  Several readers get chunks of a size that lets them end together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "fdw/quals.h"
#include "fdw/work.h"

/* ranges of a partition that are closer than this are read as one */
#define MERGE_GAP 1000

/* chunks of each reader, and how many offsets they have at least */
#define READER_CHUNKS 4
#define MIN_CHUNK 10000

/* boxes with a time of their own, each a question to Kafka, at most */
#define MAX_TIMES 32

/* ms by which a later message may have an earlier time of a broker */
#define CLOCK_SKEW 1000

/* Offsets of all partitions of the view at a time. */
typedef struct TimeOffsets
{
	int64		time;			/* ms since 1970 */
	int64	   *offsets;		/* as the view's */
} TimeOffsets;

/* What one or more boxes want of a partition. */
typedef struct WantedRange
{
	KafkaSpan	span;
	int64		sure_end;		/* from here on only until time is proved */
	int64		proof;			/* by a message of this time, or a later one */
} WantedRange;

/* Work under construction. */
typedef struct WorkState
{
	KafkaView  *view;
	List	   *boxes;
	int64		chunk_size;		/* offsets, at most */
	int			npartitions;
	KafkaChunk *chunks;
	int			nchunks;
	int			room;			/* for chunks */
	KafkaSpan  *wanted;
	int			nwanted;
	int			wanted_room;
	StringInfoData names;
} WorkState;

static List *limit_times(List *boxes);
static bool has_upper_time(List *boxes);
static void ask_stamps(KafkaView *view);
static List *find_ranges(WorkState *state, int i);
static WantedRange *find_range(WorkState *state, const KafkaBox *box, int i);
static List *unite_ranges(List *ranges);
static int64 find_time(WorkState *state, int i, int64 time);
static TimeOffsets *ask_time(KafkaView *view, int64 time);
static void add_partition(WorkState *state, int i, List *ranges);
static int	add_name(WorkState *state, int i);
static int	add_chunks(WorkState *state, KafkaChunk *whole, int round,
					   List *ranges, int first, int last);
static void add_chunk(WorkState *state, const KafkaChunk *whole, int round,
					  int64 start, int64 end, List *ranges, int first,
					  int last);
static KafkaWork *finish_work(const WorkState *state);
static int64 count_offsets(List *ranges);
static int	compare_ranges(const ListCell *a, const ListCell *b);
static int	compare_chunks(const void *a, const void *b);

/*
 * kafka_work_make
 *		Returns what has to be read for some boxes, in pieces for so many
 *		readers, palloc'd in the current memory context.
 *
 * Asks Kafka for the offsets of times, which are kept with the view.
 */
KafkaWork *
kafka_work_make(KafkaView *view, List *boxes, int readers)
{
	WorkState	state = {.view = view};
	List	  **ranges = palloc0_array(List *, Max(view->noffsets, 1));
	int64		noffsets = 0;

	state.boxes = limit_times(boxes);
	if (list_length(view->times) > 4 * MAX_TIMES)
		view->times = NIL;
	initStringInfo(&state.names);
	if (has_upper_time(boxes) && view->append_time == NULL)
		ask_stamps(view);
	for (int i = 0; i < view->noffsets; i++)
	{
		ranges[i] = find_ranges(&state, i);
		noffsets += count_offsets(ranges[i]);
	}
	state.chunk_size = readers < 2 ? PG_INT64_MAX :
		Max(noffsets / ((int64) readers * READER_CHUNKS) + 1, MIN_CHUNK);
	for (int i = 0; i < view->noffsets; i++)
		if (ranges[i] != NIL)
			add_partition(&state, i, ranges[i]);
	if (state.nchunks > 1)
		qsort(state.chunks, state.nchunks, sizeof(KafkaChunk), compare_chunks);
	return finish_work(&state);
}

/*
 * Makes do with one time for all boxes where there are many: each would be a
 * question to Kafka.
 */
static List *
limit_times(List *boxes)
{
	int64		min = PG_INT64_MAX;
	int64		max = PG_INT64_MIN;
	int			ntimes = 0;
	List	   *limited = NIL;
	ListCell   *lc;

	foreach(lc, boxes)
	{
		KafkaBox   *box = lfirst(lc);

		min = Min(min, box->min[KAFKA_AXIS_TIME]);
		max = Max(max, box->max[KAFKA_AXIS_TIME]);
		if (box->min[KAFKA_AXIS_TIME] != PG_INT64_MIN ||
			box->max[KAFKA_AXIS_TIME] != PG_INT64_MAX)
			ntimes++;
	}
	if (ntimes <= MAX_TIMES)
		return boxes;
	foreach(lc, boxes)
	{
		KafkaBox   *box = palloc(sizeof(KafkaBox));

		*box = *(KafkaBox *) lfirst(lc);
		box->min[KAFKA_AXIS_TIME] = min;
		box->max[KAFKA_AXIS_TIME] = max;
		limited = lappend(limited, box);
	}
	return limited;
}

static bool
has_upper_time(List *boxes)
{
	ListCell   *lc;

	foreach(lc, boxes)
	{
		if (((KafkaBox *) lfirst(lc))->max[KAFKA_AXIS_TIME] != PG_INT64_MAX)
			return true;
	}
	return false;
}

/*
 * Asks which topics the broker stamps.
 */
static void
ask_stamps(KafkaView *view)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(view->offsets));
	List	   *topics = NIL;
	List	   *found;

	view->append_time = palloc0_array(bool, Max(view->noffsets, 1));
	for (int i = 0; i < view->noffsets; i++)
		if (topics == NIL || llast(topics) != view->offsets[i].topic)
			topics = lappend(topics, unconstify(char *, view->offsets[i].topic));
	found = kafka_consumer_append_time_topics(view->consumer, topics);
	for (int i = 0; i < view->noffsets; i++)
		view->append_time[i] = list_member_ptr(found, view->offsets[i].topic);
	MemoryContextSwitchTo(old);
}

/*
 * Returns what has to be read of a partition as a list of WantedRange:
 * ascending, disjoint, not empty, within what the partition holds.
 */
static List *
find_ranges(WorkState *state, int i)
{
	List	   *ranges = NIL;
	ListCell   *lc;

	foreach(lc, state->boxes)
	{
		WantedRange *range = find_range(state, lfirst(lc), i);

		if (range != NULL)
			ranges = lappend(ranges, range);
	}
	return unite_ranges(ranges);
}

/*
 * Returns what a box wants of a partition, or NULL.
 */
static WantedRange *
find_range(WorkState *state, const KafkaBox *box, int i)
{
	const KafkaPartitionOffsets *partition = &state->view->offsets[i];
	int64		start = Max(box->min[KAFKA_AXIS_OFFSET], partition->low);
	int64		end = partition->end;
	int64		min_time = box->min[KAFKA_AXIS_TIME];
	int64		max_time = box->max[KAFKA_AXIS_TIME];
	WantedRange *range;

	if (partition->partition < box->min[KAFKA_AXIS_PARTITION] ||
		partition->partition > box->max[KAFKA_AXIS_PARTITION] ||
		!kafka_box_has_topic(box, partition->topic))
		return NULL;
	if (box->max[KAFKA_AXIS_OFFSET] < end)
		end = box->max[KAFKA_AXIS_OFFSET] + 1;
	if (start >= end)
		return NULL;
	if (min_time > 0)
		start = Max(start, find_time(state, i, min_time));
	if (start >= end)
		return NULL;

	range = palloc(sizeof(WantedRange));
	range->span.start = start;
	range->span.end = range->sure_end = end;
	range->proof = PG_INT64_MIN;
	if (max_time != PG_INT64_MAX && state->view->append_time[i])
	{
		range->proof = Max(max_time, 0) + 1 + CLOCK_SKEW;
		range->sure_end = Min(end, Max(start,
									   find_time(state, i, range->proof)));
	}
	return range;
}

/*
 * Sorts ranges and unites those that overlap or touch.
 */
static List *
unite_ranges(List *ranges)
{
	List	   *united = NIL;
	ListCell   *lc;

	list_sort(ranges, compare_ranges);
	foreach(lc, ranges)
	{
		WantedRange *range = lfirst(lc);
		WantedRange *last = united != NIL ? llast(united) : NULL;

		if (last != NULL && range->span.start <= last->span.end)
		{
			last->span.end = Max(last->span.end, range->span.end);
			last->sure_end = Max(last->sure_end, range->sure_end);
			last->proof = Max(last->proof, range->proof);
		}
		else
			united = lappend(united, range);
	}
	return united;
}

/*
 * Returns the first offset of a partition at or after a time; each time is
 * asked for once, for all partitions.
 */
static int64
find_time(WorkState *state, int i, int64 time)
{
	ListCell   *lc;

	foreach(lc, state->view->times)
	{
		TimeOffsets *times = lfirst(lc);

		if (times->time == time)
			return times->offsets[i];
	}
	return ask_time(state->view, time)->offsets[i];
}

static TimeOffsets *
ask_time(KafkaView *view, int64 time)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(view->offsets));
	TimeOffsets *times = palloc(sizeof(TimeOffsets));

	times->time = time;
	times->offsets = palloc_array(int64, view->noffsets);
	kafka_consumer_offsets_for_time(view->consumer, time, view->offsets,
									view->noffsets, times->offsets);
	view->times = lappend(view->times, times);
	MemoryContextSwitchTo(old);
	return times;
}

/*
 * Adds the chunks of a partition: each of ranges that are close to each other,
 * and not larger than a reader is to have.
 */
static void
add_partition(WorkState *state, int i, List *ranges)
{
	int			first = 0;
	int			round = 0;
	int			n = list_length(ranges);
	KafkaChunk	whole = {0};

	whole.topic = add_name(state, i);
	whole.partition = state->view->offsets[i].partition;
	state->npartitions++;
	while (first < n)
	{
		WantedRange *range = list_nth(ranges, first);
		int64		sure_end = range->sure_end;
		int			last = first;

		whole.start = range->span.start;
		whole.end = range->span.end;
		whole.append_time = range->proof;
		while (last + 1 < n)
		{
			WantedRange *next = list_nth(ranges, last + 1);

			if (next->span.start - whole.end > MERGE_GAP)
				break;
			whole.end = next->span.end;
			sure_end = Max(sure_end, next->sure_end);
			whole.append_time = Max(whole.append_time, next->proof);
			last++;
		}
		whole.append_end = sure_end < whole.end ? sure_end : KAFKA_OFFSET_MAX;
		round = add_chunks(state, &whole, round, ranges, first, last);
		first = last + 1;
	}
}

/*
 * Returns where the name of a partition's topic begins.
 */
static int
add_name(WorkState *state, int i)
{
	const KafkaPartitionOffsets *partition = &state->view->offsets[i];
	int			len = strlen(partition->topic) + 1;

	/* the partitions of a topic follow each other */
	if (state->names.len < len ||
		strcmp(state->names.data + state->names.len - len,
			   partition->topic) != 0)
		appendBinaryStringInfo(&state->names, partition->topic, len);
	return state->names.len - len;
}

/*
 * Adds the pieces of a chunk, and returns the round of the next.
 *
 * What is to end by its time is one piece: it ends for a single reader.
 */
static int
add_chunks(WorkState *state, KafkaChunk *whole, int round, List *ranges,
		   int first, int last)
{
	int64		end = Min(whole->end, whole->append_end);
	int64		pieces = (end - whole->start) / state->chunk_size + 1;
	int64		size = (end - whole->start) / pieces + 1;
	int64		start = whole->start;

	if (state->chunk_size == PG_INT64_MAX)
		end = start;
	while (start < end)
	{
		int64		next = Min(start + size, end);

		add_chunk(state, whole, round++, start, next, ranges, first, last);
		start = next;
	}
	if (start < whole->end)
		add_chunk(state, whole, round++, start, whole->end, ranges, first,
				  last);
	return round;
}

static void
add_chunk(WorkState *state, const KafkaChunk *whole, int round, int64 start,
		  int64 end, List *ranges, int first, int last)
{
	KafkaChunk *chunk;

	if (state->nchunks == state->room)
	{
		state->room = Max(2 * state->room, 16);
		state->chunks = state->chunks == NULL ?
			palloc_array(KafkaChunk, state->room) :
			repalloc(state->chunks, sizeof(KafkaChunk) * state->room);
	}
	chunk = &state->chunks[state->nchunks];
	*chunk = *whole;
	chunk->round = round;
	chunk->start = start;
	chunk->end = end;
	if (chunk->append_end >= end)
		chunk->append_end = KAFKA_OFFSET_MAX;
	chunk->wanted = state->nwanted;
	for (int i = first; i <= last && first < last; i++)
	{
		const KafkaSpan *span = &((WantedRange *) list_nth(ranges, i))->span;

		if (span->end <= start || span->start >= end)
			continue;
		if (state->nwanted == state->wanted_room)
		{
			state->wanted_room = Max(2 * state->wanted_room, 16);
			state->wanted = state->wanted == NULL ?
				palloc_array(KafkaSpan, state->wanted_room) :
				repalloc(state->wanted, sizeof(KafkaSpan) * state->wanted_room);
		}
		state->wanted[state->nwanted++] = *span;
	}
	chunk->nwanted = state->nwanted - chunk->wanted;
	if (first == last || chunk->nwanted > 0)
		state->nchunks++;
}

/*
 * Puts everything in one piece.
 */
static KafkaWork *
finish_work(const WorkState *state)
{
	Size		chunks = sizeof(KafkaChunk) * state->nchunks;
	Size		wanted = sizeof(KafkaSpan) * state->nwanted;
	Size		size = offsetof(KafkaWork, chunks) + chunks + wanted +
	state->names.len;
	KafkaWork  *work = palloc(size);
	char	   *next = (char *) work->chunks;

	work->size = size;
	work->npartitions = state->npartitions;
	work->nchunks = state->nchunks;
	work->nwanted = state->nwanted;
	work->noffsets = 0;
	for (int i = 0; i < state->nchunks; i++)
		work->noffsets += state->chunks[i].end - state->chunks[i].start;
	if (chunks > 0)
		memcpy(next, state->chunks, chunks);
	if (wanted > 0)
		memcpy(next + chunks, state->wanted, wanted);
	memcpy(next + chunks + wanted, state->names.data, state->names.len);
	return work;
}

static int64
count_offsets(List *ranges)
{
	int64		n = 0;
	ListCell   *lc;

	foreach(lc, ranges)
	{
		const WantedRange *range = lfirst(lc);

		n += range->sure_end - range->span.start;
	}
	return n;
}

static int
compare_ranges(const ListCell *a, const ListCell *b)
{
	int64		x = ((WantedRange *) lfirst(a))->span.start;
	int64		y = ((WantedRange *) lfirst(b))->span.start;

	return (x > y) - (x < y);
}

/*
 * By round, in the order of partitions, which is that of the names and their
 * partitions.
 */
static int
compare_chunks(const void *a, const void *b)
{
	const KafkaChunk *x = a;
	const KafkaChunk *y = b;

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	if (x->topic != y->topic)
		return x->topic < y->topic ? -1 : 1;
	return (x->partition > y->partition) - (x->partition < y->partition);
}
