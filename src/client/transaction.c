/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  Kafka transactions.
 *
 * NOTES
 *	  A transactional producer has an id by which the coordinator knows it.  The
 *	  next one with that id ends what the last one has left open, and fences it
 *	  if it still lives.  So an id names what can only be there once: the
 *	  cluster, the database, the backend's slot, and what the producer is made
 *	  for (server, user and table options).  That bounds their number, and the
 *	  next backend in a slot clears up after one that was killed.  Passwords
 *	  are no part of it, for ids can be read in Kafka.
 *
 *	  Within this process an instance lives on for a moment after the backend
 *	  has let go of it, when a thread still uses it.  It must not fence its
 *	  successor, so an id is claimed, and waited for, before it is used again.
 *
 *	  An open transaction keeps readers from what comes after it.  A failed
 *	  one is aborted by a thread, for the backend has its own abort to do and
 *	  must not wait for Kafka there.  A commit that was asked for and not
 *	  answered is in doubt: it can only be left to the coordinator, and the
 *	  instance is destroyed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

#include "client/handle.h"
#include "client/thread.h"
#include "client/transaction.h"
#include "client/wait.h"
#include "common/hashfn.h"
#include "compat.h"
#include "identity.h"
#include "lib/stringinfo.h"

#define MIN_TIMEOUT 60000		/* ms of a Kafka transaction; doubled for */
#define TIMEOUT_BYTES (64 * 1024 * 1024)	/* each so many bytes up to */
#define MAX_TIMEOUT 900000		/* the brokers' default limit */
#define MARGIN 10000			/* ms that it outlives other timeouts */

#define ABORT_SLICE 200			/* ms */
#define ABORT_TIME 30000		/* ms after which an abort is given up */
#define PURGE_TIME 1000			/* ms after which messages that wait behind a
								 * failed one are dropped */
#define EXIT_TIME 1000			/* the same, when the process ends */
#define POLL_TIME 5				/* ms between two looks at a thread */

/* What a call tells, which reads it when it is done. */
typedef struct Answer
{
	rd_kafka_resp_err_t err;
	bool		abortable;		/* the transaction is open and must be aborted */
	char text[	256];
} Answer;

/* all transactional instances, guarded by the mutex */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static KafkaHandle *instances = NULL;

/* of the threads that abort */
static int	aborts = 0;
static bool hurry = false;		/* somebody waits for them to end */

static bool is_credential(const KafkaProperty *property);
static void set_ms(KafkaClientOptions *options, const char *name, int64 ms);
static int64 get_ms(const KafkaClientOptions *options, const char *name,
					int64 otherwise);
static char *transactional_id(const KafkaClientOptions *options);
static bool is_live(const char *id);
static rd_kafka_resp_err_t ask(KafkaHandle *handle, KafkaCallRun run,
							   Answer *answer);
static rd_kafka_resp_err_t run_init(rd_kafka_t *rk, void *arg, int timeout);
static rd_kafka_resp_err_t run_commit(rd_kafka_t *rk, void *arg, int timeout);
static rd_kafka_resp_err_t take_answer(Answer *answer,
									   rd_kafka_error_t *error);
static void *abort_main(void *arg);
static void await_messages(KafkaHandle *handle, int64 end);
static bool is_hurried(void);
static void drop_events(KafkaHandle *handle, int timeout);

/*
 * kafka_transaction_key
 *		Says what a transactional producer is made for, credentials aside.
 */
char *
kafka_transaction_key(const KafkaClientOptions *options)
{
	StringInfoData key;
	ListCell   *lc;

	initStringInfo(&key);
	appendStringInfo(&key, "%u %u %d", options->serverid, options->userid,
					 options->timeout);
	foreach(lc, options->properties)
	{
		KafkaProperty *property = lfirst(lc);

		if (!is_credential(property))
			appendStringInfo(&key, "\n%s=%s", property->name, property->value);
	}
	return key.data;
}

/*
 * kafka_transaction_options
 *		Returns the options with which a transactional producer is opened that
 *		is to send so many bytes.
 *
 * The coordinator aborts a transaction that takes longer than its timeout; until
 * then, what a crash has left open keeps readers waiting.
 */
