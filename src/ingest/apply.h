/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  Messages into a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_APPLY_H
#define KAFKA_APPLY_H

#include "client/consumer.h"
#include "ingest/catalog.h"
#include "utils/rel.h"

extern int	kafka_apply_messages(const KafkaSubscription *subscription,
								 const KafkaTableOptions *options,
								 Relation source, Relation target,
								 const List *columns,
								 KafkaConsumer *consumer, int first, int last,
								 int64 *rows, bool *decoding);

#endif							/* KAFKA_APPLY_H */
