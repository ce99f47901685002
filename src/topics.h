/*-------------------------------------------------------------------------
 *
 * topics.h
 *	  The option "topic": a name, a list of names, or a pattern.
 *
 * NOTES
 *	  A list is separated by commas, spaces around names do not count.  What
 *	  begins with ^ is as a whole a regular expression of PostgreSQL, which has
 *	  to match at the beginning of a name.  It finds topics that begin with two
 *	  underscores, which are Kafka's own, only if it says so: "^__".
 *
 *	  Everything returned is palloc'd in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_TOPICS_H
#define KAFKA_TOPICS_H

#include "nodes/pg_list.h"

extern void kafka_topics_check(const char *spec);
extern bool kafka_topics_is_pattern(const char *spec);
extern bool kafka_topics_is_single(const char *spec);
extern List *kafka_topics_listed(const char *spec);
extern bool kafka_topics_include(const char *spec, const char *topic);

#endif							/* KAFKA_TOPICS_H */