KafkaClientOptions *
kafka_transaction_options(const KafkaClientOptions *options, int64 bytes)
{
	KafkaClientOptions *copy = kafka_options_copy(options);
	int64		delivery = get_ms(options, "delivery.timeout.ms",
								  options->timeout);
	int64		request = get_ms(options, "socket.timeout.ms", 30000);
	int64		timeout = MIN_TIMEOUT;

	while (timeout < MAX_TIMEOUT &&
		   (timeout < Max(delivery, request) + MARGIN || bytes > TIMEOUT_BYTES))
	{
		timeout = Min(2 * timeout, MAX_TIMEOUT);
		bytes /= 2;
	}
	timeout = get_ms(options, "transaction.timeout.ms", timeout);
	set_ms(copy, "transaction.timeout.ms", timeout);
	if (delivery > timeout)
		set_ms(copy, "delivery.timeout.ms", timeout);
	if (request > timeout)
		set_ms(copy, "socket.timeout.ms", timeout);
	kafka_options_set(copy, "transactional.id", transactional_id(options));
	return copy;
}

static bool
is_credential(const KafkaProperty *property)
{
	return strncmp(property->name, "sasl.", 5) == 0 ||
		strncmp(property->name, "ssl.", 4) == 0;
}

static void
set_ms(KafkaClientOptions *options, const char *name, int64 ms)
{
	kafka_options_set(options, name, psprintf(INT64_FORMAT, ms));
}

static int64
get_ms(const KafkaClientOptions *options, const char *name, int64 otherwise)
{
	const char *value = kafka_options_get(options, name);

	return value != NULL ? strtoi64(value, NULL, 10) : otherwise;
}

static char *
transactional_id(const KafkaClientOptions *options)
{
	char	   *key = kafka_transaction_key(options);
	uint64		hash = hash_bytes_extended((unsigned char *) key, strlen(key),
										   0);

	return psprintf("%s-%s-%u-%d-%016llx",
					options->transaction_prefix != NULL ?
					options->transaction_prefix : "kafka_fdw",
					kafka_cluster_identity(), MyDatabaseId,
					kafka_compat_backend_slot(), (unsigned long long) hash);
}

/*
 * kafka_transaction_register
 *		Notes a new instance, if it is a transactional one.
 */
void
kafka_transaction_register(KafkaHandle *handle)
{
	if (handle->transactional_id == NULL)
		return;
	pthread_mutex_lock(&mutex);
	handle->next_transactional = instances;
	instances = handle;
	pthread_mutex_unlock(&mutex);
}

/*
 * kafka_transaction_unregister
 *		Notes that an instance has been destroyed, in any thread.
 */
void
kafka_transaction_unregister(KafkaHandle *handle)
{
	pthread_mutex_lock(&mutex);
	for (KafkaHandle **link = &instances; *link != NULL;
		 link = &(*link)->next_transactional)
		if (*link == handle)
		{
			*link = handle->next_transactional;
			break;
		}
	pthread_mutex_unlock(&mutex);
}

/*
 * kafka_transaction_claim
 *		Waits until no instance of this process has that id any more; NULL is
 *		none.
 */
void
kafka_transaction_claim(const char *id)
{
	if (id == NULL)
		return;
	kafka_pool_close_transactional(id);
	while (is_live(id))
	{
		/* its successor will end the transaction as well */
		__atomic_store_n(&hurry, true, __ATOMIC_SEQ_CST);
		kafka_wait(PGINVALID_SOCKET, POLL_TIME);
	}
	__atomic_store_n(&hurry, false, __ATOMIC_SEQ_CST);
}

static bool
is_live(const char *id)
{
	bool		found = false;

	pthread_mutex_lock(&mutex);
	for (KafkaHandle *handle = instances; handle != NULL && !found;
		 handle = handle->next_transactional)
		found = strcmp(handle->transactional_id, id) == 0;
	pthread_mutex_unlock(&mutex);
	return found;
}

/*
 * kafka_transaction_begin
 *		Begins a transaction, once the coordinator knows the producer.
 */
