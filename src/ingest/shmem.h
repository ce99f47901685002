/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  What launcher, workers and sessions tell each other.
 *
 * NOTES
 *	  The catalog says which subscriptions there are; shared memory only says
 *	  what is done about them, and is rebuilt from the catalogs after a crash.
 *	  A scanner brings one database's enabled subscriptions here, as slots
 *	  that are wanted; the launcher starts and stops workers accordingly.
 *	  A subscription has a slot for each of its workers.
 *
 *	  kafka_shared->lock protects everything, except that a worker may read
 *	  what only it writes.  It is held for moments, never across a wait.
 *
 *	  kafka_shared is NULL when the library was not preloaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SHMEM_H
#define KAFKA_SHMEM_H

#include "nodes/pg_list.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define KAFKA_ERROR_LEN 512
#define KAFKA_MAX_SCANS 64
#define KAFKA_MODE_LEN 64
#define KAFKA_RATE_WINDOW 5000	/* ms */

typedef enum KafkaWorkerState
{
	KAFKA_WORKER_STARTING,		/* no process yet */
	KAFKA_WORKER_NO_PROCESS,	/* max_worker_processes is exhausted */
	KAFKA_WORKER_CONNECTING,	/* asks Kafka for the partitions */
	KAFKA_WORKER_IDLE,			/* has applied all there is */
	KAFKA_WORKER_READING,		/* gathers a batch */
	KAFKA_WORKER_APPLYING,		/* in the transaction of a batch */
	KAFKA_WORKER_LOCKED,		/* waits for a lock before a batch */
	KAFKA_WORKER_RETRYING		/* ended by an error, starts again later */
} KafkaWorkerState;

/* Counted since the slot's subscription got it, or since a reset. */
typedef struct KafkaWorkerStats
{
	TimestampTz since;
	int			partitions;
	int64		messages;
	int64		rows;
	int64		bytes;			/* of keys and values */
	int64		batches;		/* committed transactions with messages */
	int64		bad_messages;	/* passed by */
	int64		retries;		/* ends with an error that may pass */
	int64		lag;			/* messages, as far as the worker knows */
	TimestampTz last_message;	/* timestamp of the last message applied */
	TimestampTz last_commit;

	/* at the beginning of the window that a rate is measured in */
	TimestampTz rate_since;
	int64		rate_messages;
	double		rate;			/* messages a second, in the window before */

	int64		memory;			/* bytes that are the process's own; 0 where
								 * the system does not tell */
	char		mode[KAFKA_MODE_LEN];	/* how rows are stored */
	char		last_error[KAFKA_ERROR_LEN];
} KafkaWorkerStats;

typedef struct KafkaWorkerSlot
{
	/* set by the scanner */
	bool		in_use;
	bool		wanted;			/* enabled in the catalog */
	Oid			dbid;
	int32		subscription;	/* its id */
	int			number;			/* of the worker, from 0 on */
	int			workers;		/* that the subscription has */
	Oid			owner;
	NameData	name;

	/* set by the launcher */
	uint32		generation;		/* of the process; an outdated one ends */
	TimestampTz restart_at;		/* not started earlier */
	bool		stop;			/* the worker is asked to end */
	TimestampTz stop_since;

	/* set by the worker */
	pid_t		pid;			/* 0 when none is attached */
	Latch	   *latch;
	bool		restart_now;	/* ended in order to start anew */
	int			failures;		/* ends in a row without a batch between */
	KafkaWorkerState state;
	KafkaWorkerStats stats;

	/* requests to the worker */
	bool		reread;			/* the definition has changed */
	bool		flush;			/* apply what is there at once */
	bool		discover;		/* look for new partitions at once */

	/* for the life of the server */
	ConditionVariable progress; /* positions, state or process changed */
} KafkaWorkerSlot;

typedef struct KafkaSharedState
{
	LWLock	   *lock;
	Latch	   *launcher;		/* or NULL */
	ConditionVariable started;	/* a worker has attached */
	Oid			scans[KAFKA_MAX_SCANS]; /* databases to look at */
	int			nscans;
	bool		scan_all;
	Oid			scanned;		/* what the last scanner has finished */
	int			nslots;
	KafkaWorkerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} KafkaSharedState;

extern PGDLLIMPORT KafkaSharedState *kafka_shared;

extern void kafka_shmem_init(void);
extern const char *kafka_worker_state_name(KafkaWorkerState state);

/* for sessions */
extern void kafka_request_scan(int32 subscription);
extern bool kafka_scan_requested(void);
extern void kafka_wait_for_worker(int32 subscription, bool discover,
								  long timeout);

extern void kafka_shmem_reset_stats(int32 subscription);
extern double kafka_worker_rate(const KafkaWorkerStats *stats,
								TimestampTz now);

/* for launcher and scanner */
extern void kafka_shmem_request_scan(Oid dbid);
extern void kafka_shmem_set_wanted(Oid dbid, const List *subscriptions);
extern void kafka_shmem_wake_launcher(void);

/* for a worker */
extern KafkaWorkerSlot *kafka_slot_attach(int index, uint32 generation);
extern void kafka_slot_set_state(KafkaWorkerSlot *slot,
								 KafkaWorkerState state);
extern void kafka_slot_set_error(KafkaWorkerSlot *slot, const char *error);
extern void kafka_slot_note_rate(KafkaWorkerSlot *slot, TimestampTz now);
extern void kafka_slot_wake_waiters(KafkaWorkerSlot *slot);
extern void kafka_slot_unwant(KafkaWorkerSlot *slot);
extern void kafka_slot_restart(KafkaWorkerSlot *slot);
extern bool kafka_slot_take_request(KafkaWorkerSlot *slot, bool *flag);

#endif							/* KAFKA_SHMEM_H */
