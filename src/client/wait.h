/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  The one way in which this project waits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_WAIT_H
#define KAFKA_WAIT_H

#include "port.h"

/* what else is looked at when interrupts are; NULL: nothing */
extern void (*kafka_wait_hook) (void);

extern void kafka_wait(pgsocket fd, long timeout);
extern void kafka_wait_forget(void);

#endif							/* KAFKA_WAIT_H */
