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

#endif							/* KAFKA_SNAPSHOT_H */
