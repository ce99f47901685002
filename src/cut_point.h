/*-------------------------------------------------------------------------
 *
 * cut_point.h
 *	  Places where a test can stop a process.
 *
 * NOTES
 *	  Only "make TESTING=1" has them, and the parameter kafka_fdw.stop_at that
 *	  names one: the process stops there as by SIGSTOP, and the test kills it or
 *	  has it go on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CUT_POINT_H
#define KAFKA_CUT_POINT_H

#ifdef KAFKA_FDW_TESTING

#include <signal.h>

extern PGDLLIMPORT char *kafka_stop_at;

#define KAFKA_CUT_POINT(name) \
	do { \
		if (strcmp(kafka_stop_at, name) == 0) \
			raise(SIGSTOP); \
	} while (0)

#else
#define KAFKA_CUT_POINT(name) ((void) 0)
#endif

#endif							/* KAFKA_CUT_POINT_H */
