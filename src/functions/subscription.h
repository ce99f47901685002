/*-------------------------------------------------------------------------
 *
 * subscription.h
 *	  What the SQL functions on subscriptions have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_FUNCTIONS_SUBSCRIPTION_H
#define KAFKA_FUNCTIONS_SUBSCRIPTION_H

#include "client/consumer.h"
#include "fmgr.h"
#include "ingest/catalog.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/* subscription_find.c */
extern KafkaSubscription *kafka_subscription_find(const char *name);
extern KafkaSubscription *kafka_subscription_lock(const char *name);
extern KafkaSubscription *kafka_subscription_share(const char *name);
extern void kafka_subscription_lock_unchanged(const KafkaSubscription *subscription);
extern KafkaConsumer *kafka_subscription_connect(const KafkaSubscription *subscription,
												 int64 timeout);
extern int	kafka_subscription_offsets(const KafkaSubscription *subscription,
									   KafkaConsumer *consumer,
									   KafkaPartitionOffsets **offsets);
extern int64 kafka_interval_ms(const Interval *interval);

/* subscription_definition.c */
extern void kafka_subscription_require(FunctionCallInfo fcinfo);
extern void kafka_subscription_read(FunctionCallInfo fcinfo,
									KafkaSubscription *subscription);
extern void kafka_subscription_reset(ArrayType *names,
									 KafkaSubscription *subscription);
extern char *kafka_subscription_topic(const KafkaSubscription *subscription);
extern void kafka_subscription_check_name(const char *name);
extern void kafka_subscription_check(const KafkaSubscription *subscription);
extern void kafka_subscription_check_dead_letters(const KafkaSubscription *subscription);

/* subscription_position.c */
extern void kafka_subscription_start(const KafkaSubscription *subscription,
									 const char *start);
extern void kafka_subscription_restart(const KafkaSubscription *subscription,
									   bool same_server);

#endif							/* KAFKA_FUNCTIONS_SUBSCRIPTION_H */
