/*-------------------------------------------------------------------------
 *
 * handle.c
 *	  Opens, serves and destroys a librdkafka instance.
 *
 * NOTES
 *	  Every instance has an owner (consumer, producer, admin client) that lives
 *	  in a memory context and closes it from that context's reset callback.
 *	  What is still open when the process exits, or kept for a next statement,
 *	  is closed before shared memory is left: OpenSSL's exit handlers do not
 *	  expect other threads.
 *
 *	  librdkafka's threads block all signals, and logs, errors and delivery
 *	  reports come through queues that the backend serves itself, so nothing of
 *	  PostgreSQL ever runs in one of them.
 *
 *	  A process that some other extension forks off a backend has copies of the
 *	  instances, and none of their threads: a message would never be sent, and a
 *	  lock that a thread held is held for ever.  So it is refused there to use
 *	  an instance, and nothing is closed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <syslog.h>
#include <unistd.h>

#include "client/handle.h"
#include "client/thread.h"
#include "client/wait.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#define PATIENCE 150			/* ms that an interrupt may have to wait */

/* what a line of the log begins with */
#define THREAD "[thrd:"
#define THREAD_END "]: "

static dlist_head open_handles = DLIST_STATIC_INIT(open_handles);

/* this process was forked off the one that has the instances */
static bool forked = false;

static void note_fork(void);
static char *make_key(rd_kafka_type_t type, const KafkaClientOptions *options);
static KafkaHandle *take_kept(const KafkaClientOptions *options,
							  const char *key);
static KafkaHandle *make_handle(rd_kafka_type_t type,
								const KafkaClientOptions *options,
								const char *key);
static int	resolve(const char *node, const char *service,
					const struct addrinfo *hints, struct addrinfo **result,
					void *handle);
static int	make_socket(int domain, int type, int protocol, void *handle);
static int	close_socket(int fd, void *handle);
static int	verify(rd_kafka_t *rk, const char *broker, int32_t id, int *error,
				   int depth, const char *certificate, size_t size,
				   char *errstr, size_t errstr_size, void *handle);
static KafkaHandle *make_shell(const char *key);
static rd_kafka_t *make_instance(rd_kafka_type_t type, rd_kafka_conf_t *conf,
								 char *errstr, size_t size);
static void take_error(KafkaHandle *handle, rd_kafka_event_t *event);
static void take_log(KafkaHandle *handle, rd_kafka_event_t *event);
static void note_error(KafkaHandle *handle, rd_kafka_resp_err_t err,
					   const char *text);
static void close_at_exit(int code, Datum arg);

/*
 * kafka_handle_open
 *		Makes an instance, or takes a kept one; close is called with owner when
 *		the process exits.
 *
 * options must live as long as the handle is open.  Raises an ERROR when
 * librdkafka refuses the configuration.
 */
KafkaHandle *
kafka_handle_open(rd_kafka_type_t type, const KafkaClientOptions *options,
				  void *owner, void (*close) (void *owner))
{
	static bool registered = false;
	char	   *key = make_key(type, options);
	KafkaHandle *handle;

	Assert(IsUnderPostmaster);
	kafka_handle_check_process();
	kafka_options_check_credentials(options);
	if (!registered)
	{
		before_shmem_exit(close_at_exit, (Datum) 0);
		if (pthread_atfork(NULL, NULL, note_fork) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		registered = true;
	}

	handle = take_kept(options, key);
	if (handle == NULL)
	{
		kafka_transaction_claim(kafka_options_get(options, "transactional.id"));
		handle = make_handle(type, options, key);
	}
	handle->options = options;
	handle->owner = owner;
	handle->close = close;
	handle->deliver = NULL;
	handle->patient = false;
	handle->interrupted = 0;
	dlist_push_head(&open_handles, &handle->node);

	return handle;
}

/*
 * kafka_handle_check_process
 *		Raises an ERROR in a process that was forked off a backend.
 */
void
kafka_handle_check_process(void)
{
	if (forked || MyProcPid != (int) getpid())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot use Kafka in a process that was forked off a backend"),
				 errdetail("The client's threads are not there.")));
}

/*
 * kafka_handle_is_forked
 *		Says whether this process has but copies of the instances, which it
 *		must leave alone.
 */
bool
kafka_handle_is_forked(void)
{
	return forked;
}

