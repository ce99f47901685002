/*-------------------------------------------------------------------------
 *
 * worker_group.c
 *	  Shows the positions of a subscription to Kafka's tools, as those of a
 *	  consumer group.
 *
 * NOTES
 *	  Positions go to the group after the transaction that stored them, now
 *	  and then, and nobody waits for the answer.  They are never read.  A
 *	  failure is a warning, once in a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "ingest/worker_internal.h"
#include "utils/timestamp.h"

#define COMMIT_INTERVAL 1000	/* ms */
#define WARN_INTERVAL 60000		/* ms */

static void open_group(KafkaWorker *worker);
static void send_positions(KafkaWorker *worker);
static void warn(KafkaWorker *worker, const char *reason);

/*
 * kafka_worker_report_group
 *		Sends the stored positions when that is due.
 */
void
kafka_worker_report_group(KafkaWorker *worker)
{
	TimestampTz now;
	ErrorData  *error;

	if (worker->subscription->group_id == NULL || worker->npartitions == 0)
		return;
	now = GetCurrentTimestamp();
	if (!TimestampDifferenceExceeds(worker->group_at, now, COMMIT_INTERVAL))
		return;
	worker->group_at = now;
	if (worker->group == NULL)
	{
		error = kafka_worker_try(worker, open_group);
		if (error != NULL)
		{
			warn(worker, error->message);
			FreeErrorData(error);
			return;
		}
	}
	if (kafka_group_error(worker->group) != NULL)
	{
		warn(worker, kafka_group_error(worker->group));
		worker->group_due = true;
	}
	if (worker->group_due)
		send_positions(worker);
}

static void
open_group(KafkaWorker *worker)
{
	StartTransactionCommand();
	MemoryContextSwitchTo(worker->context);
	worker->group = kafka_group_open(worker->options->client,
									 worker->subscription->group_id);
	CommitTransactionCommand();
}

static void
send_positions(KafkaWorker *worker)
{
	KafkaGroupPosition *positions = palloc_array(KafkaGroupPosition,
												 worker->npartitions);

	for (int i = 0; i < worker->npartitions; i++)
	{
		positions[i].topic = worker->partitions[i].topic;
		positions[i].partition = worker->partitions[i].partition;
		positions[i].offset = worker->partitions[i].seen;
	}
	if (kafka_group_commit(worker->group, positions, worker->npartitions))
		worker->group_due = false;
	pfree(positions);
}

static void
warn(KafkaWorker *worker, const char *reason)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(worker->group_warned, now, WARN_INTERVAL))
		return;
	worker->group_warned = now;
	ereport(WARNING,
			(worker->group != NULL ? kafka_group_errcode(worker->group) : 0,
			 errmsg("could not show the positions of subscription \"%s\" to consumer group \"%s\": %s",
					worker->subscription->name,
					worker->subscription->group_id, reason)));
}
