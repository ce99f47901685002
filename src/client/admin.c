/*-------------------------------------------------------------------------
 *
 * admin.c
 *	  The admin client: what all of its requests have in common.
 *
 * NOTES
 *	  librdkafka's admin requests are asynchronous, so they need no thread:
 *	  the result comes through a queue.  Metadata and offsets have no such
 *	  form and are asked for through kafka_call().
 *
 *	  The instance is a consumer's, because only that can be told which end of
 *	  a partition is meant (isolation.level), and because a scan of the same
 *	  server can use its connections afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin_internal.h"
#include "client/wait.h"

#define RETRY_PAUSE 50			/* ms */

static void close_admin(void *arg);
static void end_client(KafkaAdmin *admin, bool keep);
static bool takes_operation_timeout(rd_kafka_admin_op_t op);

/*
 * kafka_admin_open
 *		Opens an admin client, owned by the current memory context.
 *
 * options must live as long.
 */
KafkaAdmin *
kafka_admin_open(const KafkaClientOptions *options)
{
	KafkaAdmin *admin = palloc0(sizeof(KafkaAdmin));

	admin->options = options;
	admin->handle = kafka_handle_open(RD_KAFKA_CONSUMER, options, admin,
									  close_admin);
	admin->callback.func = close_admin;
	admin->callback.arg = admin;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &admin->callback);

	admin->queue = rd_kafka_queue_new(admin->handle->rk);
	kafka_handle_wake_on(admin->handle, admin->queue);

	return admin;
}

/*
 * kafka_admin_close
 *		Closes the client.
 */
void
kafka_admin_close(KafkaAdmin *admin)
{
	end_client(admin, true);
}

static void
close_admin(void *arg)
{
	end_client(arg, false);
}

/*
 * Closes, whoever asks for it; an ERROR does not leave a connection behind.
 */
static void
end_client(KafkaAdmin *admin, bool keep)
{
	if (admin->handle == NULL || kafka_handle_is_forked())
		return;
	kafka_admin_end(admin);
	if (admin->queue != NULL)
		rd_kafka_queue_destroy(admin->queue);
	kafka_handle_close(admin->handle, keep);
	admin->handle = NULL;
}

/*
 * kafka_admin_begin
 *		Begins a request, after the end of another.
 */
void
kafka_admin_begin(KafkaAdmin *admin, rd_kafka_admin_op_t op)
{
	char		errstr[512];

	kafka_admin_end(admin);
	admin->request = rd_kafka_AdminOptions_new(admin->handle->rk, op);
	if (admin->request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("librdkafka %s does not know this request",
						rd_kafka_version_str())));
	if (rd_kafka_AdminOptions_set_request_timeout(admin->request,
												  admin->options->timeout,
												  errstr, sizeof(errstr)) != 0 ||
		(takes_operation_timeout(op) &&
		 rd_kafka_AdminOptions_set_operation_timeout(admin->request,
													 admin->options->timeout,
													 errstr, sizeof(errstr)) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("could not prepare a request to Kafka: %s", errstr)));
}

/*
 * Says whether the broker is told how long to work on a request.
 */
static bool
takes_operation_timeout(rd_kafka_admin_op_t op)
{
	return op == RD_KAFKA_ADMIN_OP_CREATETOPICS ||
		op == RD_KAFKA_ADMIN_OP_DELETETOPICS ||
		op == RD_KAFKA_ADMIN_OP_CREATEPARTITIONS ||
		op == RD_KAFKA_ADMIN_OP_DELETERECORDS;
}

/*
 * kafka_admin_own
 *		Has an object live until the end of the request, and returns it.
 */
void *
kafka_admin_own(KafkaAdmin *admin, void *object, KafkaAdminDestroy destroy)
{
	Assert(admin->nowned < KAFKA_ADMIN_MAX_OWNED);
	admin->owned[admin->nowned].object = object;
	admin->owned[admin->nowned++].destroy = destroy;
	return object;
}

/*
 * kafka_admin_await
 *		Waits for the answer, puts it into admin->result, and returns its
 *		error.
 *
 * A refused password or certificate ends the wait before the timeout does.
 */
rd_kafka_resp_err_t
kafka_admin_await(KafkaAdmin *admin)
{
	while ((admin->result = rd_kafka_queue_poll(admin->queue, 0)) == NULL)
	{
		kafka_handle_wait(admin->handle, -1);
		kafka_handle_serve(admin->handle);
		if (kafka_handle_refused(admin->handle))
			return admin->handle->error;
	}
	return kafka_handle_blame(admin->handle, rd_kafka_event_error(admin->result));
}

/*
 * kafka_admin_check
 *		Raises an error of Kafka's, if it is one, of what was to be done.
 *
 * reason is Kafka's own text or NULL.
 */
void
kafka_admin_check(KafkaAdmin *admin, rd_kafka_resp_err_t err,
				  const char *reason, const char *what)
{
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
		reason = NULL;			/* a broker's, which shows its insides */
	else if (reason == NULL && admin->result != NULL &&
			 rd_kafka_event_error(admin->result) == err)
		reason = rd_kafka_event_error_string(admin->result);
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not %s: %s", what,
					reason != NULL ? reason : rd_kafka_err2str(err)),
			 kafka_error_reason(admin->handle)));
}

/*
 * kafka_admin_end
 *		Frees what a request has made, if there is one.
 */
void
kafka_admin_end(KafkaAdmin *admin)
{
	if (admin->result != NULL)
		rd_kafka_event_destroy(admin->result);
	admin->result = NULL;
	while (admin->nowned > 0)
	{
		admin->nowned--;
		admin->owned[admin->nowned].destroy(admin->owned[admin->nowned].object);
	}
	if (admin->request != NULL)
		rd_kafka_AdminOptions_destroy(admin->request);
	admin->request = NULL;
}

/*
 * kafka_admin_deadline
 *		Returns when the client's timeout will have passed.
 */
int64
kafka_admin_deadline(KafkaAdmin *admin)
{
	return kafka_now_ms() + admin->options->timeout;
}

/*
 * kafka_admin_retry
 *		After a moment, says whether to send the same request again: a
 *		coordinator that is being chosen, or loads its groups, answers so.
 */
bool
kafka_admin_retry(KafkaAdmin *admin, rd_kafka_resp_err_t err, int64 deadline)
{
	int64		until = kafka_now_ms() + RETRY_PAUSE;

	if (err != RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS &&
		err != RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE &&
		err != RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
		return false;
	if (until >= deadline)
		return false;
	while (kafka_now_ms() < until)
		kafka_wait(PGINVALID_SOCKET, until - kafka_now_ms());
	return true;
}

/*
 * kafka_admin_destroy_list
 *		Frees a list of partitions, for kafka_admin_own().
 */
void
kafka_admin_destroy_list(void *object)
{
	rd_kafka_topic_partition_list_destroy(object);
}

/*
 * kafka_admin_calloc, kafka_admin_strdup
 *		Allocate what a thread will use; an ERROR when there is no memory.
 */
void *
kafka_admin_calloc(size_t size)
{
	void	   *memory = calloc(1, size);

	if (memory == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return memory;
}

char *
kafka_admin_strdup(const char *string)
{
	char	   *copy = kafka_admin_calloc(strlen(string) + 1);

	strcpy(copy, string);
	return copy;
}
