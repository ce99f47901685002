/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Runs those requests of librdkafka that only block.
 *
 * NOTES
 *	  Metadata and offset queries have no asynchronous form in librdkafka 2.0.
 *	  Short slices of the blocking call would ask anew in every slice and
 *	  never get an answer from a broker that is slower than a slice.  So the
 *	  call runs in a thread of its own, which uses librdkafka and malloc and
 *	  nothing of PostgreSQL, while the backend waits as everywhere else.
 *
 *	  When the backend does not wait to the end (a cancel), it abandons the
 *	  call: the thread notices within a second, frees the argument, and drops
 *	  its reference of the handle, which destroys the instance if the backend
 *	  has closed it meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "client/handle.h"
#include "client/thread.h"
#include "client/wait.h"
#include "utils/timestamp.h"

#define FIRST_SLICE 250			/* ms, doubled up to */
#define LAST_SLICE 1000			/* ms, which bounds an abandoned call */
#define PAUSE 20				/* ms between two tries */

struct KafkaCall
{
	KafkaHandle *handle;
	KafkaCallRun run;
	KafkaCallRelease release;
	void	   *arg;
	int			timeout;		/* ms in all */
	pthread_t	thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;		/* state has changed */
	enum
	{
		CALL_RUNNING, CALL_DONE, CALL_ABANDONED
	}			state;
	rd_kafka_resp_err_t err;	/* valid when done */
};

/* Argument of a call: the metadata of all topics. */
typedef struct TopicsCall
{
	const struct rd_kafka_metadata *metadata;
} TopicsCall;

/* calls whose thread still runs though nobody waits for it */
static int	abandoned_calls = 0;

static KafkaCall *start_call(KafkaHandle *handle, KafkaCallRun run,
							 KafkaCallRelease release, void *arg);
static bool is_done(KafkaCall *call);
static void free_call(KafkaCall *call);
static void *call_main(void *arg);
static bool still_wanted(KafkaCall *call);
static rd_kafka_resp_err_t run_topics(rd_kafka_t *rk, void *arg, int timeout);
static void release_topics(void *arg);

/*
 * kafka_call
 *		Runs a blocking request without blocking interrupts, and returns its
 *		result once it is done or the client's timeout has passed.
 *
 * arg is malloc'd and belongs to the call from now on; it can be read until
 * kafka_call_end().
 */
rd_kafka_resp_err_t
kafka_call(KafkaHandle *handle, KafkaCallRun run, KafkaCallRelease release,
		   void *arg)
{
	KafkaCall  *call;

	kafka_handle_check_process();
	kafka_call_end(handle);
	call = start_call(handle, run, release, arg);
	while (!is_done(call))
	{
		if (handle->patient)
			kafka_handle_wait_patiently(handle);
		else
			kafka_handle_wait(handle, -1);
		kafka_handle_serve(handle);
		if (kafka_handle_refused(handle))
			return handle->error;
	}
	return kafka_handle_blame(handle, call->err);
}

/*
 * kafka_call_end
 *		Frees the handle's call; one that still runs is abandoned.
 */
void
kafka_call_end(KafkaHandle *handle)
{
	KafkaCall  *call = handle->call;

	if (call == NULL)
		return;
	handle->call = NULL;

	pthread_mutex_lock(&call->mutex);
	if (call->state == CALL_RUNNING)
	{
		call->state = CALL_ABANDONED;
		__atomic_add_fetch(&abandoned_calls, 1, __ATOMIC_SEQ_CST);
		pthread_detach(call->thread);
		pthread_cond_signal(&call->changed);
		pthread_mutex_unlock(&call->mutex);
		return;
	}
	pthread_mutex_unlock(&call->mutex);
	pthread_join(call->thread, NULL);
	free_call(call);
}

/*
 * kafka_call_await_abandoned
 *		Waits until no abandoned call is left, for the exit of the process.
 */
void
kafka_call_await_abandoned(void)
{
	int64		end = kafka_now_ms() + 2 * LAST_SLICE;

	while (__atomic_load_n(&abandoned_calls, __ATOMIC_SEQ_CST) > 0 &&
		   kafka_now_ms() < end)
		(void) poll(NULL, 0, 5);
}

/*
 * kafka_topic_metadata
 *		In a call's thread: asks for the metadata of one topic, which the
 *		caller destroys; it has at least one partition.
 */
rd_kafka_resp_err_t
kafka_topic_metadata(rd_kafka_t *rk, const char *topic,
					 const struct rd_kafka_metadata **metadata, int timeout)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	rd_kafka_resp_err_t err;

	if (rkt == NULL)
		return rd_kafka_last_error();
	err = rd_kafka_metadata(rk, 0, rkt, metadata, timeout);
	rd_kafka_topic_destroy(rkt);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;

	if ((*metadata)->topic_cnt != 1)
		err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	else
		err = kafka_topic_error(&(*metadata)->topics[0]);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(*metadata);
	return err;
}