static void
note_fork(void)
{
	forked = true;
}

/*
 * Takes a kept instance to which nothing has happened meanwhile, if there is
 * one.
 *
 * One that has lost a connection is no longer of use: librdkafka tells of an
 * error once, and of the same again only after half a minute, so the statement
 * would not learn why it fails.
 */
static KafkaHandle *
take_kept(const KafkaClientOptions *options, const char *key)
{
	KafkaHandle *handle = kafka_pool_take(key);

	if (handle == NULL)
		return NULL;
	handle->options = options;
	handle->deliver = NULL;
	kafka_handle_serve(handle);
	if (handle->error == RD_KAFKA_RESP_ERR_NO_ERROR &&
		!kafka_guard_refused(handle->guard))
		return handle;
	kafka_handle_release(handle);
	return NULL;
}

/*
 * kafka_handle_close
 *		Ends the owner's use of the instance, which has no topics, queues and
 *		messages left; a sound one may be kept for the next statement.
 */
void
kafka_handle_close(KafkaHandle *handle, bool keep)
{
	char		errstr[1];

	if (forked)
		return;
	kafka_call_end(handle);
	dlist_delete(&handle->node);
	handle->owner = NULL;
	if (handle->transaction == KAFKA_TRANSACTION_OPEN)
	{
		kafka_transaction_abort(handle);
		return;
	}
	keep = keep && __atomic_load_n(&handle->refs, __ATOMIC_SEQ_CST) == 1 &&
		handle->transaction != KAFKA_TRANSACTION_IN_DOUBT &&
		handle->error == RD_KAFKA_RESP_ERR_NO_ERROR &&
		!kafka_guard_refused(handle->guard) &&
		rd_kafka_fatal_error(handle->rk, errstr, sizeof(errstr)) ==
		RD_KAFKA_RESP_ERR_NO_ERROR;
	if (!keep || !kafka_pool_put(handle))
		kafka_handle_release(handle);
}

/*
 * kafka_handle_list
 *		Returns the number of open handles and a palloc'd array of them, with
 *		room for more.
 */
int
kafka_handle_list(KafkaConnection **connections, int room)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &open_handles)
		n++;
	*connections = palloc0_array(KafkaConnection, n + room);
	n = 0;
	dlist_foreach(iter, &open_handles)
	{
		KafkaHandle *handle = dlist_container(KafkaHandle, node, iter.cur);

		(*connections)[n].serverid = handle->serverid;
		(*connections)[n].producer = rd_kafka_type(handle->rk) == RD_KAFKA_PRODUCER;
		(*connections)[n++].active = true;
	}
	return n;
}

/*
 * kafka_handle_release
 *		Drops a reference; the last one destroys the instance.
 *
 * Runs in any thread.  A consumer has no group to leave, so nothing here
 * waits for a broker.  Its partitions have been stopped, so nothing is fetched
 * that has not been asked for; and that does not come after its connections'
 * end (traffic.c).
 */
