/*-------------------------------------------------------------------------
 *
 * group.h
 *	  Tells Kafka's tools how far a consumer group is, without being one.
 *
 * NOTES
 *	  A group client belongs to the memory context that is current when it is
 *	  opened.  It joins nothing and is assigned nothing.  Nothing here waits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_GROUP_H
#define KAFKA_GROUP_H

#include "options.h"

typedef struct KafkaGroup KafkaGroup;

/* The next offset to read of a partition. */
typedef struct KafkaGroupPosition
{
	const char *topic;
	int32		partition;
	int64		offset;
} KafkaGroupPosition;

extern KafkaGroup *kafka_group_open(const KafkaClientOptions *options,
									const char *group_id);
extern bool kafka_group_commit(KafkaGroup *group,
							   const KafkaGroupPosition *positions, int n);
extern const char *kafka_group_error(KafkaGroup *group);
extern int	kafka_group_errcode(KafkaGroup *group);

#endif							/* KAFKA_GROUP_H */
