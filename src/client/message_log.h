/*-------------------------------------------------------------------------
 *
 * message_log.h
 *	  Messages one after the other, in memory and then in a temporary file.
 *
 * NOTES
 *	  What is appended is copied.  The log can be cut where it once ended, and
 *	  is read from its beginning after it has been written; a log that is being
 *	  read is no longer appended to.
 *
 *	  A log belongs to the memory context that is current when it is created,
 *	  its file to the transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_MESSAGE_LOG_H
#define KAFKA_MESSAGE_LOG_H

#include "message.h"

typedef struct KafkaMessageLog KafkaMessageLog;

/* Where a log ends. */
typedef struct KafkaLogEnd
{
	int64		bytes;
	int64		messages;
} KafkaLogEnd;

extern KafkaMessageLog *kafka_log_create(Size memory);
extern void kafka_log_append(KafkaMessageLog *log, int target,
							 const KafkaMessage *message);
extern KafkaLogEnd kafka_log_end(const KafkaMessageLog *log);
extern void kafka_log_truncate(KafkaMessageLog *log, KafkaLogEnd end);
extern void kafka_log_rewind(KafkaMessageLog *log);
extern bool kafka_log_read(KafkaMessageLog *log, int *target,
						   KafkaMessage *message);
extern bool kafka_log_keeps(const KafkaMessageLog *log);
extern void kafka_log_close(KafkaMessageLog *log);

#endif							/* KAFKA_MESSAGE_LOG_H */
