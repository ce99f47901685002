/*-------------------------------------------------------------------------
 *
 * dead_letter_retry.c
 *	  Tries messages of kafka.dead_letter again.
 *
 * NOTES
 *	  They are applied as a worker would apply them, in the transaction of who
 *	  asks, and with a subtransaction where a worker has a transaction.  What
 *	  succeeds is deleted in the same transaction, so it is there once.
 *
 *	  The rows are locked, so that two sessions do not try the same message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "ingest/apply_parts.h"
#include "ingest/copy_source.h"
#include "ingest/dead_letter.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* messages that are read, and applied together */
#define CHUNK 200

static void retry_chunk(const KafkaSubscription *subscription,
						KafkaApply *apply, KafkaDeadLetters *letters);
static void become_owner(const KafkaSubscription *subscription);
static const KafkaMessage *get_message(void *source, int i, bool headers);
static void store_results(KafkaBatch *batch, KafkaDeadLetters *letters,
						  int64 *succeeded, int64 *failed);

/*
 * kafka_dead_letters_retry
 *		Tries messages again, those of the ids if there are any, no more than
 *		limit; counts what has become of them.
 *
 * An ERROR that is no message's fault is raised.
 */
void
kafka_dead_letters_retry(const KafkaSubscription *subscription, int64 limit,
						 ArrayType *ids, int64 *succeeded, int64 *failed)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kafka dead letters",
												  ALLOCSET_DEFAULT_SIZES);
	int64		last = 0;

	*succeeded = *failed = 0;
	while (*succeeded + *failed < limit)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int64		left = limit - *succeeded - *failed;
		KafkaDeadLetters letters;
		KafkaApply	apply;

		CHECK_FOR_INTERRUPTS();
		kafka_dead_letters_lock(subscription, last, ids, Min(left, CHUNK),
								&letters);
		if (letters.count > 0)
		{
			last = letters.ids[letters.count - 1];
			retry_chunk(subscription, &apply, &letters);
			store_results(apply.batch, &letters, succeeded, failed);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		if (letters.count == 0)
			break;
	}
	MemoryContextDelete(context);
}

/*
 * Applies messages as the subscription's owner; those that are bad again are
 * so in apply->batch.
 */
static void
retry_chunk(const KafkaSubscription *subscription, KafkaApply *apply,
			KafkaDeadLetters *letters)
{
	KafkaBatch *batch = kafka_batch_create(get_message, letters,
										   letters->count);
	KafkaBatchSearch search;
	Oid			userid;
	int			sec_context;
	int			nestlevel = NewGUCNestLevel();

	GetUserIdAndSecContext(&userid, &sec_context);
	become_owner(subscription);
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	(void) set_config_option("row_security", "on",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_apply_open(apply, subscription);
	kafka_apply_check(apply);
	PopActiveSnapshot();
	apply->options = kafka_options_table(subscription->source,
										 subscription->owner);
	apply->batch = batch;
	kafka_search_begin(&search, batch, true, true);
	while (search.first < letters->count)
		kafka_apply_parts(apply, &search);
	kafka_apply_close(apply);
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, sec_context);
}

/*
 * In the session of somebody else nothing that the owner's code does may
 * outlive it, such as a cursor or a deferred trigger, for it would run with the
 * rights of that session.  Triggers of the session's own that wait fire before.
 */
static void
become_owner(const KafkaSubscription *subscription)
{
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	sec_context |= SECURITY_LOCAL_USERID_CHANGE;
	if (userid != subscription->owner)
	{
		kafka_apply_fire_triggers();
		sec_context |= SECURITY_RESTRICTED_OPERATION;
	}
	SetUserIdAndSecContext(subscription->owner, sec_context);
}

/*
 * A KafkaBatchMessage of kafka.dead_letter.
 */
static const KafkaMessage *
get_message(void *source, int i, bool headers)
{
	return &((KafkaDeadLetters *) source)->messages[i];
}

/*
 * Deletes what has been applied, and says of the others why not.
 */
static void
store_results(KafkaBatch *batch, KafkaDeadLetters *letters,
			  int64 *succeeded, int64 *failed)
{
	int64	   *done = palloc_array(int64, letters->count);
	int			n = 0;

	for (int i = 0; i < letters->count; i++)
	{
		ErrorData  *error = kafka_batch_error(batch, i);

		if (error == NULL)
		{
			done[n++] = letters->ids[i];
			continue;
		}
		kafka_copy_forget_context(error);
		kafka_dead_letter_set_error(letters->ids[i], error);
		(*failed)++;
	}
	kafka_dead_letters_delete(done, n);
	*succeeded += n;
}
