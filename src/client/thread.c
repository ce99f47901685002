/*-------------------------------------------------------------------------
 *
 * thread.c
 *	  Threads beside the backend's own.
 *
 * NOTES
 *	  They use nothing of PostgreSQL, and no signal is delivered to them.
 *
 *	  Those that read messages wake for every response and every few messages,
 *	  and would interrupt the backend each time, which is busy with those before,
 *	  where there are not many processors.  So they ask the scheduler for
 *	  SCHED_BATCH (Linux, see sched(7)): they get their share as before, and an
 *	  idle processor at once, but wait for the end of a running thread's slice of
 *	  some milliseconds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>
#include <signal.h>

#include "client/thread.h"

#ifdef SCHED_BATCH
static bool set_policy(int policy);
#endif

/*
 * kafka_thread_start
 *		Starts a thread with all signals blocked, for PostgreSQL's are for the
 *		main thread; returns 0 or the error's number.
 */
int
kafka_thread_start(pthread_t *thread, void *(*run) (void *arg), void *arg)
{
	sigset_t	all;
	sigset_t	saved;
	int			rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	rc = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return rc;
}

/*
 * kafka_thread_begin_batch
 *		Has the calling thread, and those that it starts, not interrupt others
 *		when they wake; false where that changes nothing, as when somebody has
 *		chosen a policy for this process.
 */
bool
kafka_thread_begin_batch(void)
{
#ifdef SCHED_BATCH
	return sched_getscheduler(0) == SCHED_OTHER && set_policy(SCHED_BATCH);
#else
	return false;
#endif
}

/*
 * kafka_thread_end_batch
 *		Ends that for the calling thread.
 */
void
kafka_thread_end_batch(void)
{
#ifdef SCHED_BATCH
	(void) set_policy(SCHED_OTHER);
#endif
}

#ifdef SCHED_BATCH
static bool
set_policy(int policy)
{
	struct sched_param param = {0};

	return sched_setscheduler(0, policy, &param) == 0;
}
#endif
