/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  What a scan sees of topics.
 *
 * NOTES
 *	  A snapshot is the low and the end offset of every partition.  Under READ
 *	  COMMITTED each scan takes its own.  In a transaction of REPEATABLE READ
 *	  or SERIALIZABLE all scans of a topic share the one that the first of them
 *	  has taken, and so see the same messages, and a pattern finds the topics
 *	  that it has found first; what retention deletes meanwhile is an error,
 *	  not a gap.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "fdw/quals.h"
#include "fdw/snapshot.h"
#include "topics.h"
#include "utils/memutils.h"

/* tables whose size a session remembers */
#define MAX_KNOWN_SIZES 100

/* A topic at the time of its first scan. */
typedef struct KafkaSnapshot
{
	Oid			serverid;
	char	   *topic;
	bool		committed;		/* ends are last stable offsets */
	KafkaPartitionOffsets *offsets;
	int			noffsets;
} KafkaSnapshot;

/* What a pattern found at the time of its first scan. */
typedef struct KafkaFoundTopics
{
	Oid			serverid;
	char	   *pattern;
	List	   *topics;
} KafkaFoundTopics;

/* How many offsets topics had when a scan last looked. */
typedef struct KafkaKnownSize
{
	Oid			serverid;
	char	   *topic;			/* as the option is given */
	int64		size;
} KafkaKnownSize;

/* of the session, the latest first */
static List *known_sizes = NIL;

/* both of the current transaction, in its memory context */
static List *snapshots = NIL;
static List *found_topics = NIL;

static List *find_topics(KafkaConsumer *consumer,
						 const KafkaTableOptions *options);
static List *choose_topics(List *topics, List *boxes);
static int	take_shared(KafkaConsumer *consumer,
						const KafkaTableOptions *options, List *topics,
						KafkaPartitionOffsets **offsets);
static bool reads_committed(const KafkaTableOptions *options);
static KafkaSnapshot *find_snapshot(const KafkaTableOptions *options,
									const char *topic);
static void keep_snapshot(const KafkaTableOptions *options, const char *topic,
						  const KafkaPartitionOffsets *offsets, int noffsets);
static void note_size(const KafkaTableOptions *options,
					  const KafkaPartitionOffsets *offsets, int noffsets);
static void begin_keeping(void);
static void forget_snapshots(XactEvent event, void *arg);

/*
 * kafka_snapshot_take
 *		Returns the number of partitions of those of the table's topics that
 *		the boxes have something of, or of all if there are no boxes, and, in
 *		the current memory context, the offsets of the snapshot.
 *
 * Raises what kafka_consumer_offsets() raises.
 */
int
kafka_snapshot_take(KafkaConsumer *consumer, const KafkaTableOptions *options,
					List *boxes, KafkaPartitionOffsets **offsets)
{
	List	   *all = find_topics(consumer, options);
	List	   *topics = choose_topics(all, boxes);
	int			n;

	n = IsolationUsesXactSnapshot() ?
		take_shared(consumer, options, topics, offsets) :
		kafka_consumer_offsets(consumer, topics, offsets);
	if (list_length(topics) == list_length(all))
		note_size(options, *offsets, n);
	return n;
}

/*
 * kafka_snapshot_size
 *		Returns how many offsets a table's topics had when the session last
 *		looked at all of them, or -1.
 */
int64
kafka_snapshot_size(const KafkaTableOptions *options)
{
	ListCell   *lc;

	foreach(lc, known_sizes)
	{
		KafkaKnownSize *known = lfirst(lc);

		if (known->serverid == options->client->serverid &&
			strcmp(known->topic, options->topic) == 0)
			return known->size;
	}
	return -1;
}

static void
note_size(const KafkaTableOptions *options,
		  const KafkaPartitionOffsets *offsets, int noffsets)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	KafkaKnownSize *known = NULL;
	ListCell   *lc;

	foreach(lc, known_sizes)
	{
		known = lfirst(lc);
		if (known->serverid == options->client->serverid &&
			strcmp(known->topic, options->topic) == 0)
			break;
		known = NULL;
	}
	if (known == NULL)
	{
		if (list_length(known_sizes) == MAX_KNOWN_SIZES)
		{
			KafkaKnownSize *oldest = llast(known_sizes);

			known_sizes = list_delete_last(known_sizes);
			pfree(oldest->topic);
			pfree(oldest);
		}
		known = palloc(sizeof(KafkaKnownSize));
		known->serverid = options->client->serverid;
		known->topic = pstrdup(options->topic);
		known_sizes = lcons(known, known_sizes);
	}
	known->size = 0;
	for (int i = 0; i < noffsets; i++)
		known->size += offsets[i].end - offsets[i].low;
	MemoryContextSwitchTo(old);
}

/*
 * Returns the table's topics.
 */
