/*-------------------------------------------------------------------------
 *
 * apply_parts.c
 *	  Messages that cannot be applied all together: part by part.
 *
 * NOTES
 *	  A part is tried in a subtransaction, so a failure takes back nothing but
 *	  the part, and costs little more than the rows of it.  Which parts are
 *	  tried, and what a failure means, is in batch_search.c.
 *
 *	  Rows of a small part are stored one by one, not many at once: then an
 *	  error nearly always comes while the row is looked at that it is about.
 *
 *	  A transaction has only so many subtransactions whose numbers other
 *	  sessions can keep in mind (PGPROC_MAX_CACHED_SUBXIDS, 64), so the parts
 *	  of one transaction are limited.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "ingest/apply_parts.h"
#include "ingest/copy_source.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#define MAX_PARTS 60
#define SMALL_PART 1000			/* messages */

static ErrorData *try_part(KafkaApply *apply, MemoryContext context);

/*
 * kafka_apply_parts
 *		Applies messages from search->first on, as many as go into one
 *		transaction, and passes by those that turn out bad; [apply->first,
 *		apply->last) then says which these were.
 *
 * Ends before a message that can be neither applied nor passed by.  Where that
 * is the first one its error is raised, as are errors that a later try may
 * cure.
 */
void
kafka_apply_parts(KafkaApply *apply, KafkaBatchSearch *search)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kafka part",
												  ALLOCSET_DEFAULT_SIZES);
	int			first = search->first;
	int64		rows = 0;

	for (int n = 0; n < MAX_PARTS && search->first < search->end &&
		 rows < apply->subscription->batch_rows;)
	{
		ErrorData  *error;

		apply->first = search->first;
		apply->last = kafka_search_next(search);
		apply->careful = search->careful;
		apply->one_by_one = apply->last - apply->first <= SMALL_PART;
		error = try_part(apply, context);
		if (error == NULL)
		{
			kafka_search_done(search, apply->last);
			rows += apply->rows;
			n++;
		}
		else if (kafka_error_may_pass(error))
			ReThrowError(error);
		else if (!kafka_search_handle_error(search, apply, error))
		{
			if (search->first == first)
				ReThrowError(error);
			break;
		}
		MemoryContextReset(context);
	}
	apply->first = first;
	apply->last = search->first;
	apply->rows = rows;
	MemoryContextDelete(context);
}

/*
 * Applies messages [apply->first, apply->last) in a subtransaction; returns
 * the error that has prevented it, in the context that is also used for all
 * else.
 */
static ErrorData *
try_part(KafkaApply *apply, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		kafka_apply_run(apply);
		kafka_apply_fire_triggers();
		PopActiveSnapshot();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	if (error == NULL)
		CommandCounterIncrement();
	else
		kafka_copy_forget_context(error);
	return error;
}
