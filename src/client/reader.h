/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Takes messages off a queue of librdkafka's, in a thread of its own.
 *
 * NOTES
 *	  To take a message off a queue and to free it costs locks and calls that
 *	  come to a fifth of what reading it costs altogether.  So a thread does
 *	  that beside the backend, and the backend finds copies, one behind the
 *	  other in large chunks of memory, which need a quarter of the memory that
 *	  librdkafka's messages do.
 *
 *	  The thread uses librdkafka, malloc and mmap, and nothing of PostgreSQL.  It
 *	  runs ahead of the backend by some memory and then waits; what it waits for
 *	  in librdkafka's queue is what the fetcher of librdkafka waits for.
 *
 *	  For src/client only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_READER_H
#define KAFKA_READER_H

#include "client/reader_chunks.h"

typedef struct KafkaReader KafkaReader;

/* A topic that is being read. */
typedef struct KafkaReaderTopic
{
	const char *name;
	rd_kafka_topic_t *rkt;
	int		   *ranges;			/* of each partition, or -1 */
	int			npartitions;	/* entries there */
} KafkaReaderTopic;

/* What is read.  Does not change between start and stop. */
typedef struct KafkaReaderJob
{
	KafkaHandle *handle;		/* woken when there is something */
	rd_kafka_queue_t *queue;
	const KafkaReaderTopic *topics; /* ordered by rkt */
	int			ntopics;
	const int64 *ends;			/* of the ranges: messages from there on are
								 * passed over */
	const char *username;		/* for waking the fetcher of librdkafka before */
	const char *password;		/* 2.2; NULL where that is not needed */
	size_t		memory;			/* bytes to run ahead by */
	bool		headers;		/* messages come with their headers */
} KafkaReaderJob;

extern KafkaReader *kafka_reader_start(const KafkaReaderJob *job);
extern KafkaEntry *kafka_reader_next(KafkaReader *reader);
extern bool kafka_reader_failed(KafkaReader *reader);
extern void kafka_reader_end_range(KafkaReader *reader);
extern void kafka_reader_release(KafkaReader *reader);
extern void kafka_reader_add_seen(KafkaReader *reader, int64 *messages,
								  int64 *bytes);
extern void kafka_reader_stop(KafkaReader *reader, int64 *messages,
							  int64 *bytes);
extern const KafkaReaderTopic *kafka_reader_topic(const KafkaReaderTopic *topics,
												  int ntopics,
												  const rd_kafka_topic_t *rkt);
extern int	kafka_reader_range(const KafkaReaderTopic *topic, int partition);

#endif							/* KAFKA_READER_H */
