/*-------------------------------------------------------------------------
 *
 * worker_bad.c
 *	  What a subscription worker does with messages that cannot be applied.
 *
 * NOTES
 *	  They are counted, and kept if the subscription wants that, in the
 *	  transaction that moves the positions past them, so each exactly once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/copy_source.h"
#include "ingest/dead_letter.h"
#include "ingest/worker_internal.h"

static void put_aside(KafkaWorker *worker);
static void check_limit(KafkaWorker *worker);
static int64 count_allowed(KafkaWorker *worker);
static void count_in_partitions(KafkaWorker *worker);

/*
 * kafka_worker_write_bad_messages
 *		Counts the bad ones of messages [worker->first, worker->last), and
 *		keeps them if the subscription says so.
 *
 * Raises an ERROR, with worker->excess set, where there are more than
 * error_limit allows.
 */
void
kafka_worker_write_bad_messages(KafkaWorker *worker)
{
	KafkaBatch *batch = worker->batch;

	if (batch->nbad == 0)
		return;
	for (int i = worker->first; i < worker->last; i++)
	{
		ErrorData  *error = kafka_batch_error(batch, i);

		if (error == NULL)
			continue;
		kafka_copy_forget_context(error);
		worker->nbad++;
	}
	if (worker->nbad == 0)
		return;
	check_limit(worker);
	count_in_partitions(worker);
	if (worker->subscription->on_error == KAFKA_BAD_DEAD_LETTER)
		put_aside(worker);
}

/*
 * Puts the bad messages into the table or the topic.
 */
static void
put_aside(KafkaWorker *worker)
{
	const KafkaSubscription *subscription = worker->subscription;
	bool		to_topic = subscription->dead_letter_topic != NULL;
	int			target = 0;

	if (to_topic)
		target = kafka_dead_letter_target(subscription, worker->apply.source);
	for (int i = worker->first; i < worker->last; i++)
	{
		ErrorData  *error = kafka_batch_error(worker->batch, i);
		const KafkaMessage *message;

		if (error == NULL)
			continue;
		message = kafka_batch_message(worker->batch, i, true);
		if (to_topic)
			kafka_dead_letter_send(subscription, target, message, error);
		else
			kafka_dead_letter_add(subscription, message, error);
	}
}

/*
 * Finds the first message that may not be passed by.
 */
static void
check_limit(KafkaWorker *worker)
{
	int64		allowed = count_allowed(worker);

	if (worker->nbad <= allowed)
		return;
	for (int i = worker->first; i < worker->last; i++)
	{
		if (kafka_batch_error(worker->batch, i) == NULL || allowed-- > 0)
			continue;
		worker->excess = i;
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("too many bad messages")));
	}
}

/*
 * Returns how many messages may be passed by.
 */
static int64
count_allowed(KafkaWorker *worker)
{
	const KafkaSubscription *subscription = worker->subscription;

	if (subscription->on_error == KAFKA_BAD_STOP)
		return 0;				/* altered since they were found */
	if (subscription->error_limit == 0)
		return PG_INT64_MAX;
	return Max(subscription->error_limit -
			   kafka_bad_messages_lock(subscription), 0);
}

static void
count_in_partitions(KafkaWorker *worker)
{
	const KafkaMessage *of = NULL;
	int			n = 0;

	for (int i = worker->first; i < worker->last; i++)
	{
		const KafkaMessage *message;

		if (kafka_batch_error(worker->batch, i) == NULL)
			continue;
		message = kafka_batch_message(worker->batch, i, false);
		if (n > 0 && (message->partition != of->partition ||
					  strcmp(message->topic, of->topic) != 0))
		{
			kafka_bad_messages_count(worker->subscription, of, n);
			n = 0;
		}
		of = message;
		n++;
	}
	if (n > 0)
		kafka_bad_messages_count(worker->subscription, of, n);
}

/*
 * kafka_worker_forget_bad_messages
 *		Writes to the server's log what has become of bad messages, which have
 *		been committed.
 */
void
kafka_worker_forget_bad_messages(KafkaWorker *worker)
{
	KafkaSubscription *subscription = worker->subscription;
	const KafkaMessage *first = NULL;
	char	   *reason = NULL;

	for (int i = worker->first; i < worker->last; i++)
	{
		ErrorData  *error = kafka_batch_error(worker->batch, i);

		if (error == NULL)
			continue;
		if (first == NULL)
		{
			first = kafka_batch_message(worker->batch, i, false);
			reason = pstrdup(error->message);
		}
		kafka_batch_set_error(worker->batch, i, NULL);
	}
	ereport(LOG,
			(subscription->on_error == KAFKA_BAD_SKIP ?
			 errmsg_plural("subscription \"%s\" has skipped %d bad message",
						   "subscription \"%s\" has skipped %d bad messages",
						   worker->nbad, subscription->name, worker->nbad) :
			 errmsg_plural("subscription \"%s\" has put aside %d bad message",
						   "subscription \"%s\" has put aside %d bad messages",
						   worker->nbad, subscription->name, worker->nbad),
			 errdetail("The first, in topic \"%s\", partition %d, at offset " INT64_FORMAT ": %s",
					   first->topic, first->partition, first->offset, reason)));
	pfree(reason);
}

/*
 * kafka_worker_excess_error
 *		Returns the error of a bad message that may not be passed by.
 */
ErrorData *
kafka_worker_excess_error(KafkaWorker *worker, int i)
{
	ErrorData  *error = kafka_batch_error(worker->batch, i);

	if (worker->subscription->error_limit > 0)
		error->context = psprintf("%s%s%d bad messages before, as many as error_limit allows",
								  error->context != NULL ? error->context : "",
								  error->context != NULL ? "\n" : "",
								  worker->subscription->error_limit);
	return error;
}