/*
 * kafka_topic_error
 *		Returns what is wrong with a topic's metadata.
 */
rd_kafka_resp_err_t
kafka_topic_error(const rd_kafka_metadata_topic_t *topic)
{
	if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR && topic->partition_cnt == 0)
		return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	return topic->err;
}

/*
 * kafka_call_topics
 *		Asks for the metadata of all topics that the user may see, which can be
 *		read until kafka_call_end().
 */
const struct rd_kafka_metadata *
kafka_call_topics(KafkaHandle *handle)
{
	TopicsCall *call = calloc(1, sizeof(TopicsCall));
	rd_kafka_resp_err_t err;

	if (call == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	err = kafka_call(handle, run_topics, release_topics, call);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not get the topics of server \"%s\": %s",
						handle->options->server, rd_kafka_err2str(err)),
				 kafka_error_reason(handle)));
	return call->metadata;
}

static rd_kafka_resp_err_t
run_topics(rd_kafka_t *rk, void *arg, int timeout)
{
	TopicsCall *call = arg;

	return rd_kafka_metadata(rk, 1, NULL, &call->metadata, timeout);
}

static void
release_topics(void *arg)
{
	TopicsCall *call = arg;

	if (call->metadata != NULL)
		rd_kafka_metadata_destroy(call->metadata);
	free(call);
}

static KafkaCall *
start_call(KafkaHandle *handle, KafkaCallRun run, KafkaCallRelease release,
		   void *arg)
{
	KafkaCall  *call = calloc(1, sizeof(KafkaCall));
	int			rc;

	if (call == NULL)
	{
		release(arg);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	call->handle = handle;
	call->run = run;
	call->release = release;
	call->arg = arg;
	call->timeout = handle->options->timeout;
	pthread_mutex_init(&call->mutex, NULL);
	pthread_cond_init(&call->changed, NULL);
	call->state = CALL_RUNNING;

	__atomic_add_fetch(&handle->refs, 1, __ATOMIC_SEQ_CST);
	rc = kafka_thread_start(&call->thread, call_main, call);
	if (rc != 0)
	{
		free_call(call);
		errno = rc;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a thread: %m")));
	}
	handle->call = call;
	return call;
}

static bool
is_done(KafkaCall *call)
{
	bool		done;

	pthread_mutex_lock(&call->mutex);
	done = call->state == CALL_DONE;
	pthread_mutex_unlock(&call->mutex);
	return done;
}

/*
 * Frees a call and its reference of the handle, in whichever thread is last.
 */
static void
free_call(KafkaCall *call)
{
	call->release(call->arg);
	kafka_handle_release(call->handle);
	pthread_cond_destroy(&call->changed);
	pthread_mutex_destroy(&call->mutex);
	free(call);
}

/*
 * The thread: runs the request until it succeeds, fails for good, runs out of
 * time, or is abandoned.
 */
static void *
call_main(void *arg)
{
	KafkaCall  *call = arg;
	int64		end = kafka_now_ms() + call->timeout;
	int			slice = FIRST_SLICE;
	bool		abandoned;

	do
	{
		call->err = call->run(call->handle->rk, call->arg,
							  Max(1, Min(slice, end - kafka_now_ms())));
		slice = Min(2 * slice, LAST_SLICE);
	} while (kafka_error_is_transient(call->err) && kafka_now_ms() < end &&
			 still_wanted(call));

	pthread_mutex_lock(&call->mutex);
	abandoned = call->state == CALL_ABANDONED;
	if (!abandoned)
		call->state = CALL_DONE;
	pthread_mutex_unlock(&call->mutex);

	if (abandoned)
	{
		free_call(call);
		__atomic_sub_fetch(&abandoned_calls, 1, __ATOMIC_SEQ_CST);
	}
	else
	{
		/* wake[1] stays open: the backend joins this thread before closing */
		ssize_t		rc = write(call->handle->wake[1], "", 1);

		(void) rc;				/* a full pipe wakes the backend as well */
	}
	return NULL;
}

/*
 * Pauses between two tries, and says whether there is still somebody to
 * answer to.
 */
static bool
still_wanted(KafkaCall *call)
{
	struct timespec until;
	bool		wanted;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PAUSE * 1000000L;
	if (until.tv_nsec >= 1000000000L)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&call->mutex);
	if (call->state == CALL_RUNNING)
		pthread_cond_timedwait(&call->changed, &call->mutex, &until);
	wanted = call->state == CALL_RUNNING;
	pthread_mutex_unlock(&call->mutex);
	return wanted;
}

/*
 * kafka_now_ms
 *		Returns the ms of a clock that nobody sets; in any thread.
 */
int64
kafka_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
