/*-------------------------------------------------------------------------
 *
 * batch_search.c
 *	  Which messages of a batch are tried next, once some cannot be applied.
 *
 * NOTES
 *	  Messages are tried in their order, each try in a transaction that is
 *	  rolled back if it fails.  What failed is divided until the message is
 *	  alone.  Who tries then makes it known as bad, so that later tries pass it
 *	  by, or stops.
 *
 *	  Two things keep this fast with many bad messages.  An error mostly comes
 *	  while the message is looked at that it is about, so the first guess is
 *	  that all before it are good.  And after a bad message only about as many
 *	  are tried at once as lay before it, then twice as many, and so on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/batch_search.h"

#define SMALL_STEP 16

static int	find_suspect(const KafkaBatchSearch *search, int last);

void
kafka_search_begin(KafkaBatchSearch *search, KafkaBatch *batch)
{
	memset(search, 0, sizeof(KafkaBatchSearch));
	search->batch = batch;
	search->step = batch->count;
}

/*
 * kafka_search_next
 *		Returns the end of what is to be tried; it begins at search->first.
 */
int
kafka_search_next(const KafkaBatchSearch *search)
{
	if (search->bad <= search->first)
		return search->step < search->batch->count - search->first ?
			search->first + search->step : search->batch->count;
	if (search->guess > search->first)
		return search->guess;
	return Max(search->first + 1, (search->first + search->bad) / 2);
}

/*
 * kafka_search_done
 *		Takes note that the messages before last have been applied.
 */
void
kafka_search_done(KafkaBatchSearch *search, int last)
{
	search->first = last;
	search->guess = 0;
	if (search->bad <= last && search->step < search->batch->count)
		search->step *= 2;
}

/*
 * kafka_search_failed
 *		Takes note that the messages before last cannot be applied together.
 *		Returns the one that cannot be, if there is only one to suspect, -1 if
 *		there are more, and -2 if there is none.
 *
 * Messages before reached had been looked at when it failed.
 */
int
kafka_search_failed(KafkaBatchSearch *search, int last, int reached)
{
	bool		guessed = search->guess > 0;
	int			suspect;

	if (reached <= search->first || reached > last)
		reached = last;
	suspect = find_suspect(search, reached);
	search->bad = reached;
	search->guess = 0;
	if (suspect == -1 && reached < last && !guessed)
		search->guess = reached - 1;
	return suspect;
}

/*
 * kafka_search_cut
 *		Has the messages before last tried next, and last alone after them.
 */
void
kafka_search_cut(KafkaBatchSearch *search, int last)
{
	search->bad = last + 1;
	search->guess = last;
}

/*
 * kafka_search_found
 *		Takes note that a bad message is known now; what follows is tried
 *		together with it.
 */
void
kafka_search_found(KafkaBatchSearch *search, int i)
{
	search->step = Max(SMALL_STEP, 2 * (i - search->since));
	search->since = i;
	search->bad = 0;
	search->guess = 0;
}

/*
 * Returns the only message before last that is not known to be bad, or what
 * kafka_search_failed() says instead.
 */
static int
find_suspect(const KafkaBatchSearch *search, int last)
{
	int			suspect = -2;

	for (int i = search->first; i < last; i++)
	{
		if (kafka_batch_error(search->batch, i) != NULL)
			continue;
		if (suspect >= 0)
			return -1;
		suspect = i;
	}
	return suspect;
}
