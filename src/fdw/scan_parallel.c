/*-------------------------------------------------------------------------
 *
 * scan_parallel.c
 *	  Scans topics in several processes.
 *
 * NOTES
 *	  The leader takes the snapshot, evaluates the conditions and shares the
 *	  work that follows; so all processes together read what one would.  Each
 *	  has a consumer of its own and takes the next chunk when it has read one.
 *
 *	  A process counts in shared memory what it has done.  The leader keeps the
 *	  counts when the workers have ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "batch.h"
#include "compat.h"
#include "fdw/fdw.h"
#include "fdw/scan.h"
#include "port/atomics.h"
#include "utils/dsa.h"

struct KafkaParallelScan
{
	dsa_pointer work;			/* KafkaWork, or invalid */
	pg_atomic_uint32 next;		/* chunk */
	int			readers;		/* processes */
	int			nworkers;		/* without the leader */
	KafkaScanStats stats[FLEXIBLE_ARRAY_MEMBER];	/* of each worker */
};

static Size shared_size(const ParallelContext *pcxt);
static void share_work(ForeignScanState *node);

/*
 * kafkaIsForeignScanParallelSafe
 *		Says whether the table can be read by parallel workers: not where
 *		errors are caught in subtransactions that a worker cannot have, nor
 *		where a batch that this process has may be read in its place.
 */
bool
kafkaIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel,
							   RangeTblEntry *rte)
{
	KafkaTableOptions *options = kafka_options_table(rte->relid, GetUserId());

	return kafka_batch_view == NULL &&
		(options->on_error == KAFKA_ON_ERROR_ERROR ||
		 KAFKA_PARALLEL_SUBTRANSACTIONS);
}

Size
kafkaEstimateDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt)
{
	return shared_size(pcxt);
}

static Size
shared_size(const ParallelContext *pcxt)
{
	return add_size(offsetof(KafkaParallelScan, stats),
					mul_size(sizeof(KafkaScanStats), pcxt->nworkers));
}

/*
 * kafkaInitializeDSMForeignScan
 *		Takes the snapshot and shares the work.
 */
void
kafkaInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
							  void *coordinate)
{
	KafkaScanState *state = node->fdw_state;
	KafkaParallelScan *shared = coordinate;

	/* without workers there is nothing to share */
	if (node->ss.ps.state->es_query_dsa == NULL || state->batch != NULL)
		return;
	memset(shared, 0, shared_size(pcxt));
	shared->work = InvalidDsaPointer;
	pg_atomic_init_u32(&shared->next, 0);
	shared->nworkers = pcxt->nworkers;
	shared->readers = pcxt->nworkers + 1;
	state->shared = shared;
	share_work(node);
}

/*
 * kafkaReInitializeDSMForeignScan
 *		Shares the work of a rescan, whose conditions may have other values.
 */
void
kafkaReInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
								void *coordinate)
{
	KafkaScanState *state = node->fdw_state;
	KafkaParallelScan *shared = state->shared;

	if (shared == NULL)
		return;
	if (DsaPointerIsValid(shared->work))
		dsa_free(node->ss.ps.state->es_query_dsa, shared->work);
	shared->work = InvalidDsaPointer;
	pg_atomic_write_u32(&shared->next, 0);
	share_work(node);
}

static void
share_work(ForeignScanState *node)
{
	KafkaScanState *state = node->fdw_state;
	KafkaParallelScan *shared = state->shared;
	dsa_area   *area = node->ss.ps.state->es_query_dsa;

	kafka_scan_reset(state);
	kafka_scan_prepare(node, shared->readers);
	if (state->work == NULL)
		return;
	shared->work = dsa_allocate_extended(area, state->work->size,
										 DSA_ALLOC_HUGE);
	memcpy(dsa_get_address(area, shared->work), state->work,
		   state->work->size);
}

/*
 * kafkaInitializeWorkerForeignScan
 *		Lets a worker take part.
 */
void
kafkaInitializeWorkerForeignScan(ForeignScanState *node, shm_toc *toc,
								 void *coordinate)
{
	KafkaScanState *state = node->fdw_state;

	state->shared = coordinate;
	state->readers = state->shared->readers;
	/* what a worker before it has done with the same number */
	state->stats = state->shared->stats[ParallelWorkerNumber];
}

/*
 * kafka_parallel_attach
 *		Takes the shared work as the scan's.
 */
void
kafka_parallel_attach(ForeignScanState *node)
{
	KafkaScanState *state = node->fdw_state;

	if (DsaPointerIsValid(state->shared->work))
		state->work = dsa_get_address(node->ss.ps.state->es_query_dsa,
									  state->shared->work);
}

/*
 * kafka_parallel_next
 *		Returns the chunk that this process is to read next.
 */
int
kafka_parallel_next(KafkaParallelScan *shared)
{
	return (int) pg_atomic_fetch_add_u32(&shared->next, 1);
}

/*
 * kafka_parallel_report
 *		Shows the leader what a worker has done so far.
 */
void
kafka_parallel_report(KafkaScanState *state)
{
	if (state->shared != NULL && IsParallelWorker())
		state->shared->stats[ParallelWorkerNumber] = state->stats;
}

/*
 * kafka_scan_add_stats
 *		Adds what a process has done.
 */
void
kafka_scan_add_stats(KafkaScanStats *total, const KafkaScanStats *stats)
{
	if (total->skipped == 0)
	{
		total->first_partition = stats->first_partition;
		total->first_offset = stats->first_offset;
		strlcpy(total->first_error, stats->first_error,
				sizeof(total->first_error));
	}
	total->chunks += stats->chunks;
	total->messages += stats->messages;
	total->bytes += stats->bytes;
	total->wait_time += stats->wait_time;
	total->decode_time += stats->decode_time;
	total->skipped += stats->skipped;
}

/*
 * kafkaShutdownForeignScan
 *		Keeps what the workers have done, before the shared memory goes.
 */
void
kafkaShutdownForeignScan(ForeignScanState *node)
{
	KafkaScanState *state = node->fdw_state;
	KafkaParallelScan *shared = state->shared;

	if (shared == NULL)
		return;
	kafka_parallel_report(state);
	if (!IsParallelWorker())
	{
		if (state->nworkers < shared->nworkers)
		{
			KafkaScanStats *workers =
			MemoryContextAllocZero(state->context, sizeof(KafkaScanStats) *
								   shared->nworkers);

			memcpy(workers, state->workers,
				   sizeof(KafkaScanStats) * state->nworkers);
			state->workers = workers;
			state->nworkers = shared->nworkers;
		}
		for (int i = 0; i < shared->nworkers; i++)
			kafka_scan_add_stats(&state->workers[i], &shared->stats[i]);
	}
	kafka_scan_reset(state);
	state->shared = NULL;
	state->shut_down = true;
	state->started = true;
}
