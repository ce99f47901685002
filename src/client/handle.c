/*-------------------------------------------------------------------------
 *
 * handle.c
 *	  Opens, serves and destroys a librdkafka instance.
 *
 * NOTES
 *	  Every instance has an owner (consumer, producer, admin client) that lives
 *	  in a memory context and closes it from that context's reset callback.
 *	  What is still open when the process exits is closed before shared memory
 *	  is left: OpenSSL's exit handlers do not expect other threads.
 *
 *	  librdkafka's threads block all signals, and logs, errors and delivery
 *	  reports come through queues that the backend serves itself, so nothing of
 *	  PostgreSQL ever runs in one of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "client/handle.h"
#include "client/wait.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"

static dlist_head open_handles = DLIST_STATIC_INIT(open_handles);

static KafkaHandle *make_handle(const KafkaClientOptions *options);
static rd_kafka_t *make_instance(rd_kafka_type_t type, rd_kafka_conf_t *conf,
								 char *errstr, size_t size);
static void take_error(KafkaHandle *handle, rd_kafka_event_t *event);
static void take_log(KafkaHandle *handle, rd_kafka_event_t *event);
static void close_at_exit(int code, Datum arg);

/*
 * kafka_handle_open
 *		Makes an instance; close is called with owner when the process exits.
 *
 * options must live as long as the handle.  Raises an ERROR when librdkafka
 * refuses the configuration.
 */
KafkaHandle *
kafka_handle_open(rd_kafka_type_t type, const KafkaClientOptions *options,
				  void *owner, void (*close) (void *owner))
{
	static bool registered = false;
	rd_kafka_conf_t *conf;
	KafkaHandle *handle;
	char		errstr[512];

	Assert(IsUnderPostmaster);
	if (!registered)
	{
		before_shmem_exit(close_at_exit, (Datum) 0);
		registered = true;
	}

	conf = kafka_config_make(type, options);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG |
							 RD_KAFKA_EVENT_DR);
	handle = make_handle(options);
	if (handle == NULL)
	{
		rd_kafka_conf_destroy(conf);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not make a pipe: %m")));
	}
	handle->owner = owner;
	handle->close = close;

	handle->rk = make_instance(type, conf, errstr, sizeof(errstr));
	if (handle->rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		kafka_handle_release(handle);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION),
				 errmsg("could not make a Kafka client for server \"%s\"",
						options->server),
				 errdetail_internal("%s", errstr)));
	}
	dlist_push_head(&open_handles, &handle->node);

	handle->events = rd_kafka_queue_get_main(handle->rk);
	rd_kafka_set_log_queue(handle->rk, handle->events);
	kafka_handle_wake_on(handle, handle->events);

	return handle;
}

/*
 * kafka_handle_close
 *		Gives up the backend's reference; the owner has destroyed its topics,
 *		queues and messages before.
 */
void
kafka_handle_close(KafkaHandle *handle)
{
	kafka_call_end(handle);
	dlist_delete(&handle->node);
	rd_kafka_queue_destroy(handle->events);
	kafka_handle_release(handle);
}

/*
 * kafka_handle_release
 *		Drops a reference; the last one destroys the instance.
 *
 * Runs in any thread.  A consumer has no group to leave, so nothing here
 * waits for a broker.
 */
void
kafka_handle_release(KafkaHandle *handle)
{
	if (__atomic_sub_fetch(&handle->refs, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	if (handle->rk != NULL)
		rd_kafka_destroy_flags(handle->rk,
							   RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	close(handle->wake[0]);
	close(handle->wake[1]);
	free(handle);
}

/*
 * kafka_handle_wake_on
 *		Makes kafka_handle_wait() return when the queue gets something.
 */
void
kafka_handle_wake_on(KafkaHandle *handle, rd_kafka_queue_t *queue)
{
	rd_kafka_queue_io_event_enable(queue, handle->wake[1], "", 1);
}

/*
 * kafka_handle_wait
 *		Waits until one of the handle's queues has something, or timeout ms;
 *		serves interrupts.
 */
void
kafka_handle_wait(KafkaHandle *handle, long timeout)
{
	char		buf[64];

	kafka_wait(handle->wake[0], timeout);
	while (read(handle->wake[0], buf, sizeof(buf)) == sizeof(buf))
		;
}

/*
 * kafka_handle_serve
 *		Takes all errors, logs and delivery reports that are there.
 */
void
kafka_handle_serve(KafkaHandle *handle)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(handle->events, 0)) != NULL)
	{
		switch (rd_kafka_event_type(event))
		{
			case RD_KAFKA_EVENT_ERROR:
				take_error(handle, event);
				break;
			case RD_KAFKA_EVENT_LOG:
				take_log(handle, event);
				break;
			case RD_KAFKA_EVENT_DR:
				handle->deliver(handle->owner, event);
				break;
			default:
				break;
		}
		rd_kafka_event_destroy(event);
	}
}

/*
 * Makes the shared part and its pipe; returns NULL and sets errno when there
 * is no memory or descriptor left.
 */
static KafkaHandle *
make_handle(const KafkaClientOptions *options)
{
	KafkaHandle *handle = calloc(1, sizeof(KafkaHandle));

	if (handle == NULL)
		return NULL;
	if (pipe(handle->wake) != 0)
	{
		free(handle);
		return NULL;
	}
	for (int i = 0; i < 2; i++)
	{
		fcntl(handle->wake[i], F_SETFD, FD_CLOEXEC);
		fcntl(handle->wake[i], F_SETFL, O_NONBLOCK);
	}
	handle->refs = 1;
	handle->options = options;
	return handle;
}

/*
 * Makes the instance with all signals blocked, for its threads inherit the
 * mask.
 */
static rd_kafka_t *
make_instance(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *errstr,
			  size_t size)
{
	sigset_t	all;
	sigset_t	saved;
	rd_kafka_t *rk;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	rk = rd_kafka_new(type, conf, errstr, size);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return rk;
}

/*
 * Remembers an error for the message of whoever waits.  What is known to end
 * the wait (a refused password) is not overwritten by its consequences.
 */
static void
take_error(KafkaHandle *handle, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);

	ereport(DEBUG1,
			(errmsg_internal("Kafka client of server \"%s\": %s",
							 handle->options->server,
							 rd_kafka_event_error_string(event))));
	if (handle->error == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
		handle->error == RD_KAFKA_RESP_ERR__SSL)
		return;
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && handle->reason[0] != '\0')
		return;
	handle->error = err;
	strlcpy(handle->reason, rd_kafka_event_error_string(event),
			sizeof(handle->reason));
}

static void
take_log(KafkaHandle *handle, rd_kafka_event_t *event)
{
	const char *facility;
	const char *line;
	int			level;

	if (rd_kafka_event_log(event, &facility, &line, &level) != 0)
		return;
	ereport(kafka_options_get(handle->options, "debug") != NULL ? LOG : DEBUG1,
			(errmsg_internal("Kafka client of server \"%s\": %s: %s",
							 handle->options->server, facility, line)));
}

static void
close_at_exit(int code, Datum arg)
{
	while (!dlist_is_empty(&open_handles))
	{
		KafkaHandle *handle = dlist_head_element(KafkaHandle, node,
												 &open_handles);

		handle->close(handle->owner);
	}
	kafka_call_await_abandoned();
}
