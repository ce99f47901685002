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

extern void kafka_wait(pgsocket fd, long timeout);

#endif							/* KAFKA_WAIT_H */
