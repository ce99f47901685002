/*-------------------------------------------------------------------------
 *
 * batch_search.c
 *	  Which messages of a batch are tried next, once some cannot be applied.
 *
 * NOTES
 *	  Messages are tried in their order, each try in a transaction, or a
 *	  subtransaction, that is rolled back if it fails.  What failed is divided
 *	  until the message is alone.  Who tries then makes it known as bad, so that
 *	  later tries pass it by, or stops.
 *
 *	  Two things keep this fast with many bad messages.  An error mostly comes
 *	  while the message is looked at that it is about, so the first guess is
 *	  that all before it are good.  And after a bad message only about as many
 *	  are tried at once as lay before it, then twice as many, and so on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "format/format.h"
#include "ingest/batch_search.h"

#define SMALL_STEP 16
#define MANY 50					/* one bad message of so many is often */

/* what is no message */
#define SEVERAL (-1)
#define NONE (-2)

static bool is_exhausted(const ErrorData *error);
static bool is_bad_message(const ErrorData *error);
static bool is_policy_violation(const ErrorData *error);
static bool begins_with(const ErrorData *error, const char *message);
static int	note_failed(KafkaBatchSearch *search, int last);
static int	find_suspect(const KafkaBatchSearch *search, int last);
static void cut(KafkaBatchSearch *search, int last);
static void limit_known(KafkaBatchSearch *search);
static void note_found(KafkaBatchSearch *search, int i);

void
kafka_search_begin(KafkaBatchSearch *search, KafkaBatch *batch, bool careful,
				   bool passes)
{
	memset(search, 0, sizeof(KafkaBatchSearch));
	search->batch = batch;
	search->careful = careful;
	search->passes = passes;
	search->step = batch->count;
	search->end = batch->count;
}

/*
 * kafka_search_next
 *		Returns the end of what is to be tried; it begins at search->first.
 */
int
kafka_search_next(const KafkaBatchSearch *search)
{
	if (search->bad <= search->first)
		return search->step < search->end - search->first ?
			search->first + search->step : search->end;
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
 * kafka_search_handle_error
 *		Decides how to go on after an error; false when there is no way.
 *
 * Before that, what cannot be applied is tried alone, for the error to say
 * which message it is.
 */
bool
kafka_search_handle_error(KafkaBatchSearch *search, const KafkaApply *apply,
						  const ErrorData *error)
{
	KafkaBatch *batch = search->batch;
	int			suspect;

	if (apply->again)
		limit_known(search);
	else if (batch->decoding && search->passes && !search->careful)
		search->careful = true;
	else
	{
		search->divided = true;
		suspect = note_failed(search, apply->last);
		if (suspect == NONE)
			return false;
		if (suspect == SEVERAL)
			return true;
		if (search->passes && is_bad_message(error))
		{
			kafka_batch_set_error(batch, suspect, error);
			note_found(search, suspect);
		}
		else if (apply->last - apply->first == 1)
			return false;
		else
			cut(search, suspect);
	}
	return true;
}

/*
 * kafka_search_end_before
 *		Goes back to a message, and has no others tried than those before end.
 */
void
kafka_search_end_before(KafkaBatchSearch *search, int first, int end)
{
	search->first = first;
	search->end = end;
	search->bad = 0;
	search->guess = 0;
}

/*
 * kafka_search_part
 *		Returns how many messages the next batch is to begin with, when so many
 *		of this one were bad that it had better not be tried as a whole; or 0.
 */
int
kafka_search_part(const KafkaBatchSearch *search)
{
	return search->found > search->batch->count / MANY ?
		Max(SMALL_STEP, 2 * search->batch->count / search->found) : 0;
}

/*
 * kafka_search_divide
 *		Begins with a part of so many messages.
 */
void
kafka_search_divide(KafkaBatchSearch *search, int part)
{
	search->divided = true;
	search->step = part;
}

/*
 * kafka_error_may_pass
 *		Says whether the same may succeed later with nothing mended here.
 */
bool
kafka_error_may_pass(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_OBJECT_IN_USE:
			return true;
		default:
			break;
	}
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return is_exhausted(error);
	}
}

/*
 * Says whether the database has no room, or no transaction IDs or MultiXactIds,
 * left, whose SQLSTATE is that of a value that is too large.
 */
static bool
is_exhausted(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
		(begins_with(error, "database is not accepting commands") ||
		 begins_with(error, "multixact \"members\" limit exceeded") ||
		 begins_with(error, "cannot extend relation") ||
		 begins_with(error, "cannot extend file"));
}

/*
 * Says whether an error that came of a single message is that message's: one
 * about values, or that a trigger or a check of a view raises.
 *
 * All others, such as of a missing table or privilege, would come of the next
 * message too.
 */
static bool
is_bad_message(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TRIGGERED_ACTION_EXCEPTION:
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION:
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
			return true;
		default:
			return kafka_error_is_about_data(error) ||
				is_policy_violation(error);
	}
}

/*
 * Says whether a row violates row-level security, whose SQLSTATE is that of a
 * missing privilege.
 */
static bool
is_policy_violation(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE &&
		begins_with(error, "new row violates row-level security policy");
}

/*
 * Compares with the message as it is in the source, in no other language.
 */
static bool
begins_with(const ErrorData *error, const char *message)
{
	return error->message_id != NULL &&
		strncmp(error->message_id, message, strlen(message)) == 0;
}

/*
 * Takes note that the messages before last cannot be applied together.
 * Returns the one that cannot be, if there is only one to suspect, or SEVERAL
 * or NONE.
 *
 * Messages before batch->reached had been looked at when it failed.
 */
static int
note_failed(KafkaBatchSearch *search, int last)
{
	bool		guessed = search->guess > 0;
	bool		ended = search->batch->ended;
	int			reached = search->batch->reached;
	int			suspect;

	if (reached <= search->first || reached > last)
	{
		reached = last;
		ended = true;
	}
	suspect = find_suspect(search, reached);
	search->bad = reached;
	search->guess = 0;
	if (suspect == SEVERAL && !ended && !guessed)
		search->guess = reached - 1;
	return suspect;
}

/*
 * Has the messages before last tried next, and last alone after them.
 */
static void
cut(KafkaBatchSearch *search, int last)
{
	search->bad = last + 1;
	search->guess = last;
}

/*
 * More bad messages are known.  The same messages are tried again, or fewer
 * where so many are bad that their errors take much memory.
 */
static void
limit_known(KafkaBatchSearch *search)
{
	int			i = search->first;

	if (search->batch->nbad < KAFKA_SEARCH_BAD)
		return;
	for (int n = 0; n < KAFKA_SEARCH_BAD && i < search->batch->count; i++)
		if (kafka_batch_error(search->batch, i) != NULL)
			n++;
	if (i < search->batch->count)
		cut(search, i);
}

/*
 * Takes note that a bad message is known now; what follows is tried together
 * with it.
 */
static void
note_found(KafkaBatchSearch *search, int i)
{
	search->step = Max(SMALL_STEP, 2 * (i - search->since));
	search->since = i;
	search->found++;
	search->bad = 0;
	search->guess = 0;
}

/*
 * Returns the only message before last that is not known to be bad, SEVERAL or
 * NONE.
 */
static int
find_suspect(const KafkaBatchSearch *search, int last)
{
	int			suspect = NONE;

	for (int i = search->first; i < last; i++)
	{
		if (kafka_batch_error(search->batch, i) != NULL)
			continue;
		if (suspect >= 0)
			return SEVERAL;
		suspect = i;
	}
	return suspect;
}
