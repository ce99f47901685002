/*-------------------------------------------------------------------------
 *
 * apply_mode.h
 *	  How rows get into a subscription's target, for kafka.stat_subscription.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_APPLY_MODE_H
#define KAFKA_APPLY_MODE_H

#include "ingest/apply.h"

extern const char *kafka_apply_mode(const KafkaApply *apply);

#endif							/* KAFKA_APPLY_MODE_H */
