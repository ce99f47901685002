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
#include "client/reader.h"
#include "datatype/timestamp.h"

/* What has come up to some moment. */
typedef struct KafkaConsumerTraffic
{
	int64		received;		/* bytes, by the handle */
	int64		seen;			/* messages that readers have taken */
	int64		bytes;			/* of their keys and values */
	int64		queued;			/* messages that wait for the reader */
} KafkaConsumerTraffic;

struct KafkaConsumer
{
	/* for the life of the consumer */
	KafkaHandle *handle;
	const KafkaClientOptions *options;
	MemoryContext context;		/* owns the consumer and what it allocates */
	MemoryContextCallback callback;
	rd_kafka_queue_t *queue;	/* all partitions' messages */
	bool		want_headers;	/* from the next start() on */

	/* from start() to stop(), not in a child context: those go first */
	KafkaReaderTopic *topics;	/* ordered by rkt */
	int			ntopics;
	KafkaPartitionPosition *positions;	/* ordered as the ranges */
	int64	   *ends;			/* of the positions */
	rd_kafka_topic_t **rkts;	/* of the positions */
	int64	   *append_ends;	/* of the positions, and times, ms since 1970 */
	int64	   *append_times;
	int		   *lasts;			/* of the positions, see kafka_consumer_last */
	int			npositions;
	int			nreading;		/* not at their end */
	TimestampTz progress;		/* when something last came */
	KafkaReader *reader;		/* NULL where there is nothing to be read */
	KafkaEntry *held;			/* a message that is to be taken next, or NULL */
	rd_kafka_message_t *failed; /* the error that follows what was taken, or
								 * NULL */

	/* since release() */
	KafkaEntry **entries;
	int			count;
	int			size;			/* of the array */
	int64		bytes;			/* of keys and values */
	int64		memory;			/* of entries */

	/* since open(), by readers that were stopped */
	int64		seen;			/* messages, wanted or not */
	int64		seen_bytes;
	KafkaConsumerTraffic mark;	/* from which on traffic is looked at */

	/* of a request of the configuration */
	rd_kafka_queue_t *config_queue;
	rd_kafka_event_t *config;
};

/* bytes that a message has beside its own in librdkafka */
#define KAFKA_MESSAGE_OVERHEAD 350

/* consumer.c */
extern KafkaPartitionPosition *kafka_consumer_find(KafkaConsumer *consumer,
												   const rd_kafka_message_t *raw);

/* consumer_config.c */
extern void kafka_consumer_end_config(KafkaConsumer *consumer);

#endif							/* KAFKA_CONSUMER_INTERNAL_H */