void
kafka_handle_release(KafkaHandle *handle)
{
	if (__atomic_sub_fetch(&handle->refs, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	kafka_topic_forget_all(handle);
	if (handle->rk != NULL && rd_kafka_type(handle->rk) == RD_KAFKA_CONSUMER)
		kafka_traffic_end(handle->traffic);
	if (handle->events != NULL)
		rd_kafka_queue_destroy(handle->events);
	if (handle->rk != NULL)
		rd_kafka_destroy_flags(handle->rk,
							   RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	kafka_transaction_unregister(handle);
	kafka_guard_free(handle->guard);
	kafka_traffic_free(handle->traffic);
	close(handle->wake[0]);
	close(handle->wake[1]);
	free(handle->transactional_id);
	free(handle->key);
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
 *
 * Raises an ERROR when the client may not connect to an address that it wants
 * to.
 */
void
kafka_handle_wait(KafkaHandle *handle, long timeout)
{
	char		buf[64];

	kafka_handle_check_process();
	kafka_wait(handle->wake[0], timeout);
	while (read(handle->wake[0], buf, sizeof(buf)) == sizeof(buf))
		;
	kafka_guard_raise(handle->guard);
}

/*
 * kafka_handle_wait_patiently
 *		The same, where it would be bad not to learn what is about to be known:
 *		an interrupt is served only after a moment.
 */
void
kafka_handle_wait_patiently(KafkaHandle *handle)
{
	HOLD_INTERRUPTS();
	kafka_handle_wait(handle, -1);
	RESUME_INTERRUPTS();
	if (!InterruptPending)
		return;
	if (handle->interrupted == 0)
		handle->interrupted = kafka_now_ms();
	if (kafka_now_ms() - handle->interrupted >= PATIENCE)
		CHECK_FOR_INTERRUPTS();
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
			case RD_KAFKA_EVENT_OFFSET_COMMIT:
				if (handle->deliver != NULL)
					handle->deliver(handle->owner, event);
				break;
			default:
				break;
		}
		rd_kafka_event_destroy(event);
	}
}

/*
 * kafka_handle_blame
 *		Returns what to report of a request that has ended with err: a refused
 *		password or certificate, rather than that no answer came because of it.
 *
 * Takes all that the client has said before the end, for kafka_error_reason().
 */
rd_kafka_resp_err_t
kafka_handle_blame(KafkaHandle *handle, rd_kafka_resp_err_t err)
{
	kafka_handle_serve(handle);
	if (kafka_error_is_transient(err) && kafka_handle_refused(handle))
		return handle->error;
	return err;
}

/*
 * kafka_handle_refused
 *		Says whether no request can succeed any more: the password or the
 *		certificate, ours or the broker's, is not taken.
 */
bool
kafka_handle_refused(const KafkaHandle *handle)
{
	return handle->error == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
		handle->error == RD_KAFKA_RESP_ERR__SSL;
}

/*
 * Says what an instance is made from: only one that is made from the same can
 * stand in for it.
 */
static char *
make_key(rd_kafka_type_t type, const KafkaClientOptions *options)
{
	StringInfoData key;
	ListCell   *lc;

	initStringInfo(&key);
	appendStringInfo(&key, "%d %u %d %d %s", type, options->serverid,
					 options->timeout, kafka_fetch_memory,
					 kafka_allowed_brokers);
	foreach(lc, options->properties)
	{
		KafkaProperty *property = lfirst(lc);

		appendStringInfo(&key, "\n%s=%s", property->name, property->value);
	}
	return key.data;
}

/*
 * Makes an instance with its queue of events.
 */
static KafkaHandle *
make_handle(rd_kafka_type_t type, const KafkaClientOptions *options,
			const char *key)
{
	rd_kafka_conf_t *conf = kafka_config_make(type, options);
	KafkaHandle *handle = make_shell(key);
	const char *id = kafka_options_get(options, "transactional.id");
	char		errstr[512];

	if (handle == NULL)
	{
		rd_kafka_conf_destroy(conf);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not make a pipe: %m")));
	}
	handle->serverid = options->serverid;
	if (id != NULL)
		handle->transactional_id = strdup(id);
	kafka_transaction_register(handle);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG |
							 RD_KAFKA_EVENT_DR);
	rd_kafka_conf_set_opaque(conf, handle);
	rd_kafka_conf_set_resolve_cb(conf, resolve);
	rd_kafka_conf_set_socket_cb(conf, make_socket);
	rd_kafka_conf_set_closesocket_cb(conf, close_socket);
	(void) rd_kafka_conf_set_ssl_cert_verify_cb(conf, verify);
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
	handle->events = rd_kafka_queue_get_main(handle->rk);
	rd_kafka_set_log_queue(handle->rk, handle->events);
	kafka_handle_wake_on(handle, handle->events);
	return handle;
}

/*
 * In librdkafka's threads: finds the addresses of a name that are allowed.
 */
static int
resolve(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **result, void *handle)
{
	return kafka_guard_resolve(node, service, hints, result,
							   ((KafkaHandle *) handle)->guard);
}

/*
 * In librdkafka's threads, as the next one: makes a socket.
 */
static int
make_socket(int domain, int type, int protocol, void *handle)
{
	return kafka_traffic_socket(domain, type, protocol,
								((KafkaHandle *) handle)->traffic);
}

static int
close_socket(int fd, void *handle)
{
	return kafka_traffic_close(fd, ((KafkaHandle *) handle)->traffic);
}

/*
 * In librdkafka's threads: keeps what OpenSSL has against a certificate, which
 * librdkafka does not tell.
 */
static int
verify(rd_kafka_t *rk, const char *broker, int32_t id, int *error, int depth,
	   const char *certificate, size_t size, char *errstr, size_t errstr_size,
	   void *handle)
{
	if (*error == 0)
		return 1;
	__atomic_store_n(&((KafkaHandle *) handle)->certificate, *error,
					 __ATOMIC_SEQ_CST);
	snprintf(errstr, errstr_size, "error %d", *error);
	return 0;
}

/*
 * Makes what surrounds an instance; returns NULL and sets errno when there is
 * no memory or descriptor left.
 */
static KafkaHandle *
make_shell(const char *key)
{
	KafkaHandle *handle = calloc(1, sizeof(KafkaHandle));

	if (handle == NULL || (handle->key = strdup(key)) == NULL ||
		(handle->guard = kafka_guard_make(kafka_allowed_brokers)) == NULL ||
		(handle->traffic = kafka_traffic_make()) == NULL ||
		pipe(handle->wake) != 0)
	{
		if (handle != NULL)
		{
			kafka_guard_free(handle->guard);
			kafka_traffic_free(handle->traffic);
			free(handle->key);
		}
		free(handle);
		return NULL;
	}
	kafka_wait_forget();
	for (int i = 0; i < 2; i++)
	{
		fcntl(handle->wake[i], F_SETFD, FD_CLOEXEC);
		fcntl(handle->wake[i], F_SETFL, O_NONBLOCK);
	}
	handle->refs = 1;
	return handle;
}

/*
 * Makes the instance with all signals blocked, for its threads inherit the
 * mask, and the policy, see thread.c.
 */
static rd_kafka_t *
make_instance(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *errstr,
			  size_t size)
{
	sigset_t	all;
	sigset_t	saved;
	bool		batch;
	rd_kafka_t *rk;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	batch = type == RD_KAFKA_CONSUMER && kafka_thread_begin_batch();
	rk = rd_kafka_new(type, conf, errstr, size);
	if (batch)
		kafka_thread_end_batch();
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return rk;
}

static void
take_error(KafkaHandle *handle, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const char *text = rd_kafka_event_error_string(event);

	ereport(DEBUG1,
			(errmsg_internal("Kafka client of server \"%s\": %s",
							 handle->options->server, text)));
	/* the broker does not want this client's certificate, or misses one */
	if (strstr(text, "SSL alert number") != NULL &&
		(strstr(text, "certificate") != NULL || strstr(text, "unknown ca") != NULL))
		err = RD_KAFKA_RESP_ERR__AUTHENTICATION;
	note_error(handle, err, text);
}

/*
 * From 2.12 on, that a connection was closed is said in the log only, at the
 * level of information.
 */
static void
take_log(KafkaHandle *handle, rd_kafka_event_t *event)
{
	const char *facility;
	const char *line;
	const char *end;
	int			level;

	if (rd_kafka_event_log(event, &facility, &line, &level) != 0)
		return;
	ereport(kafka_options_get(handle->options, "debug") != NULL ? LOG : DEBUG1,
			(errmsg_internal("Kafka client of server \"%s\": %s: %s",
							 handle->options->server, facility, line)));
	if (strcmp(facility, "FAIL") != 0 || level > LOG_INFO)
		return;
	end = strstr(line, THREAD_END);
	if (strncmp(line, THREAD, strlen(THREAD)) == 0 && end != NULL)
		line = end + strlen(THREAD_END);
	note_error(handle, RD_KAFKA_RESP_ERR__TRANSPORT, line);
}

/*
 * Remembers an error for the message of whoever waits.  What is known to end
 * the wait (a refused password) is not overwritten by its consequences.
 */
static void
note_error(KafkaHandle *handle, rd_kafka_resp_err_t err, const char *text)
{
	if (kafka_handle_refused(handle))
		return;
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && handle->reason[0] != '\0')
		return;
	handle->error = err;
	strlcpy(handle->reason, text, sizeof(handle->reason));
}

static void
close_at_exit(int code, Datum arg)
{
	if (forked)
		return;
	while (!dlist_is_empty(&open_handles))
	{
		KafkaHandle *handle = dlist_head_element(KafkaHandle, node,
												 &open_handles);

		handle->close(handle->owner);
	}
	kafka_pool_close_all();
	kafka_transaction_await_aborts();
	kafka_call_await_abandoned();
}
