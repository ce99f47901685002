/*-------------------------------------------------------------------------
 *
 * worker_proof_ahead.c
 *	  Proofs that are read while a batch is being written.
 *
 * NOTES
 *	  A worker that is behind would wait ten times a second for the few messages
 *	  that worker_proof.c has read again.  So they are asked for when a batch is
 *	  begun, and looked for while it is written, which never waits.  What comes
 *	  holds good from the moment on when it was asked for.
 *
 *	  Only that all is as it was is learned here.  Whatever else comes, or does
 *	  not come, is forgotten: then worker_proof.c asks again, and decides.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/proof.h"
#include "ingest/worker_internal.h"
#include "utils/timestamp.h"

#define MAX_MESSAGES 1000		/* taken at once */

static void start(KafkaWorker *worker);
static int	compare(KafkaWorker *worker);

/*
 * kafka_worker_begin_ahead
 *		Asks for the proofs of partitions, if there are any that do not hold good
 *		for much longer.
 */
void
kafka_worker_begin_ahead(KafkaWorker *worker)
{
	ErrorData  *error;

	if (worker->ahead_since != 0 ||
		kafka_worker_choose_proofs(worker, GetCurrentTimestamp(), true) == 0)
		return;
	error = kafka_worker_try(worker, start);
	if (error != NULL)
	{
		FreeErrorData(error);
		kafka_worker_cancel_ahead(worker);
	}
}

static void
start(KafkaWorker *worker)
{
	KafkaRange *ranges = palloc_array(KafkaRange, worker->npartitions);

	if (worker->prover == NULL)
		kafka_worker_open_prover(worker);
	worker->nahead = 0;
	for (int i = 0; i < worker->npartitions; i++)
	{
		KafkaWorkerPartition *partition = &worker->partitions[i];

		if (!kafka_worker_proof_range(worker, i, &ranges[worker->nahead]))
			continue;
		partition->ahead = partition->proof;
		partition->same = false;
		worker->ahead[worker->nahead++] = i;
	}
	worker->ahead_since = GetCurrentTimestamp();
	kafka_consumer_start(worker->prover, ranges, worker->nahead);
	pfree(ranges);
}

/*
 * kafka_worker_take_ahead
 *		Notes which partitions are proven by what has come.
 */
void
kafka_worker_take_ahead(KafkaWorker *worker)
{
	int			missing;

	if (worker->ahead_since == 0)
		return;
	(void) kafka_consumer_take(worker->prover, MAX_MESSAGES, NULL);
	missing = compare(worker);
	kafka_consumer_release(worker->prover);
	if (missing > 0 && kafka_worker_is_recent(worker->ahead_since))
		return;
	kafka_worker_cancel_ahead(worker);
}

/*
 * Compares what has come with what it was, and returns how many proofs have not
 * come.
 */
static int
compare(KafkaWorker *worker)
{
	int			missing = 0;

	for (int m = 0; m < kafka_consumer_count(worker->prover); m++)
	{
		int			range = kafka_consumer_range(worker->prover, m);
		KafkaWorkerPartition *partition =
		&worker->partitions[worker->ahead[range]];
		KafkaProof	found;

		kafka_proof_take(kafka_consumer_message(worker->prover, m), &found);
		partition->same = found.offset == partition->ahead.offset &&
			kafka_proof_same(&found, &partition->ahead);
		if (partition->same)
			kafka_worker_note_proven(worker, worker->ahead[range],
									 worker->ahead_since);
	}
	for (int i = 0; i < worker->nahead; i++)
		missing += worker->partitions[worker->ahead[i]].same ? 0 : 1;
	return missing;
}

/*
 * kafka_worker_cancel_ahead
 *		Forgets what was asked for.
 */
void
kafka_worker_cancel_ahead(KafkaWorker *worker)
{
	if (worker->ahead_since != 0)
		kafka_consumer_stop(worker->prover);
	worker->ahead_since = 0;
}
