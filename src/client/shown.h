/*-------------------------------------------------------------------------
 *
 * shown.h
 *	  What this session has committed and Kafka may not yet show.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SHOWN_H
#define KAFKA_SHOWN_H

#include "client/consumer.h"
#include "client/handle.h"

#define KAFKA_SHOWN_OFFSETS 64

/* The last message of a partition. */
typedef struct KafkaShownOffset
{
	char		topic[256];
	int32		partition;
	int64		offset;
} KafkaShownOffset;

extern void kafka_shown_note(KafkaShownOffset *noted, int *n, int *last,
							 const char *topic, int32 partition, int64 offset);
extern void kafka_shown_expect(Oid serverid, const KafkaShownOffset *noted,
							   int n);
extern bool kafka_shown_wait(Oid serverid,
							 const KafkaPartitionOffsets *offsets, int n);

#endif							/* KAFKA_SHOWN_H */
