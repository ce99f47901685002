/*-------------------------------------------------------------------------
 *
 * batch_search.h
 *	  Which messages of a batch are tried next, once some cannot be applied.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_BATCH_SEARCH_H
#define KAFKA_BATCH_SEARCH_H

#include "batch.h"

typedef struct KafkaBatchSearch
{
	KafkaBatch *batch;
	int			first;			/* messages before it are done */
	int			bad;			/* [first, bad) fails; 0: nothing is known */
	int			guess;			/* [first, guess) may succeed; 0: no idea */
	int			since;			/* first, when the last one was found */
	int			step;			/* messages to try at once */
} KafkaBatchSearch;

extern void kafka_search_begin(KafkaBatchSearch *search, KafkaBatch *batch);
extern int	kafka_search_next(const KafkaBatchSearch *search);
extern void kafka_search_done(KafkaBatchSearch *search, int last);
extern int	kafka_search_failed(KafkaBatchSearch *search, int last,
								int reached);
extern void kafka_search_cut(KafkaBatchSearch *search, int last);
extern void kafka_search_found(KafkaBatchSearch *search, int i);

#endif							/* KAFKA_BATCH_SEARCH_H */
