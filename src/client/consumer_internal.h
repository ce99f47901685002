/*-------------------------------------------------------------------------
 *
 * consumer_internal.h
 *	  What the files of the consumer share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CONSUMER_INTERNAL_H
#define KAFKA_CONSUMER_INTERNAL_H

#include "client/consumer.h"
#include "client/handle.h"
#include "datatype/timestamp.h"

/* A topic that is being read. */
typedef struct KafkaConsumerTopic
{
	const char *name;
	rd_kafka_topic_t *rkt;
	int		   *positions;		/* index of a partition's position, or -1 */
	int			npositions;		/* entries there */
} KafkaConsumerTopic;

struct KafkaConsumer
{
	/* for the life of the consumer */
	KafkaHandle *handle;
	const KafkaClientOptions *options;
	MemoryContext context;		/* owns the consumer and what it allocates */
	MemoryContextCallback callback;
	rd_kafka_queue_t *queue;	/* all partitions' messages */
	bool		wake_fetcher;	/* this librdkafka needs it */
	bool		range_ended;	/* and the queue has not been empty since */
	bool		want_headers;	/* messages come with their headers */

	/* from start() to stop(), not in a child context: those go first */
	KafkaConsumerTopic *topics; /* ordered by rkt */
	int			ntopics;
	KafkaConsumerTopic *last;	/* the one of the last message, or NULL */
	KafkaPartitionPosition *positions;	/* ordered as the ranges */
	rd_kafka_topic_t **rkts;	/* of the positions */
	int64	   *append_ends;	/* of the positions, and times, ms since 1970 */
	int64	   *append_times;
	int			npositions;
	int			nreading;		/* not at their end */
	TimestampTz progress;		/* when something last came */
	rd_kafka_message_t *failed; /* the error that follows what was taken, or
								 * NULL */

	/* since release() */
	rd_kafka_message_t **raw;
	KafkaMessage *messages;
	int			count;
	int			size;			/* of both arrays */
	int64		bytes;
	MemoryContext batch;		/* headers */

	/* since open() */
	int64		seen;			/* messages, wanted or not */
	int64		seen_bytes;
	int64		received;		/* by the handle before that */

	/* of a request of the configuration */
	rd_kafka_queue_t *config_queue;
	rd_kafka_event_t *config;

	/* since the fetcher was last woken */
	int64		taken;			/* messages */
	int64		taken_bytes;
};

/* bytes that a message has beside its own in librdkafka */
#define KAFKA_MESSAGE_OVERHEAD 350

/* consumer.c */
extern KafkaPartitionPosition *kafka_consumer_find(KafkaConsumer *consumer,
												   const rd_kafka_message_t *raw);

/* consumer_config.c */
extern void kafka_consumer_end_config(KafkaConsumer *consumer);

#endif							/* KAFKA_CONSUMER_INTERNAL_H */
