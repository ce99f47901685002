/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Reads a part of a topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SAMPLE_H
#define KAFKA_SAMPLE_H

#include "client/consumer.h"

typedef struct KafkaSample
{
	/* for the life of the sample */
	KafkaConsumer *consumer;
	KafkaPartitionOffsets *offsets;
	int			noffsets;
	int64		size;			/* offsets of all partitions */

	/* what is read */
	List	   *rounds;			/* lists of KafkaRange, one a partition */
	int64		covered;		/* offsets in all rounds */
	int64		limit;			/* messages, at most */

	/* so far */
	int			round;			/* the next one */
	int			next;			/* message of the batch */
	int64		messages;		/* handed out */
	int64		bytes;			/* of their keys and values */
} KafkaSample;

extern KafkaConsumer *kafka_sample_consumer(KafkaClientOptions *client);
extern KafkaSample *kafka_sample_open(KafkaConsumer *consumer,
									  const char *spec);
extern void kafka_sample_spread(KafkaSample *sample, int messages);
extern void kafka_sample_latest(KafkaSample *sample, int messages);
extern const KafkaMessage *kafka_sample_next(KafkaSample *sample);
extern bool kafka_sample_try(void (*run) (void *arg), void *arg,
							 ErrorData **error);

#endif							/* KAFKA_SAMPLE_H */
