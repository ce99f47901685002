/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *	  What a scan sees of a topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SNAPSHOT_H
#define KAFKA_SNAPSHOT_H

#include "client/consumer.h"

extern int	kafka_snapshot_take(KafkaConsumer *consumer,
								const KafkaTableOptions *options,
								KafkaPartitionOffsets **offsets);

#endif							/* KAFKA_SNAPSHOT_H */
