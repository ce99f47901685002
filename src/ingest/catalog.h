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
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

typedef enum KafkaSubscriptionMode
{
	KAFKA_MODE_INSERT,
	KAFKA_MODE_UPSERT
} KafkaSubscriptionMode;

/* What becomes of a message that cannot be stored. */
typedef enum KafkaBadMessage
{
	KAFKA_BAD_STOP,				/* the subscription stops */
	KAFKA_BAD_SKIP,
	KAFKA_BAD_DEAD_LETTER
} KafkaBadMessage;

typedef struct KafkaSubscription
{
	int32		id;				/* 0 before it is stored */
	TransactionId version;		/* another one after every change */
	char	   *name;
	Oid			owner;
	Oid			source;			/* foreign table */
	Oid			target;			/* or InvalidOid */
	char	   *topic;			/* the source's option when positions were
								 * stored; may be a list or a pattern */
	char	   *command;		/* or NULL */
	char	   *search_path;	/* of the command, or NULL */
	KafkaSubscriptionMode mode;
	List	   *key_columns;	/* names, or NIL */
	int			workers;
	Bitmapset  *partitions;		/* or NULL: all */
	int			batch_rows;
	int			batch_interval; /* ms */
	KafkaBadMessage on_error;
	char	   *dead_letter_topic;	/* or NULL: kafka.dead_letter */
	int			error_limit;	/* 0: none */
	char	   *group_id;		/* or NULL */
	bool		enabled;
	char	   *identity;		/* where it was last enabled */
} KafkaSubscription;

/* A message that tells the partition it was read from from another one. */
typedef struct KafkaProof
{
	int64		offset;			/* -1: there is none */
	int64		timestamp;		/* as KafkaMessage has it */
	int64		hash;			/* of key and value */
	int32		leader_epoch;	/* as KafkaMessage has it */
} KafkaProof;

/* A stored position: the next offset of a partition to read. */
typedef struct KafkaPosition
{
	char	   *topic;
	int32		partition;
	int64		next_offset;
	KafkaProof	proof;
} KafkaPosition;

/* A position to move: to next, if it still is seen. */
typedef struct KafkaMove
{
	const char *topic;
	int32		partition;
	int64		seen;
	int64		next;
	KafkaProof	proof;			/* replaces the old one, if there is any */
} KafkaMove;

/* A subscription whose source or target has been dropped. */
typedef struct KafkaDependent
{
	int32		id;
	char	   *subscription;
	char	   *object;			/* type and name */
} KafkaDependent;

/* the version of the SQL objects that this library is for */
#define KAFKA_VERSION "1.0"

extern Oid	kafka_catalog_relation(void);
extern void kafka_catalog_check_version(void);
extern void kafka_catalog_lock(int32 id, LOCKMODE mode);
extern char *kafka_catalog_identity(void);

extern List *kafka_catalog_enabled(void);
extern KafkaSubscription *kafka_catalog_by_name(const char *name);
extern KafkaSubscription *kafka_catalog_by_id(int32 id);
extern void kafka_catalog_insert(KafkaSubscription *subscription);
extern void kafka_catalog_update(const KafkaSubscription *subscription);
extern void kafka_catalog_touch(const KafkaSubscription *subscription);
extern void kafka_catalog_delete(const KafkaSubscription *subscription);
extern void kafka_catalog_set_enabled(const KafkaSubscription *subscription,
									  bool enabled);
extern bool kafka_catalog_settle(const KafkaSubscription *subscription,
								 bool adopt);

extern bool kafka_subscription_reads(const KafkaSubscription *subscription,
									 int32 partition);
extern int	kafka_subscription_worker(const KafkaSubscription *subscription,
									  const char *topic, int32 partition);

/* catalog_error.c */
extern char *kafka_catalog_error(const KafkaSubscription *subscription);
extern bool kafka_catalog_stopped_at(const KafkaSubscription *subscription,
									 KafkaPosition *message);
extern void kafka_catalog_set_error(const KafkaSubscription *subscription,
									const char *error,
									const KafkaMessage *message);

/* catalog_names.c */
extern const char *kafka_mode_name(KafkaSubscriptionMode mode);
extern bool kafka_mode_by_name(const char *name, KafkaSubscriptionMode *mode);
extern const char *kafka_bad_message_name(KafkaBadMessage on_error);
extern bool kafka_bad_message_by_name(const char *name,
									  KafkaBadMessage *on_error);

/* catalog_owner.c */
extern void kafka_catalog_hold_owner(Oid owner);
extern void kafka_catalog_release_owner(Oid owner);
extern List *kafka_catalog_owned(Oid owner);
extern List *kafka_catalog_dependents(void);

/* catalog_positions.c */
extern int	kafka_catalog_positions(const KafkaSubscription *subscription,
									KafkaPosition **positions);
extern void kafka_catalog_set_position(const KafkaSubscription *subscription,
									   const KafkaPosition *position);
extern void kafka_catalog_delete_positions(const KafkaSubscription *subscription,
										   const char *topic);
extern void kafka_catalog_add_position(const KafkaSubscription *subscription,
									   const KafkaPosition *position);
extern bool kafka_catalog_move(const KafkaSubscription *subscription,
							   const KafkaMove *moves, int nmoves);

#endif							/* KAFKA_CATALOG_H */