void
kafka_transaction_begin(KafkaHandle *handle)
{
	Answer		answer;
	rd_kafka_error_t *error;

	if (handle->transaction == KAFKA_TRANSACTION_NEW)
	{
		if (ask(handle, run_init, &answer) != RD_KAFKA_RESP_ERR_NO_ERROR)
			ereport(ERROR,
					(kafka_errcode(answer.err),
					 errmsg("could not prepare for a Kafka transaction: %s",
							rd_kafka_err2str(answer.err)),
					 errdetail_internal("%s", answer.text),
					 answer.err == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT ?
					 errhint("Set the option \"transaction.timeout.ms\" to what the brokers' \"transaction.max.timeout.ms\" allows.") : 0));
		handle->transaction = KAFKA_TRANSACTION_READY;
	}
	error = rd_kafka_begin_transaction(handle->rk);
	if (error != NULL)
	{
		take_answer(&answer, error);
		ereport(ERROR,
				(kafka_errcode(answer.err),
				 errmsg("could not begin a Kafka transaction: %s",
						rd_kafka_err2str(answer.err)),
				 errdetail_internal("%s", answer.text)));
	}
	handle->transaction = KAFKA_TRANSACTION_OPEN;
	handle->spoilt = false;
}

/*
 * kafka_transaction_commit
 *		Commits the transaction, all of whose messages are acknowledged.
 *
 * After an ERROR the transaction is open, and aborted when the handle is
 * closed, or it is in doubt.
 */
void
kafka_transaction_commit(KafkaHandle *handle)
{
	Answer		answer;
	rd_kafka_resp_err_t err;

	handle->transaction = KAFKA_TRANSACTION_IN_DOUBT;
	handle->patient = true;
	err = ask(handle, run_commit, &answer);
	handle->patient = false;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		handle->transaction = KAFKA_TRANSACTION_READY;
		return;
	}
	if (answer.abortable)
		handle->transaction = KAFKA_TRANSACTION_OPEN;
	ereport(ERROR,
			(kafka_errcode(answer.err),
			 errmsg("could not commit the Kafka transaction: %s",
					rd_kafka_err2str(answer.err)),
			 errdetail_internal("%s", answer.text)));
}

/*
 * kafka_transaction_error
 *		Returns what has made the open transaction fail, and copies its reason;
 *		no error where it has not failed as a whole.
 */
rd_kafka_resp_err_t
kafka_transaction_error(KafkaHandle *handle, char *reason, size_t size)
{
	/* beginning another one is refused, with that error if there is one */
	rd_kafka_error_t *error = rd_kafka_begin_transaction(handle->rk);
	rd_kafka_resp_err_t err = rd_kafka_error_code(error);

	Assert(error != NULL);
	strlcpy(reason, rd_kafka_error_string(error), size);
	rd_kafka_error_destroy(error);
	return err == RD_KAFKA_RESP_ERR__STATE ? RD_KAFKA_RESP_ERR_NO_ERROR : err;
}

/*
 * Runs a call and copies its answer.
 */
static rd_kafka_resp_err_t
ask(KafkaHandle *handle, KafkaCallRun run, Answer *answer)
{
	Answer	   *arg = calloc(1, sizeof(Answer));
	rd_kafka_resp_err_t err;

	if (arg == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	err = kafka_call(handle, run, free, arg);
	if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
		err == RD_KAFKA_RESP_ERR__SSL)
	{
		/* the call may still run */
		memset(answer, 0, sizeof(Answer));
		answer->err = err;
		strlcpy(answer->text, handle->reason, sizeof(answer->text));
	}
	else
		*answer = *arg;
	kafka_call_end(handle);
	return err;
}

static rd_kafka_resp_err_t
run_init(rd_kafka_t *rk, void *arg, int timeout)
{
	return take_answer(arg, rd_kafka_init_transactions(rk, timeout));
}

static rd_kafka_resp_err_t
run_commit(rd_kafka_t *rk, void *arg, int timeout)
{
	return take_answer(arg, rd_kafka_commit_transaction(rk, timeout));
}

/*
 * Takes the result of librdkafka; returns an error that is transient if the
 * same is to be called again, and only then.
 */
