/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  Kafka transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_TRANSACTION_H
#define KAFKA_TRANSACTION_H

#include "options.h"

extern char *kafka_transaction_key(const KafkaClientOptions *options);
extern KafkaClientOptions *kafka_transaction_options(const KafkaClientOptions *options,
													 int64 bytes);

#endif							/* KAFKA_TRANSACTION_H */
