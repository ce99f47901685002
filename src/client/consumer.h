/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  Reads offset ranges of topics.
 *
 * NOTES
 *	  A consumer belongs to the memory context that is current when it is
 *	  opened: the context's reset or deletion closes it, so an ERROR anywhere
 *	  leaves no thread and no socket behind.  It uses no consumer group.
 *
 *	  Messages that poll() has taken stay valid until release(), stop(),
 *	  start() or close().  Nothing here waits without checking for interrupts.
 *
 *	  Names of topics: start() copies those of its ranges; what messages and
 *	  positions point to is the consumer's copy, one for each topic, valid
 *	  until stop(), the next start() or close().  Those of KafkaPartitionOffsets
 *	  are the strings of the list that the caller has given to offsets().
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CONSUMER_H
#define KAFKA_CONSUMER_H

#include "message.h"
#include "options.h"

typedef struct KafkaConsumer KafkaConsumer;

/* What a partition holds at the moment of the question. */
typedef struct KafkaPartitionOffsets
{
	const char *topic;
	int32		partition;
	int64		low;			/* earliest offset that is still there */
	int64		end;			/* last stable offset under read_committed,
								 * high watermark under read_uncommitted */
} KafkaPartitionOffsets;

/* How far one of the ranges given to start() has been read. */
typedef struct KafkaPartitionPosition
{
	const char *topic;
	int32		partition;
	int64		position;		/* next offset, past every message that poll()
								 * has handed out and past gaps */
	int64		end;			/* as given to start() */
	bool		at_end;			/* position has reached end */
	bool		at_log_end;		/* the log had nothing more when last seen */
} KafkaPartitionPosition;

/* consumer.c */
extern KafkaConsumer *kafka_consumer_open(const KafkaClientOptions *options);
extern void kafka_consumer_close(KafkaConsumer *consumer);
extern void kafka_consumer_discard(KafkaConsumer *consumer);
extern void kafka_consumer_want_headers(KafkaConsumer *consumer, bool want);
extern void kafka_consumer_start(KafkaConsumer *consumer,
								 const KafkaRange *ranges, int nranges);
extern void kafka_consumer_end_by_append_time(KafkaConsumer *consumer,
											  int range, int64 offset,
											  int64 time);
extern void kafka_consumer_stop(KafkaConsumer *consumer);
extern int	kafka_consumer_poll(KafkaConsumer *consumer, int max, int timeout);
extern int	kafka_consumer_take(KafkaConsumer *consumer, int max,
								const bool *wanted);
extern const KafkaMessage *kafka_consumer_message(KafkaConsumer *consumer,
												  int i);
extern void kafka_consumer_mark(KafkaConsumer *consumer);
extern int	kafka_consumer_connections(KafkaConsumer *consumer);
extern double kafka_consumer_expansion(KafkaConsumer *consumer,
									   int64 *received);
extern int	kafka_consumer_range(KafkaConsumer *consumer, int i);
extern int	kafka_consumer_last(KafkaConsumer *consumer, int range);
extern int	kafka_consumer_count(KafkaConsumer *consumer);
extern int64 kafka_consumer_bytes(KafkaConsumer *consumer);
extern int64 kafka_consumer_memory(KafkaConsumer *consumer);
extern void kafka_consumer_release(KafkaConsumer *consumer);
extern bool kafka_consumer_finished(KafkaConsumer *consumer);
extern const KafkaPartitionPosition *kafka_consumer_positions(KafkaConsumer *consumer,
															  int *n);

/* consumer_offsets.c */
extern List *kafka_consumer_topics(KafkaConsumer *consumer, const char *spec);
extern bool kafka_consumer_has_topic(KafkaConsumer *consumer,
									 const char *topic);
extern int	kafka_consumer_offsets(KafkaConsumer *consumer, const List *topics,
								   KafkaPartitionOffsets **offsets);
extern void kafka_consumer_offsets_for_time(KafkaConsumer *consumer,
											int64 timestamp,
											const KafkaPartitionOffsets *partitions,
											int n, int64 *offsets);

/* consumer_config.c */
extern List *kafka_consumer_append_time_topics(KafkaConsumer *consumer,
											   const List *topics);

#endif							/* KAFKA_CONSUMER_H */
