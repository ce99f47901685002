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
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	if (fd != PGINVALID_SOCKET)
		events |= WL_SOCKET_READABLE;
	if (timeout < 0 || timeout > SLICE)
		timeout = SLICE;

	if (WaitLatchOrSocket(MyLatch, events, fd, timeout,
						  kafka_compat_wait_event(&wait_event)) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (kafka_wait_hook != NULL)
		kafka_wait_hook();
}
