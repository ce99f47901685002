/*-------------------------------------------------------------------------
 *
 * batch_search.h
 *	  Which messages of a batch are tried next, once some cannot be applied.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_BATCH_SEARCH_H
#define KAFKA_BATCH_SEARCH_H

#include "ingest/apply.h"

typedef struct KafkaBatchSearch
{
	KafkaBatch *batch;
	int			end;			/* messages from here on are not tried yet */
	bool		passes;			/* bad messages are passed by */
	bool		divided;		/* some cannot be applied: try parts */
	bool		careful;		/* some cannot be decoded: catch the error of
								 * each */
	int			first;			/* messages before it are done */
	int			bad;			/* [first, bad) fails; 0: nothing is known */
	int			guess;			/* [first, guess) may succeed; 0: no idea */
	int			since;			/* first, when the last one was found */
	int			step;			/* messages to try at once */
	int			found;			/* bad messages that were tried alone */
} KafkaBatchSearch;

/* bad messages that one transaction deals with at most, more or less */
#define KAFKA_SEARCH_BAD 10000

extern void kafka_search_begin(KafkaBatchSearch *search, KafkaBatch *batch,
							   bool careful, bool passes);
extern int	kafka_search_next(const KafkaBatchSearch *search);
extern void kafka_search_done(KafkaBatchSearch *search, int last);
extern bool kafka_search_handle_error(KafkaBatchSearch *search,
									  const KafkaApply *apply,
									  const ErrorData *error);
extern void kafka_search_end_before(KafkaBatchSearch *search, int first,
									int end);
extern int	kafka_search_part(const KafkaBatchSearch *search);
extern void kafka_search_divide(KafkaBatchSearch *search, int part);
extern bool kafka_error_may_pass(const ErrorData *error);

#endif							/* KAFKA_BATCH_SEARCH_H */
