/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Connections that a session keeps for its next statement.
 *
 * NOTES
 *	  A statement that ends well leaves its librdkafka instance here; one that
 *	  fails closes it.  An instance is taken again by a statement that would
 *	  make the same one: same kind, same server, same properties, credentials
 *	  included.
 *
 *	  An idle session runs no code of ours, so a thread closes what has not
 *	  been used for kafka_fdw.idle_timeout.  It ends with the last kept
 *	  instance.  The pool is malloc'd and guarded by a mutex, and the thread
 *	  uses nothing of PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <time.h>

#include "access/parallel.h"
#include "client/handle.h"
#include "client/pool.h"
#include "client/thread.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#define MAX_KEPT 8

/* guarded by the mutex */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;	/* on the monotonic clock */
static KafkaHandle *pool = NULL;	/* latest first */
static bool reaping = false;	/* the thread runs */
static int64 idle_timeout;		/* ms, as of the last put */

/* of the backend only */
static pthread_t reaper;
static bool joinable = false;	/* reaper has not been joined */
static bool outdated = false;	/* a server or mapping has changed */

static void init_pool(void);
static void on_change(Datum arg, int cacheid, uint32 hashvalue);
static KafkaHandle *detach(const char *key);
static KafkaHandle *detach_older(int64 since, int keep);
static int	release(KafkaHandle *list);
static bool start_reaper(void);
static void *reaper_main(void *arg);

/*
 * kafka_pool_take
 *		Returns a kept instance with that key, or NULL.
 */
KafkaHandle *
kafka_pool_take(const char *key)
{
	KafkaHandle *handle;

	init_pool();
	if (outdated)
		kafka_pool_close_all();
	outdated = false;

	pthread_mutex_lock(&mutex);
	handle = detach(key);
	pthread_mutex_unlock(&mutex);
	return handle;
}

/*
 * kafka_pool_put
 *		Keeps an instance that nobody uses any more; false when it is not kept,
 *		and still the caller's to close.
 */
bool
kafka_pool_put(KafkaHandle *handle)
{
	KafkaHandle *surplus;
	bool		sooner;
	bool		kept;

	init_pool();
	if (kafka_idle_timeout == 0 || outdated || IsParallelWorker())
		return false;

	pthread_mutex_lock(&mutex);
	sooner = kafka_idle_timeout < idle_timeout;
	idle_timeout = kafka_idle_timeout;
	kept = reaping || start_reaper();
	if (kept)
	{
		handle->since = kafka_now_ms();
		handle->next = pool;
		pool = handle;
		/* otherwise the thread looks in time, for this one is the latest */
		if (sooner)
			pthread_cond_signal(&changed);
	}
	surplus = detach_older(PG_INT64_MIN, MAX_KEPT);
	pthread_mutex_unlock(&mutex);

	release(surplus);
	return kept;
}

/*
 * kafka_pool_close_all
 *		Closes all kept instances and ends the thread; returns how many they
 *		were.
 */
int
kafka_pool_close_all(void)
{
	KafkaHandle *all;
	int			n;

	if (kafka_handle_is_forked())
		return 0;
	init_pool();
	pthread_mutex_lock(&mutex);
	all = pool;
	pool = NULL;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
	n = release(all);
	if (joinable)
		pthread_join(reaper, NULL);
	joinable = false;
	return n;
}

/*
 * kafka_pool_close_transactional
 *		Closes what is kept with that transactional.id, which a new instance
 *		would make useless.
 */
void
kafka_pool_close_transactional(const char *id)
{
	KafkaHandle *closed = NULL;

	init_pool();
	pthread_mutex_lock(&mutex);
	for (KafkaHandle **link = &pool; *link != NULL;)
	{
		KafkaHandle *handle = *link;

		if (handle->transactional_id == NULL ||
			strcmp(handle->transactional_id, id) != 0)
		{
			link = &handle->next;
			continue;
		}
		*link = handle->next;
		handle->next = closed;
		closed = handle;
	}
	pthread_mutex_unlock(&mutex);
	release(closed);
}

/*
 * kafka_pool_list
 *		Returns the number of the session's connections and a palloc'd array of
 *		them.
 */
int
kafka_pool_list(KafkaConnection **connections)
{
	int			n = kafka_handle_list(connections, MAX_KEPT);
	int64		now = kafka_now_ms();

	kafka_handle_check_process();
	init_pool();
	pthread_mutex_lock(&mutex);
	for (KafkaHandle *handle = pool; handle != NULL; handle = handle->next)
	{
		KafkaConnection *connection = &(*connections)[n++];

		connection->serverid = handle->serverid;
		connection->producer = rd_kafka_type(handle->rk) == RD_KAFKA_PRODUCER;
		connection->active = false;
		connection->idle = now - handle->since;
	}
	pthread_mutex_unlock(&mutex);
	return n;
}

static void
init_pool(void)
{
	static bool done = false;
	pthread_condattr_t attr;

	if (done)
		return;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, on_change, (Datum) 0);
	done = true;
}

/*
 * Notes that kept instances may be those of an altered or dropped server; they
 * are closed when the pool is used next, for nothing may wait here.
 */
static void
on_change(Datum arg, int cacheid, uint32 hashvalue)
{
	outdated = true;
}

/*
 * Takes the latest instance with that key out of the pool.
 */
static KafkaHandle *
detach(const char *key)
{
	for (KafkaHandle **link = &pool; *link != NULL; link = &(*link)->next)
		if (strcmp((*link)->key, key) == 0)
		{
			KafkaHandle *handle = *link;

			*link = handle->next;
			return handle;
		}
	return NULL;
}

/*
 * Takes those out of the pool that were put there before since, or that come
 * after the first keep ones.
 */
static KafkaHandle *
detach_older(int64 since, int keep)
{
	KafkaHandle **link = &pool;
	KafkaHandle *older;

	while (*link != NULL && (*link)->since >= since && keep > 0)
	{
		link = &(*link)->next;
		keep--;
	}
	older = *link;
	*link = NULL;
	return older;
}

/*
 * Closes a list of instances, in any thread, and returns how many they were.
 */
static int
release(KafkaHandle *list)
{
	int			n = 0;

	for (; list != NULL; n++)
	{
		KafkaHandle *next = list->next;

		kafka_handle_release(list);
		list = next;
	}
	return n;
}

/*
 * Starts the thread, with all signals blocked, and joins the last one; the
 * mutex is held, and not taken by one that is no longer reaping.
 */
static bool
start_reaper(void)
{
	if (joinable)
		pthread_join(reaper, NULL);
	reaping = kafka_thread_start(&reaper, reaper_main, NULL) == 0;
	joinable = reaping;
	return reaping;
}

/*
 * The thread: closes what is idle for too long, until nothing is kept.
 */
static void *
reaper_main(void *arg)
{
	pthread_mutex_lock(&mutex);
	while (pool != NULL)
	{
		KafkaHandle *idle = detach_older(kafka_now_ms() - idle_timeout, MAX_KEPT);
		KafkaHandle *oldest = pool;
		struct timespec until;
		int64		when;

		if (idle != NULL)
		{
			pthread_mutex_unlock(&mutex);
			release(idle);
			pthread_mutex_lock(&mutex);
			continue;
		}
		while (oldest->next != NULL)
			oldest = oldest->next;
		when = oldest->since + idle_timeout + 1;
		until.tv_sec = when / 1000;
		until.tv_nsec = when % 1000 * 1000000;
		pthread_cond_timedwait(&changed, &mutex, &until);
	}
	reaping = false;
	pthread_mutex_unlock(&mutex);
	return NULL;
}
