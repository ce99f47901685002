/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The tables kafka.subscription, subscription_position and
 *	  subscription_error.
 *
 * NOTES
 *	  Everything returned is palloc'd in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CATALOG_H
#define KAFKA_CATALOG_H

#include "message.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

typedef struct KafkaSubscription
{
	int32		id;				/* 0 before it is stored */
	char	   *name;
	Oid			owner;
	Oid			source;			/* foreign table */
	Oid			target;
	char	   *topic;			/* the source's when positions were stored */
	bool		enabled;
	int			batch_rows;
	int			batch_interval; /* ms */
} KafkaSubscription;

/* A stored position: the next offset of a partition to read. */
typedef struct KafkaPosition
{
	int32		partition;
	int64		next_offset;
} KafkaPosition;

/* A position to move: to next, if it still is seen. */
typedef struct KafkaMove
{
	int32		partition;
	int64		seen;
	int64		next;
} KafkaMove;

extern Oid	kafka_catalog_relation(void);
extern void kafka_catalog_lock(int32 id, LOCKMODE mode);

extern List *kafka_catalog_enabled(void);
extern KafkaSubscription *kafka_catalog_by_name(const char *name);
extern KafkaSubscription *kafka_catalog_by_id(int32 id);
extern void kafka_catalog_insert(KafkaSubscription *subscription);
extern void kafka_catalog_delete(const KafkaSubscription *subscription);
extern void kafka_catalog_set_enabled(const KafkaSubscription *subscription,
									  bool enabled);

extern char *kafka_catalog_error(const KafkaSubscription *subscription);
extern void kafka_catalog_set_error(const KafkaSubscription *subscription,
									const char *error);

extern int	kafka_catalog_positions(const KafkaSubscription *subscription,
									KafkaPosition **positions);
extern void kafka_catalog_add_position(const KafkaSubscription *subscription,
									   const KafkaPosition *position);
extern bool kafka_catalog_move(const KafkaSubscription *subscription,
							   const KafkaMove *moves, int nmoves);

#endif							/* KAFKA_CATALOG_H */
