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
#include "utils/array.h"
#include "utils/rel.h"

/* Messages of kafka.dead_letter. */
typedef struct KafkaDeadLetters
{
	int			count;
	int64	   *ids;
	KafkaMessage *messages;		/* with their headers */
} KafkaDeadLetters;

/* bad_messages of kafka.subscription_position */
extern int64 kafka_bad_messages_lock(const KafkaSubscription *subscription);
extern void kafka_bad_messages_count(const KafkaSubscription *subscription,
									 const KafkaMessage *of, int n);
extern void kafka_bad_messages_reset(const KafkaSubscription *subscription);

extern void kafka_dead_letter_add(const KafkaSubscription *subscription,
								  const KafkaMessage *message,
								  const ErrorData *error);
extern void kafka_dead_letter_check_none(const KafkaSubscription *subscription);
extern void kafka_dead_letters_lock(const KafkaSubscription *subscription,
									int64 after, ArrayType *ids, int limit,
									KafkaDeadLetters *letters);
extern void kafka_dead_letter_set_error(int64 id, const ErrorData *error);
extern void kafka_dead_letters_delete(const int64 *ids, int n);

extern int	kafka_dead_letter_clip(const char *text);

/* dead_letter_topic.c */
extern int	kafka_dead_letter_target(const KafkaSubscription *subscription,
									 Relation source);
extern void kafka_dead_letter_send(const KafkaSubscription *subscription,
								   int target, const KafkaMessage *message,
								   const ErrorData *error);

/* dead_letter_retry.c */
extern void kafka_dead_letters_retry(const KafkaSubscription *subscription,
									 int64 limit, ArrayType *ids,
									 int64 *succeeded, int64 *failed);

#endif							/* KAFKA_DEAD_LETTER_H */