static rd_kafka_resp_err_t
take_answer(Answer *answer, rd_kafka_error_t *error)
{
	bool		again;

	memset(answer, 0, sizeof(Answer));
	if (error == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	again = rd_kafka_error_is_retriable(error);
	answer->err = rd_kafka_error_code(error);
	answer->abortable = rd_kafka_error_txn_requires_abort(error);
	strlcpy(answer->text, rd_kafka_error_string(error), sizeof(answer->text));
	rd_kafka_error_destroy(error);
	return again ? RD_KAFKA_RESP_ERR__TIMED_OUT : RD_KAFKA_RESP_ERR__FAIL;
}

/*
 * kafka_transaction_abort
 *		Aborts the open transaction and destroys the instance, which the caller
 *		gives up, in a thread.
 */
void
kafka_transaction_abort(KafkaHandle *handle)
{
	pthread_t	thread;

	__atomic_add_fetch(&aborts, 1, __ATOMIC_SEQ_CST);
	if (kafka_thread_start(&thread, abort_main, handle) == 0)
	{
		pthread_detach(thread);
		return;
	}
	__atomic_sub_fetch(&aborts, 1, __ATOMIC_SEQ_CST);
	kafka_handle_release(handle);
}

/*
 * kafka_transaction_await_aborts
 *		Waits until the threads that abort have ended, for the exit of the
 *		process.
 */
void
kafka_transaction_await_aborts(void)
{
	int64		start = kafka_now_ms();

	while (__atomic_load_n(&aborts, __ATOMIC_SEQ_CST) > 0 &&
		   kafka_now_ms() - start < 2 * EXIT_TIME)
	{
		if (kafka_now_ms() - start >= EXIT_TIME)
			__atomic_store_n(&hurry, true, __ATOMIC_SEQ_CST);
		(void) poll(NULL, 0, POLL_TIME);
	}
}

/*
 * The thread: has the messages come to their end, and aborts.
 *
 * librdkafka forgets to tell the coordinator when it is asked to abort while
 * it still registers partitions, so messages are not dropped but waited for,
 * unless one has failed.  And it runs into an assertion, which ends the
 * process, when it is destroyed while it registers partitions: so it is asked
 * to abort at least once in any case.  When the brokers do not answer, the
 * transaction is left to its timeout, or to the next producer with its id.
 */
static void *
abort_main(void *arg)
{
	KafkaHandle *handle = arg;
	int64		end = kafka_now_ms() + ABORT_TIME;
	bool		again;

	await_messages(handle, end);
	do
	{
		rd_kafka_error_t *error;

		error = rd_kafka_abort_transaction(handle->rk, ABORT_SLICE);
		again = error != NULL && rd_kafka_error_is_retriable(error);
		if (error != NULL)
			rd_kafka_error_destroy(error);
		drop_events(handle, 0);
	} while (again && kafka_now_ms() < end && !is_hurried());
	rd_kafka_purge(handle->rk,
				   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
				   RD_KAFKA_PURGE_F_NON_BLOCKING);
	kafka_handle_release(handle);
	__atomic_sub_fetch(&aborts, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/*
 * Waits until there is a report of every message, or somebody is in a hurry.
 */
static void
await_messages(KafkaHandle *handle, int64 end)
{
	int64		purge = kafka_now_ms() + PURGE_TIME;

	while (rd_kafka_outq_len(handle->rk) > 0)
	{
		if (kafka_now_ms() >= end || is_hurried())
			return;
		if (handle->spoilt && kafka_now_ms() >= purge)
			rd_kafka_purge(handle->rk, RD_KAFKA_PURGE_F_QUEUE |
						   RD_KAFKA_PURGE_F_NON_BLOCKING);
		drop_events(handle, POLL_TIME);
	}
}

static bool
is_hurried(void)
{
	return __atomic_load_n(&hurry, __ATOMIC_SEQ_CST);
}

/*
 * Takes the delivery reports, which count as messages until then.
 */
static void
drop_events(KafkaHandle *handle, int timeout)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(handle->events, timeout)) != NULL)
	{
		rd_kafka_event_destroy(event);
		timeout = 0;
	}
}
