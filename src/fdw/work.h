/*-------------------------------------------------------------------------
 *
 * work.h
 *	  What a scan has to read, as chunks.
 *
 * NOTES
 *	  It is one piece of memory without pointers, so that parallel workers can
 *	  share it: chunks, then what is wanted of them, then names of topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_WORK_H
#define KAFKA_WORK_H

#include "client/consumer.h"

/* Offsets [start, end). */
typedef struct KafkaSpan
{
	int64		start;
	int64		end;
} KafkaSpan;

/* A range of one partition that is read at once. */
typedef struct KafkaChunk
{
	int			topic;			/* where its name begins */
	int32		partition;
	int			round;			/* how many chunks of the partition are before */
	int64		start;			/* first offset */
	int64		end;			/* first offset not to read */
	int64		append_end;		/* from here on only up to a message that the
								 * broker has stamped, or KAFKA_OFFSET_MAX */
	int64		append_time;	/* not earlier than that, ms since 1970 */
	int			wanted;			/* the first of its wanted spans */
	int			nwanted;		/* how many; 0: all is wanted */
} KafkaChunk;

typedef struct KafkaWork
{
	Size		size;			/* bytes of it all */
	int			npartitions;	/* that have chunks */
	int			nchunks;
	int			nwanted;
	int64		noffsets;		/* in all chunks */
	KafkaChunk	chunks[FLEXIBLE_ARRAY_MEMBER];	/* by round */
} KafkaWork;

/* What a scan sees of Kafka. */
typedef struct KafkaView
{
	KafkaConsumer *consumer;
	KafkaPartitionOffsets *offsets; /* ordered by topic and partition */
	int			noffsets;
	List	   *times;			/* private to work.c */
	bool	   *append_time;	/* NULL, or of each partition: its topic
								 * stamps */
} KafkaView;

extern KafkaWork *kafka_work_make(KafkaView *view, List *boxes, int readers);

static inline const KafkaSpan *
kafka_work_wanted(const KafkaWork *work, const KafkaChunk *chunk)
{
	return (const KafkaSpan *) &work->chunks[work->nchunks] + chunk->wanted;
}

static inline const char *
kafka_work_topic(const KafkaWork *work, const KafkaChunk *chunk)
{
	const KafkaSpan *wanted = (const KafkaSpan *) &work->chunks[work->nchunks];

	return (const char *) &wanted[work->nwanted] + chunk->topic;
}

#endif							/* KAFKA_WORK_H */
