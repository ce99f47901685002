/*-------------------------------------------------------------------------
 *
 * subscription_place.h
 *	  Places in topics: what a start or a seek says, and which positions that
 *	  is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SUBSCRIPTION_PLACE_H
#define KAFKA_SUBSCRIPTION_PLACE_H

#include "functions/subscription.h"

typedef enum KafkaPlaceKind
{
	KAFKA_PLACE_NONE,			/* not said */
	KAFKA_PLACE_EARLIEST,
	KAFKA_PLACE_LATEST,
	KAFKA_PLACE_OFFSET,
	KAFKA_PLACE_TIME
} KafkaPlaceKind;

typedef struct KafkaPlace
{
	KafkaPlaceKind kind;
	int64		number;			/* offset, or ms since 1970 */
} KafkaPlace;

/* Where the partitions of a subscription are put. */
typedef struct KafkaPlaces
{
	const KafkaSubscription *subscription;
	KafkaConsumer *consumer;
	const KafkaPartitionOffsets *partitions;
	int			n;
	KafkaPlace *places;			/* n */
	KafkaPosition *positions;	/* n; what became of places */
} KafkaPlaces;

extern void kafka_places_open(KafkaPlaces *places,
							  const KafkaSubscription *subscription);
extern void kafka_places_check_partitions(const KafkaPlaces *places);
extern void kafka_places_read(KafkaPlaces *places, const char *str);
extern void kafka_places_put(KafkaPlaces *places, const char *topic,
							 int32 partition, const char *str);
extern void kafka_places_resolve(KafkaPlaces *places);

#endif							/* KAFKA_SUBSCRIPTION_PLACE_H */
