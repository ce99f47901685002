/*-------------------------------------------------------------------------
 *
 * thread.h
 *	  Threads beside the backend's own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_THREAD_H
#define KAFKA_THREAD_H

#include <pthread.h>

extern int	kafka_thread_start(pthread_t *thread, void *(*run) (void *arg),
							   void *arg);
extern bool kafka_thread_begin_batch(void);
extern void kafka_thread_end_batch(void);

#endif							/* KAFKA_THREAD_H */
