/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  What a scan sees of a topic.
 *
 * NOTES
 *	  A snapshot is the low and the end offset of every partition.  Under READ
 *	  COMMITTED each scan takes its own.  In a transaction of REPEATABLE READ
 *	  or SERIALIZABLE all scans of a topic share the one that the first of them
 *	  has taken, and so see the same messages; what retention deletes
 *	  meanwhile is an error, not a gap.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fdw/snapshot.h"
#include "utils/memutils.h"

typedef struct KafkaSnapshot
{
	Oid			serverid;
	char	   *topic;
	bool		committed;		/* ends are last stable offsets */
	KafkaPartitionOffsets *offsets;
	int			noffsets;
} KafkaSnapshot;

/* of the current transaction, in its memory context */
static List *snapshots = NIL;

static bool reads_committed(const KafkaTableOptions *options);
static KafkaSnapshot *find_snapshot(const KafkaTableOptions *options);
static void keep_snapshot(const KafkaTableOptions *options,
						  const KafkaPartitionOffsets *offsets, int noffsets);
static void forget_snapshots(XactEvent event, void *arg);

/*
 * kafka_snapshot_take
 *		Returns the number of the topic's partitions and, in the current memory
 *		context, the offsets of the snapshot.
 *
 * Raises what kafka_consumer_offsets() raises.
 */
int
kafka_snapshot_take(KafkaConsumer *consumer, const KafkaTableOptions *options,
					KafkaPartitionOffsets **offsets)
{
	KafkaSnapshot *snapshot;
	List	   *topics;
	int			n;

	if (IsolationUsesXactSnapshot() &&
		(snapshot = find_snapshot(options)) != NULL)
	{
		*offsets = palloc_array(KafkaPartitionOffsets,
								Max(snapshot->noffsets, 1));
		memcpy(*offsets, snapshot->offsets,
			   sizeof(KafkaPartitionOffsets) * snapshot->noffsets);
		return snapshot->noffsets;
	}
	topics = kafka_consumer_topics(consumer, options->topic);
	n = kafka_consumer_offsets(consumer, topics, offsets);
	if (IsolationUsesXactSnapshot())
		keep_snapshot(options, *offsets, n);
	return n;
}

static bool
reads_committed(const KafkaTableOptions *options)
{
	const char *level = kafka_options_get(options->client, "isolation.level");

	return level == NULL || pg_strcasecmp(level, "read_committed") == 0;
}

static KafkaSnapshot *
find_snapshot(const KafkaTableOptions *options)
{
	bool		committed = reads_committed(options);
	ListCell   *lc;

	foreach(lc, snapshots)
	{
		KafkaSnapshot *snapshot = lfirst(lc);

		if (snapshot->serverid == options->client->serverid &&
			snapshot->committed == committed &&
			strcmp(snapshot->topic, options->topic) == 0)
			return snapshot;
	}
	return NULL;
}

static void
keep_snapshot(const KafkaTableOptions *options,
			  const KafkaPartitionOffsets *offsets, int noffsets)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	KafkaSnapshot *snapshot = palloc(sizeof(KafkaSnapshot));

	if (!registered)
		RegisterXactCallback(forget_snapshots, NULL);
	registered = true;

	snapshot->serverid = options->client->serverid;
	snapshot->topic = pstrdup(options->topic);
	snapshot->committed = reads_committed(options);
	snapshot->offsets = palloc_array(KafkaPartitionOffsets, Max(noffsets, 1));
	memcpy(snapshot->offsets, offsets, sizeof(KafkaPartitionOffsets) * noffsets);
	for (int i = 0; i < noffsets; i++)
		if (i > 0 && strcmp(offsets[i].topic, offsets[i - 1].topic) == 0)
			snapshot->offsets[i].topic = snapshot->offsets[i - 1].topic;
		else
			snapshot->offsets[i].topic = pstrdup(offsets[i].topic);
	snapshot->noffsets = noffsets;
	snapshots = lappend(snapshots, snapshot);
	MemoryContextSwitchTo(old);
}

/*
 * The transaction's memory goes, and the snapshots with it.
 */
static void
forget_snapshots(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		snapshots = NIL;
}
