/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  What this session has committed and Kafka may not yet show.
 *
 * NOTES
 *	  Kafka says that a transaction is committed when that is certain, and ends
 *	  it in each partition a few milliseconds later.  Until then the last stable
 *	  offset is in front of it.  So that a session sees what it has itself
 *	  committed, it remembers the last offsets, and asks once more for the end
 *	  of a partition that does not include them.
 *
 *	  Not for long: somebody else's open transaction may keep them from readers,
 *	  and a topic may have been deleted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/shown.h"
#include "client/wait.h"

#define MAX_AWAITED 64			/* partitions; the latest ones */
#define AWAITED_FOR 5000		/* ms since the commit */
#define PAUSE 2					/* ms between two questions */

typedef struct Awaited
{
	Oid			serverid;
	KafkaShownOffset last;
	int64		since;			/* ms of kafka_now_ms() */
} Awaited;

/* oldest first */
static Awaited awaited[MAX_AWAITED];
static int	nawaited = 0;

static void forget(int number);
static const KafkaPartitionOffsets *find_offsets(const KafkaShownOffset *last,
												 const KafkaPartitionOffsets *offsets,
												 int n);

/*
 * kafka_shown_note
 *		Notes that a message is at an offset, in an array of so many that is
 *		full at KAFKA_SHOWN_OFFSETS; last is the one that was noted before.
 */
void
kafka_shown_note(KafkaShownOffset *noted, int *n, int *last,
				 const char *topic, int32 partition, int64 offset)
{
	for (int i = 0; i < *n; i++)
	{
		int			number = (*last + i) % *n;

		if (noted[number].partition == partition &&
			strcmp(noted[number].topic, topic) == 0)
		{
			noted[number].offset = Max(noted[number].offset, offset);
			*last = number;
			return;
		}
	}
	if (*n == KAFKA_SHOWN_OFFSETS)
		return;
	*last = (*n)++;
	strlcpy(noted[*last].topic, topic, sizeof(noted[*last].topic));
	noted[*last].partition = partition;
	noted[*last].offset = offset;
}

/*
 * kafka_shown_expect
 *		Has the session expect what was noted, for it is committed.
 */
void
kafka_shown_expect(Oid serverid, const KafkaShownOffset *noted, int n)
{
	for (int i = 0; i < n; i++)
	{
		for (int j = nawaited - 1; j >= 0; j--)
			if (awaited[j].serverid == serverid &&
				awaited[j].last.partition == noted[i].partition &&
				strcmp(awaited[j].last.topic, noted[i].topic) == 0)
				forget(j);
		if (nawaited == MAX_AWAITED)
			forget(0);
		awaited[nawaited].serverid = serverid;
		awaited[nawaited].last = noted[i];
		awaited[nawaited++].since = kafka_now_ms();
	}
}

/*
 * kafka_shown_wait
 *		Returns false when the ends of partitions include what is expected of
 *		them, and else true after a moment, to ask for them again.
 */
bool
kafka_shown_wait(Oid serverid, const KafkaPartitionOffsets *offsets, int n)
{
	bool		missing = false;

	for (int i = nawaited - 1; i >= 0; i--)
	{
		const KafkaPartitionOffsets *found;

		if (kafka_now_ms() - awaited[i].since >= AWAITED_FOR)
		{
			forget(i);
			continue;
		}
		if (awaited[i].serverid != serverid)
			continue;
		found = find_offsets(&awaited[i].last, offsets, n);
		if (found != NULL && found->end > awaited[i].last.offset)
			forget(i);
		else if (found != NULL)
			missing = true;
	}
	if (missing)
		kafka_wait(PGINVALID_SOCKET, PAUSE);
	return missing;
}

static void
forget(int number)
{
	memmove(&awaited[number], &awaited[number + 1],
			(--nawaited - number) * sizeof(Awaited));
}

static const KafkaPartitionOffsets *
find_offsets(const KafkaShownOffset *last,
			 const KafkaPartitionOffsets *offsets, int n)
{
	for (int i = 0; i < n; i++)
		if (offsets[i].partition == last->partition &&
			strcmp(offsets[i].topic, last->topic) == 0)
			return &offsets[i];
	return NULL;
}
