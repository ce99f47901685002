/*-------------------------------------------------------------------------
 *
 * handle.h
 *	  A librdkafka instance inside a backend: what consumer, producer and
 *	  admin client have in common.
 *
 * NOTES
 *	  For src/client only: this is the one header that shows librdkafka.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_HANDLE_H
#define KAFKA_HANDLE_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "client/guard.h"
#include "client/pool.h"
#include "client/traffic.h"
#include "lib/ilist.h"
#include "options.h"

#if RD_KAFKA_VERSION < 0x020000ff
#error "kafka_fdw needs librdkafka 2.0.0 or later"
#endif

typedef struct KafkaCall KafkaCall;

/*
 * Returns the epoch of a message's leader, -1 where the client cannot know it.
 */
static inline int32
kafka_message_leader_epoch(const rd_kafka_message_t *raw)
{
#if RD_KAFKA_VERSION >= 0x020100ff
	return rd_kafka_message_leader_epoch(raw);
#else
	return -1;
#endif
}

/* A topic that a producer has found to exist. */
typedef struct KafkaHandleTopic
{
	rd_kafka_topic_t *rkt;		/* NULL where there is none */
	int64		checked;		/* ms of kafka_now_ms() */
} KafkaHandleTopic;

#define KAFKA_HANDLE_TOPICS 64

/* What a transactional producer's Kafka transaction is doing. */
typedef enum KafkaTransactionState
{
	KAFKA_TRANSACTION_NEW,		/* not yet known to the coordinator */
	KAFKA_TRANSACTION_READY,	/* none is open */
	KAFKA_TRANSACTION_OPEN,
	KAFKA_TRANSACTION_IN_DOUBT	/* its commit may or may not be done */
} KafkaTransactionState;

typedef struct KafkaHandle
{
	/* for the life of the instance; shared with a thread that runs a call */
	rd_kafka_t *rk;
	char	   *key;			/* what it was made from */
	Oid			serverid;
	int			wake[2];		/* pipe that librdkafka writes to */
	int			refs;			/* the backend's and a running call's */
	KafkaGuard *guard;			/* asked before each connection */
	KafkaTraffic *traffic;		/* what has been received */
	int			certificate;	/* OpenSSL's error, atomic */
	rd_kafka_queue_t *events;	/* errors, logs, delivery reports */
	char	   *transactional_id;	/* or NULL */
	struct KafkaHandle *next_transactional; /* of transaction.c */

	/* of the pool only */
	struct KafkaHandle *next;
	int64		since;			/* ms of kafka_now_ms() */

	/* of whoever has the instance to itself */
	KafkaTransactionState transaction;
	bool		spoilt;			/* a message of the transaction has failed */
	KafkaHandleTopic topics[KAFKA_HANDLE_TOPICS];	/* of topic.c */
	int			next_topic;		/* to be replaced */

	/* of the backend only */
	dlist_node	node;			/* in the list of open handles */
	const KafkaClientOptions *options;
	void		(*close) (void *owner); /* closes what owns the handle */
	void		(*deliver) (void *owner, rd_kafka_event_t *event);
	void	   *owner;
	KafkaCall  *call;			/* the call under way, or NULL */
	bool		patient;		/* an interrupt waits a moment for the answer */
	int64		interrupted;	/* when it came, ms of kafka_now_ms(); or 0 */
	rd_kafka_resp_err_t error;	/* last error of the instance */
	char		reason[512];	/* its text */
} KafkaHandle;

/* handle.c */
extern KafkaHandle *kafka_handle_open(rd_kafka_type_t type,
									  const KafkaClientOptions *options,
									  void *owner, void (*close) (void *owner));
extern void kafka_handle_check_process(void);
extern bool kafka_handle_is_forked(void);
extern void kafka_handle_close(KafkaHandle *handle, bool keep);
extern void kafka_handle_release(KafkaHandle *handle);
extern void kafka_handle_wake_on(KafkaHandle *handle, rd_kafka_queue_t *queue);
extern void kafka_handle_serve(KafkaHandle *handle);
extern int	kafka_handle_list(KafkaConnection **connections, int room);
extern void kafka_handle_wait(KafkaHandle *handle, long timeout);
extern void kafka_handle_wait_patiently(KafkaHandle *handle);
extern rd_kafka_resp_err_t kafka_handle_blame(KafkaHandle *handle,
											  rd_kafka_resp_err_t err);
extern bool kafka_handle_refused(const KafkaHandle *handle);

/* topic.c */
extern rd_kafka_topic_t *kafka_topic_use(KafkaHandle *handle,
										 const char *topic);
extern void kafka_topic_forget_all(KafkaHandle *handle);

/* transaction.c; transaction.h has what others may use */
extern void kafka_transaction_register(KafkaHandle *handle);
extern void kafka_transaction_unregister(KafkaHandle *handle);
extern void kafka_transaction_claim(const char *id);
extern void kafka_transaction_begin(KafkaHandle *handle);
extern void kafka_transaction_commit(KafkaHandle *handle);
extern rd_kafka_resp_err_t kafka_transaction_error(KafkaHandle *handle,
												   char *reason, size_t size);
extern void kafka_transaction_abort(KafkaHandle *handle);
extern void kafka_transaction_await_aborts(void);

/* config.c */
extern rd_kafka_conf_t *kafka_config_make(rd_kafka_type_t type,
										  const KafkaClientOptions *options);

/*
 * call.c
 *
 * run		is called in a thread of its own, again after a transient error
 *			until the client's timeout has passed; it may use librdkafka and
 *			malloc, and nothing of PostgreSQL
 * release	frees arg and what run put there, in whichever thread is last
 */
typedef rd_kafka_resp_err_t (*KafkaCallRun) (rd_kafka_t *rk, void *arg,
											 int timeout);
typedef void (*KafkaCallRelease) (void *arg);

extern rd_kafka_resp_err_t kafka_call(KafkaHandle *handle, KafkaCallRun run,
									  KafkaCallRelease release, void *arg);
extern void kafka_call_end(KafkaHandle *handle);
extern void kafka_call_await_abandoned(void);
extern int64 kafka_now_ms(void);
extern rd_kafka_resp_err_t kafka_topic_metadata(rd_kafka_t *rk,
												const char *topic,
												const struct rd_kafka_metadata **metadata,
												int timeout);
extern rd_kafka_resp_err_t kafka_topic_error(const rd_kafka_metadata_topic_t *topic);
extern const struct rd_kafka_metadata *kafka_call_topics(KafkaHandle *handle);

/* pool.c; pool.h has what others may use */
extern KafkaHandle *kafka_pool_take(const char *key);
extern bool kafka_pool_put(KafkaHandle *handle);
extern void kafka_pool_close_transactional(const char *id);

/* error.c */
extern int	kafka_errcode(rd_kafka_resp_err_t err);
extern bool kafka_error_is_transient(rd_kafka_resp_err_t err);
extern int	kafka_error_reason(const KafkaHandle *handle);

#endif							/* KAFKA_HANDLE_H */
