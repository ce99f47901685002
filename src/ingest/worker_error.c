/*-------------------------------------------------------------------------
 *
 * worker_error.c
 *	  What a subscription worker does about an error.
 *
 * NOTES
 *	  What a later try may cure (Kafka, a deadlock, a full disk) ends the
 *	  process; the launcher starts it again, later and later.  What a message
 *	  itself is the cause of makes it a bad one, where on_error says so.
 *	  Everything else stops the subscription: it is disabled and keeps the
 *	  error for the user, who mends its cause and enables it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "ingest/copy_source.h"
#include "ingest/worker_internal.h"
#include "lib/stringinfo.h"
#include "utils/snapmgr.h"

static void report_error(ErrorData *error);

/*
 * kafka_worker_try
 *		Runs a step outside of any transaction, and returns the error that it
 *		raises, or NULL.  Afterwards there is no transaction in either case.
 */
ErrorData *
kafka_worker_try(KafkaWorker *worker, KafkaWorkerStep step)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		step(worker);
	}
	PG_CATCH();
	{
		kafka_worker_end_asking();
		MemoryContextSwitchTo(worker->context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(worker->context);
	if (error != NULL)
		kafka_copy_forget_context(error);
	return error;
}

/*
 * kafka_worker_do
 *		Runs a step whose errors, unless a later try may cure them, stop the
 *		subscription.
 */
void
kafka_worker_do(KafkaWorker *worker, KafkaWorkerStep step)
{
	ErrorData  *error = kafka_worker_try(worker, step);

	if (error == NULL)
		return;
	if (kafka_error_may_pass(error))
		ReThrowError(error);
	kafka_worker_stop(worker, error);
}

/*
 * kafka_worker_stop
 *		Disables the subscription, keeps the error for the user, and ends the
 *		process.
 *
 * The slot is given up before the commit, for a user who sees the subscription
 * disabled may enable it at once, and the scan that follows must come last; but
 * not before all is written, for where that fails, as on a full disk, another
 * try is made, as late as after other errors.
 */
void
kafka_worker_stop(KafkaWorker *worker, ErrorData *error)
{
	KafkaSubscription *subscription;
	char	   *text = kafka_worker_format_error(error);

	report_error(error);
	kafka_slot_set_error(worker->slot, text);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_catalog_lock(worker->id, AccessExclusiveLock);
	subscription = kafka_catalog_by_id(worker->id);
	if (subscription != NULL && subscription->enabled)
	{
		kafka_catalog_set_enabled(subscription, false);
		kafka_catalog_set_error(subscription, text,
								kafka_worker_culprit(worker));
		ereport(LOG,
				(errmsg("subscription \"%s\" has been disabled because of an error",
						subscription->name),
				 errhint("Use kafka.enable_subscription() once its cause is mended.")));
	}
	PopActiveSnapshot();
	kafka_slot_unwant(worker->slot);
	CommitTransactionCommand();
	kafka_worker_end(worker);
}

/*
 * Writes an error to the server's log.
 */
static void
report_error(ErrorData *error)
{
	PG_TRY();
	{
		ReThrowError(error);
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
}

/*
 * kafka_worker_format_error
 *		Returns an error as text: message, SQLSTATE, detail and context.
 */
char *
kafka_worker_format_error(const ErrorData *error)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s\nSQLSTATE: %s",
					 error->message, unpack_sql_state(error->sqlerrcode));
	if (error->detail != NULL)
		appendStringInfo(&text, "\nDETAIL: %s", error->detail);
	if (error->context != NULL && error->context[0] != '\0')
		appendStringInfo(&text, "\nCONTEXT: %s", error->context);
	return text.data;
}
