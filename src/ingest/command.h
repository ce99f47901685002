/*-------------------------------------------------------------------------
 *
 * command.h
 *	  The command of a subscription: SQL that is run for each batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_COMMAND_H
#define KAFKA_COMMAND_H

#include "ingest/catalog.h"

extern char *kafka_command_search_path(void);
extern void kafka_command_check(const KafkaSubscription *subscription);
extern uint64 kafka_command_run(const KafkaSubscription *subscription);

#endif							/* KAFKA_COMMAND_H */
