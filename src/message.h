/*-------------------------------------------------------------------------
 *
 * message.h
 *	  A Kafka message as pointers and lengths.
 *
 * NOTES
 *	  This is the only data that crosses layers: the client fills it, a format
 *	  reads it, and the other way round for producing.  It owns nothing; who
 *	  hands it out says how long the bytes live.
 *
 *	  NULL and empty are different things in keys, values and headers: NULL is
 *	  a NULL pointer, empty is a non-NULL pointer with length 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_MESSAGE_H
#define KAFKA_MESSAGE_H

#include "datatype/timestamp.h"

/* partition of a message whose partition the partitioner chooses */
#define KAFKA_PARTITION_ANY (-1)

/* timestamp of a message that has none (or, produced, gets the client's) */
#define KAFKA_TIMESTAMP_UNKNOWN (-1)

/* a position that is not known, and the end of a range without end */
#define KAFKA_OFFSET_UNKNOWN (-1)
#define KAFKA_OFFSET_MAX PG_INT64_MAX

typedef enum KafkaTimestampType
{
	KAFKA_TIMESTAMP_NONE,
	KAFKA_TIMESTAMP_CREATE_TIME,
	KAFKA_TIMESTAMP_LOG_APPEND_TIME
} KafkaTimestampType;

typedef struct KafkaHeader
{
	const char *name;			/* NUL-terminated */
	const char *value;			/* NULL for a null value */
	size_t		value_len;		/* bytes */
} KafkaHeader;

typedef struct KafkaMessage
{
	const char *topic;			/* NUL-terminated */
	int32		partition;		/* or KAFKA_PARTITION_ANY */
	int64		offset;			/* not used when producing */
	int64		timestamp;		/* ms since 1970, KAFKA_TIMESTAMP_UNKNOWN */
	KafkaTimestampType timestamp_type;
	int32		leader_epoch;	/* -1 where the client cannot know it */
	const char *key;			/* NULL for a message without a key */
	size_t		key_len;		/* bytes */
	const char *value;			/* NULL for a tombstone */
	size_t		value_len;		/* bytes */
	const KafkaHeader *headers; /* in order, duplicates kept */
	int			nheaders;
} KafkaMessage;

/* Offsets [start, end) of one partition. */
typedef struct KafkaRange
{
	const char *topic;			/* NUL-terminated */
	int32		partition;
	int64		start;			/* first offset to read */
	int64		end;			/* first offset not to read, or
								 * KAFKA_OFFSET_MAX */
} KafkaRange;

extern bool kafka_message_time(const KafkaMessage *message, TimestampTz *time);
extern void kafka_message_set_time(KafkaMessage *message, TimestampTz time);

#endif							/* KAFKA_MESSAGE_H */
