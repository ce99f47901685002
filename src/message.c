/*-------------------------------------------------------------------------
 *
 * message.c
 *	  A Kafka message as pointers and lengths.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "message.h"

/* ms from 1970 to 2000, where PostgreSQL's timestamps begin */
#define EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

/*
 * kafka_message_time
 *		Sets a message's timestamp; false where it has none, or none that
 *		PostgreSQL can hold.
 */
bool
kafka_message_time(const KafkaMessage *message, TimestampTz *time)
{
	int64		timestamp = message->timestamp;

	if (timestamp == KAFKA_TIMESTAMP_UNKNOWN ||
		timestamp < MIN_TIMESTAMP / 1000 + EPOCH_MS ||
		timestamp >= END_TIMESTAMP / 1000 + EPOCH_MS)
		return false;
	*time = (timestamp - EPOCH_MS) * 1000;
	return true;
}

/*
 * kafka_message_set_time
 *		Gives a message a timestamp, in whole ms.
 */
void
kafka_message_set_time(KafkaMessage *message, TimestampTz time)
{
	int64		ms = time / 1000;

	if (time < 0 && time % 1000 != 0)
		ms--;
	message->timestamp = ms + EPOCH_MS;
}
