/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *	  What a scan sees of topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SNAPSHOT_H
#define KAFKA_SNAPSHOT_H

#include "client/consumer.h"

extern int	kafka_snapshot_take(KafkaConsumer *consumer,
								const KafkaTableOptions *options,
								List *boxes, KafkaPartitionOffsets **offsets);
extern int64 kafka_snapshot_size(const KafkaTableOptions *options);

#endif							/* KAFKA_SNAPSHOT_H */
