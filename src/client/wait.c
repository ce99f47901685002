/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  The one way in which this project waits.
 *
 * NOTES
 *	  librdkafka's own waits do not look at interrupts.  So everything that
 *	  waits for it waits here: for its wake-up pipe, the process latch, or the
 *	  end of the slice, and interrupts are served on the way out.  A slice is
 *	  at most 100 ms, so that no lost wake-up ever costs more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/wait.h"
#include "compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#define SLICE 100				/* ms */

void		(*kafka_wait_hook) (void) = NULL;

static KafkaWaitEvent wait_event = {"KafkaClient"};

/* the last wait's events, for the next one; NULL if there are none */
static WaitEventSet *wait_set = NULL;
static pgsocket wait_fd;		/* that wait_set waits for */

static int	wait_latch(long timeout);
static int	wait_fd_or_latch(pgsocket fd, long timeout);
static WaitEventSet *make_wait_set(pgsocket fd);

/*
 * kafka_wait
 *		Waits until fd is readable, the latch is set, or timeout ms (at most
 *		one slice) have passed; then serves interrupts.
 *
 * fd may be PGINVALID_SOCKET.  Raises what CHECK_FOR_INTERRUPTS() raises, and
 * ends the process when the postmaster has died.
 */
void
kafka_wait(pgsocket fd, long timeout)
{
	int			events;

	if (timeout < 0 || timeout > SLICE)
		timeout = SLICE;
	events = fd == PGINVALID_SOCKET ? wait_latch(timeout) :
		wait_fd_or_latch(fd, timeout);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (kafka_wait_hook != NULL)
		kafka_wait_hook();
}

/*
 * kafka_wait_forget
 *		Has the next wait not rely on the last one: a descriptor may be another
 *		one under the same number.
 */
void
kafka_wait_forget(void)
{
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL;
}

static int
wait_latch(long timeout)
{
	return WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout, kafka_compat_wait_event(&wait_event));
}

static int
wait_fd_or_latch(pgsocket fd, long timeout)
{
	WaitEvent	event;

	if (wait_set == NULL || wait_fd != fd)
	{
		kafka_wait_forget();
		wait_set = make_wait_set(fd);
		wait_fd = fd;
	}
	if (WaitEventSetWait(wait_set, timeout, &event, 1,
						 kafka_compat_wait_event(&wait_event)) == 0)
		return 0;
	return event.events;
}

/*
 * Makes the events once for many waits: that takes longer than a short wait.
 */
static WaitEventSet *
make_wait_set(pgsocket fd)
{
	WaitEventSet *set = kafka_compat_wait_set(3);

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, fd, NULL, NULL);
	return set;
}
