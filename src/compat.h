/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15 and 18 in one place.
 *
 * NOTES
 *	  Each difference is an inline function or macro with the newest signature
 *	  or meaning.  PG_VERSION_NUM stands nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_COMPAT_H
#define KAFKA_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "kafka_fdw needs PostgreSQL 15 or later"
#endif

#endif							/* KAFKA_COMPAT_H */
