/*-------------------------------------------------------------------------
 *
 * admin_internal.h
 *	  What the files of the admin client share.
 *
 * NOTES
 *	  A request goes through five steps, and each function of admin.h goes
 *	  through all of them before it returns:
 *
 *		kafka_admin_begin	options, with the client's timeout
 *		kafka_admin_own		what librdkafka wants to be handed
 *		rd_kafka_...		the request itself, answered on the queue
 *		kafka_admin_await	serves interrupts until the answer is there
 *		kafka_admin_end		frees all of it, as an ERROR does
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_ADMIN_INTERNAL_H
#define KAFKA_ADMIN_INTERNAL_H

#include "client/admin.h"
#include "client/handle.h"
#include "compat.h"

#define KAFKA_ADMIN_MAX_OWNED 4

/* Frees what librdkafka has made. */
typedef void (*KafkaAdminDestroy) (void *object);

typedef struct KafkaAdminObject
{
	void	   *object;
	KafkaAdminDestroy destroy;
} KafkaAdminObject;

struct KafkaAdmin
{
	/* for the life of the client */
	KafkaHandle *handle;
	const KafkaClientOptions *options;
	MemoryContextCallback callback;
	rd_kafka_queue_t *queue;	/* results */

	/* of the request under way */
	rd_kafka_AdminOptions_t *request;
	KafkaAdminObject owned[KAFKA_ADMIN_MAX_OWNED];
	int			nowned;
	rd_kafka_event_t *result;
};

extern void kafka_admin_begin(KafkaAdmin *admin, rd_kafka_admin_op_t op);
extern void *kafka_admin_own(KafkaAdmin *admin, void *object,
							 KafkaAdminDestroy destroy);
extern rd_kafka_resp_err_t kafka_admin_await(KafkaAdmin *admin);
extern void kafka_admin_check(KafkaAdmin *admin, rd_kafka_resp_err_t err,
							  const char *reason, const char *what);
extern void kafka_admin_end(KafkaAdmin *admin);
extern int64 kafka_admin_deadline(KafkaAdmin *admin);
extern bool kafka_admin_retry(KafkaAdmin *admin, rd_kafka_resp_err_t err,
							  int64 deadline);
extern void kafka_admin_destroy_list(void *object);
extern void *kafka_admin_calloc(size_t size);
extern char *kafka_admin_strdup(const char *string);

#endif							/* KAFKA_ADMIN_INTERNAL_H */
