/*-------------------------------------------------------------------------
 *
 * produce.h
 *	  Sending a single message.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_PRODUCE_H
#define KAFKA_PRODUCE_H

#include "client/producer.h"

extern const KafkaDelivery *kafka_send_now(KafkaClientOptions *options,
										   const KafkaMessage *message);

#endif							/* KAFKA_PRODUCE_H */
