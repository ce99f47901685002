/*-------------------------------------------------------------------------
 *
 * producer_internal.h
 *	  What the files of the producer share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_PRODUCER_INTERNAL_H
#define KAFKA_PRODUCER_INTERNAL_H

#include "client/handle.h"
#include "client/producer.h"
#include "client/shown.h"
#include "compat.h"

struct KafkaProducer
{
	/* for the life of the producer */
	KafkaHandle *handle;
	MemoryContextCallback callback;
	char		topic[256];		/* last sent to */
	rd_kafka_topic_t *rkt;		/* the same, of the handle; or NULL */
	MemoryContext context;
	bool		transactional;
	bool		patient;		/* see kafka_producer_be_patient */

	/* what kafka_producer_add() has been given since the last push */
	rd_kafka_message_t *batch;	/* NULL until the first */
	int			batched;

	/* where the transaction's messages are; NULL without one */
	KafkaShownOffset *places;
	int			nplaces;
	int			last_place;

	/* since the last flush */
	int64		sent;
	int64		delivered;
	int64		failed;			/* not delivered, or nobody knows */
	int64		unknown;		/* sent, but never acknowledged */
	rd_kafka_resp_err_t first_error;
	int64		first_number;	/* of the first failed message; or 0 */
	int32		first_partition;
	char		first_topic[256];
};

/*
 * What goes with a message to its report: where to put its place, or else an
 * odd number that tells its own, counted from the last flush.
 */
static inline void *
kafka_producer_opaque(int64 number, KafkaDelivery *delivery)
{
	if (delivery != NULL)
		return delivery;
	return (void *) (uintptr_t) (number << 1 | 1);
}

/* producer.c */
extern void kafka_producer_use_topic(KafkaProducer *producer,
									 const char *topic);
extern void kafka_producer_await_reports(KafkaProducer *producer);
extern void kafka_producer_serve(KafkaProducer *producer);
extern void kafka_producer_refused(KafkaProducer *producer,
								   const KafkaMessage *message,
								   rd_kafka_resp_err_t err);

/* producer_error.c */
pg_noreturn extern void kafka_producer_raise_refused(KafkaProducer *producer,
													 const KafkaMessage *message,
													 rd_kafka_resp_err_t err);
pg_noreturn extern void kafka_producer_raise_failed(KafkaProducer *producer);

#endif							/* KAFKA_PRODUCER_INTERNAL_H */