static List *
find_topics(KafkaConsumer *consumer, const KafkaTableOptions *options)
{
	MemoryContext old;
	KafkaFoundTopics *found;
	List	   *topics;
	ListCell   *lc;

	if (!kafka_topics_is_pattern(options->topic) || !IsolationUsesXactSnapshot())
		return kafka_consumer_topics(consumer, options->topic);

	foreach(lc, found_topics)
	{
		found = lfirst(lc);
		if (found->serverid == options->client->serverid &&
			strcmp(found->pattern, options->topic) == 0)
			return found->topics;
	}
	topics = kafka_consumer_topics(consumer, options->topic);
	begin_keeping();
	old = MemoryContextSwitchTo(TopTransactionContext);
	found = palloc(sizeof(KafkaFoundTopics));
	found->serverid = options->client->serverid;
	found->pattern = pstrdup(options->topic);
	found->topics = NIL;
	foreach(lc, topics)
		found->topics = lappend(found->topics, pstrdup(lfirst(lc)));
	found_topics = lappend(found_topics, found);
	MemoryContextSwitchTo(old);
	return found->topics;
}

static List *
choose_topics(List *topics, List *boxes)
{
	List	   *chosen = NIL;
	ListCell   *lc;
	ListCell   *lb;

	if (boxes == NIL)
		return topics;

	foreach(lc, topics)
	{
		foreach(lb, boxes)
		{
			if (kafka_box_has_topic(lfirst(lb), lfirst(lc)))
			{
				chosen = lappend(chosen, lfirst(lc));
				break;
			}
		}
	}
	return chosen;
}

/*
 * Takes a snapshot of the topics that the transaction has none of yet, and
 * returns those of all.
 */
static int
take_shared(KafkaConsumer *consumer, const KafkaTableOptions *options,
			List *topics, KafkaPartitionOffsets **offsets)
{
	List	   *missing = NIL;
	KafkaPartitionOffsets *taken;
	int			ntaken;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, topics)
	{
		KafkaSnapshot *snapshot = find_snapshot(options, lfirst(lc));

		if (snapshot == NULL)
			missing = lappend(missing, lfirst(lc));
		else
			n += snapshot->noffsets;
	}
	ntaken = missing == NIL ? 0 :
		kafka_consumer_offsets(consumer, missing, &taken);
	for (int i = 0, first = 0; i < ntaken; i++)
		if (i + 1 == ntaken || taken[i + 1].topic != taken[i].topic)
		{
			keep_snapshot(options, taken[i].topic, taken + first, i + 1 - first);
			first = i + 1;
		}

	*offsets = palloc_array(KafkaPartitionOffsets, Max(n + ntaken, 1));
	n = 0;
	foreach(lc, topics)
	{
		KafkaSnapshot *snapshot = find_snapshot(options, lfirst(lc));

		memcpy(*offsets + n, snapshot->offsets,
			   sizeof(KafkaPartitionOffsets) * snapshot->noffsets);
		n += snapshot->noffsets;
	}
	return n;
}

static bool
reads_committed(const KafkaTableOptions *options)
{
	const char *level = kafka_options_get(options->client, "isolation.level");

	return level == NULL || pg_strcasecmp(level, "read_committed") == 0;
}

static KafkaSnapshot *
find_snapshot(const KafkaTableOptions *options, const char *topic)
{
	bool		committed = reads_committed(options);
	ListCell   *lc;

	foreach(lc, snapshots)
	{
		KafkaSnapshot *snapshot = lfirst(lc);

		if (snapshot->serverid == options->client->serverid &&
			snapshot->committed == committed &&
			strcmp(snapshot->topic, topic) == 0)
			return snapshot;
	}
	return NULL;
}

static void
keep_snapshot(const KafkaTableOptions *options, const char *topic,
			  const KafkaPartitionOffsets *offsets, int noffsets)
{
	MemoryContext old;
	KafkaSnapshot *snapshot;

	begin_keeping();
	old = MemoryContextSwitchTo(TopTransactionContext);
	snapshot = palloc(sizeof(KafkaSnapshot));
	snapshot->serverid = options->client->serverid;
	snapshot->topic = pstrdup(topic);
	snapshot->committed = reads_committed(options);
	snapshot->offsets = palloc_array(KafkaPartitionOffsets, noffsets);
	memcpy(snapshot->offsets, offsets, sizeof(KafkaPartitionOffsets) * noffsets);
	for (int i = 0; i < noffsets; i++)
		snapshot->offsets[i].topic = snapshot->topic;
	snapshot->noffsets = noffsets;
	snapshots = lappend(snapshots, snapshot);
	MemoryContextSwitchTo(old);
}

static void
begin_keeping(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(forget_snapshots, NULL);
	registered = true;
}

/*
 * The transaction's memory goes, and the snapshots with it.
 */
static void
forget_snapshots(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
	{
		snapshots = NIL;
		found_topics = NIL;
	}
}
