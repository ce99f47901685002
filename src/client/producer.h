/*-------------------------------------------------------------------------
 *
 * producer.h
 *	  Sends messages and knows what became of each.
 *
 * NOTES
 *	  A producer belongs to the memory context that is current when it is
 *	  opened.  It is idempotent and asks for every in-sync replica
 *	  (acks=all).  Closing it, by hand or by an ERROR, drops what is not yet
 *	  sent; only flush() makes sure, and it is an ERROR when any message
 *	  since the last flush() was not acknowledged.
 *
 *	  A transactional producer, opened with begin(), has a Kafka transaction
 *	  until commit(); when it is closed before that, the transaction is
 *	  aborted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_PRODUCER_H
#define KAFKA_PRODUCER_H

#include "message.h"
#include "options.h"

typedef struct KafkaProducer KafkaProducer;

/* Where one message went; filled by the time that flush() has returned. */
typedef struct KafkaDelivery
{
	int32		partition;
	int64		offset;
	int64		timestamp;		/* ms since 1970 */
} KafkaDelivery;

extern KafkaProducer *kafka_producer_open(const KafkaClientOptions *options);
extern void kafka_producer_close(KafkaProducer *producer);
extern void kafka_producer_send(KafkaProducer *producer,
								const KafkaMessage *message,
								KafkaDelivery *delivery);
extern void kafka_producer_add(KafkaProducer *producer,
							   const KafkaMessage *message);
extern void kafka_producer_push(KafkaProducer *producer);
extern void kafka_producer_flush(KafkaProducer *producer);
extern void kafka_producer_be_patient(KafkaProducer *producer);

extern KafkaProducer *kafka_producer_begin(const KafkaClientOptions *options);
extern void kafka_producer_commit(KafkaProducer *producer);

#endif							/* KAFKA_PRODUCER_H */
