/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The process that keeps one subscription's target up to date.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_WORKER_H
#define KAFKA_WORKER_H

extern PGDLLEXPORT void kafka_worker_main(Datum arg);

#endif							/* KAFKA_WORKER_H */
