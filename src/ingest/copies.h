/*-------------------------------------------------------------------------
 *
 * copies.h
 *	  Subscriptions that are a copy of another cluster's or database's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_COPIES_H
#define KAFKA_COPIES_H

#include "ingest/catalog.h"

extern void kafka_copies_init(void);
extern List *kafka_copies_settle(List *subscriptions);

#endif							/* KAFKA_COPIES_H */
