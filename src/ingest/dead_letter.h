/*-------------------------------------------------------------------------
 *
 * dead_letter.h
 *	  Messages that could not be applied: how many, and the table
 *	  kafka.dead_letter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_DEAD_LETTER_H
#define KAFKA_DEAD_LETTER_H

#include "ingest/catalog.h"
#include "message.h"

/* bad_messages of kafka.subscription_position */
extern int64 kafka_bad_messages_lock(const KafkaSubscription *subscription);
extern void kafka_bad_messages_count(const KafkaSubscription *subscription,
									 const KafkaMessage *of, int n);
extern void kafka_bad_messages_reset(const KafkaSubscription *subscription);

extern void kafka_dead_letter_add(const KafkaSubscription *subscription,
								  const KafkaMessage *message,
								  const ErrorData *error);
extern void kafka_dead_letter_check_none(const KafkaSubscription *subscription);

#endif							/* KAFKA_DEAD_LETTER_H */
