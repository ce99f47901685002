/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The process that keeps one subscription's target up to date.
 *
 * NOTES
 *	  A round begins with the subscription's definition and positions and with
 *	  a consumer that starts there; it ends when the definition, an option of
 *	  the source, or kafka_fdw.allowed_brokers has changed.  In a round,
 *	  batches are gathered from Kafka with no transaction, snapshot or lock,
 *	  and written in one transaction each, together with the positions that
 *	  follow them.
 *
 *	  A position is only moved from where this worker has seen it last.  So a
 *	  second worker, or one that was forgotten, can never write what has been
 *	  written; and whatever ends a worker at whatever moment, the next one
 *	  continues after the last committed batch.
 *
 *	  worker_positions.c knows the partitions, worker_batch.c writes, and
 *	  worker_error.c decides what an error means.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "client/pool.h"
#include "client/wait.h"
#include "compat.h"
#include "ingest/relations.h"
#include "ingest/worker.h"
#include "ingest/worker_internal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define BATCH_BYTES (8 * 1024 * 1024)	/* of keys and values */
#define BATCH_MEMORY (16 * 1024 * 1024)
#define POLL_SLICE 100			/* ms */
#define COLLECT_PATIENCE 10		/* ms without a message, after which a worker
								 * is not behind */
#define DISCOVER_INTERVAL 30000 /* ms between looks for new partitions */
#define LAG_INTERVAL 5000		/* ms, the same while behind */

static void connect_to_database(KafkaWorker *worker);
static void note_fatal_error(ErrorData *error);
static void set_session(KafkaWorker *worker);
static void show_name(const char *subscription);
static void on_change(Datum arg, int cacheid, uint32 hashvalue);
static void on_relation_change(Datum arg, Oid relid);
static void run(KafkaWorker *worker);
static void read_definition(KafkaWorker *worker);
static void limit_memory(KafkaClientOptions *client);
static void read_positions(KafkaWorker *worker);
static void start_reading(KafkaWorker *worker);
static void gather(KafkaWorker *worker);
static int	poll(KafkaWorker *worker, int max, int timeout);
static bool is_complete(KafkaWorker *worker);
static long ms_until_due(KafkaWorker *worker);
static void discover(KafkaWorker *worker);
static void reload(KafkaWorker *worker);
static void look_while_asking(void);

static emit_log_hook_type prev_emit_log_hook;

/* the worker's slot, for what ends the process without being caught */
static KafkaWorkerSlot *own_slot;

/* the worker while it asks Kafka something */
static KafkaWorker *asking;

/*
 * kafka_worker_main
 *		The worker's process; arg is the index of its slot.
 */
void
kafka_worker_main(Datum arg)
{
	KafkaWorker worker = {0};
	uint32		generation;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	worker.slot = kafka_slot_attach(DatumGetInt32(arg), generation);
	if (worker.slot == NULL)
		proc_exit(0);
	worker.id = worker.slot->subscription;
	connect_to_database(&worker);
	ereport(LOG,
			(errmsg("worker for Kafka subscription \"%s\" has started",
					NameStr(worker.slot->name))));
	worker.context = AllocSetContextCreate(TopMemoryContext,
										   "kafka worker round",
										   ALLOCSET_DEFAULT_SIZES);
	PG_TRY();
	{
		run(&worker);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		kafka_worker_end_asking();
		MemoryContextSwitchTo(worker.context);
		error = CopyErrorData();
		kafka_slot_set_error(worker.slot, kafka_worker_format_error(error));
		if (worker.outdated || worker.slot->reread)
			kafka_slot_restart(worker.slot);
		if (!worker.slot->wanted)
			kafka_shmem_request_scan(MyDatabaseId);
		PG_RE_THROW();
	}
	PG_END_TRY();
	proc_exit(0);
}

/*
 * Connects as the subscription's owner.
 */
static void
connect_to_database(KafkaWorker *worker)
{
	Datum		self = PointerGetDatum(worker);

	own_slot = worker->slot;
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = note_fatal_error;
	BackgroundWorkerInitializeConnectionByOid(worker->slot->dbid,
											  worker->slot->owner,
											  BGWORKER_BYPASS_ROLELOGINCHECK);
	set_session(worker);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, on_change, self);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_change, self);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, on_change, self);
	CacheRegisterSyscacheCallback(FOREIGNTABLEREL, on_change, self);
	CacheRegisterRelcacheCallback(on_relation_change, self);
}

/*
 * Shows the user what no handler sees, such as that the owner may not log in;
 * but not that somebody has terminated the process.
 */
static void
note_fatal_error(ErrorData *error)
{
	if (error->elevel == FATAL && error->sqlerrcode != ERRCODE_ADMIN_SHUTDOWN)
		kafka_slot_set_error(own_slot, kafka_worker_format_error(error));
	if (prev_emit_log_hook)
		prev_emit_log_hook(error);
}

/*
 * Overrides what the database's and the role's settings say, the role itself
 * among them.
 *
 * A batch that is lost in a crash of the server is read again, so no commit
 * waits for the disk.
 */
static void
set_session(KafkaWorker *worker)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", "pg_catalog, pg_temp"},
		{"synchronous_commit", "off"},
		{"session_replication_role", "origin"},
		{"row_security", "on"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"transaction_timeout", "0"},	/* 17 */
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1],
							PGC_SUSET, PGC_S_OVERRIDE);
	show_name(NameStr(worker->slot->name));
}

static void
show_name(const char *subscription)
{
	SetConfigOption("application_name", subscription, PGC_USERSET,
					PGC_S_OVERRIDE);
}

static void
on_change(Datum arg, int cacheid, uint32 hashvalue)
{
	((KafkaWorker *) DatumGetPointer(arg))->outdated = true;
}

/*
 * Notices that the extension has been dropped or updated.
 */
static void
on_relation_change(Datum arg, Oid relid)
{
	KafkaWorker *worker = (KafkaWorker *) DatumGetPointer(arg);

	if (!OidIsValid(relid) || relid == worker->catalog)
		worker->outdated = true;
}

/*
 * Works until the worker is no longer wanted.
 */
static void
run(KafkaWorker *worker)
{
	for (;;)
	{
		MemoryContextReset(worker->context);
		MemoryContextSwitchTo(worker->context);
		worker->answer = NULL;
		worker->collection = NULL;
		worker->group = NULL;
		worker->group_due = true;
		worker->offsets = NULL;
		worker->outdated = false;
		worker->preparing = true;
		kafka_worker_show_state(worker, KAFKA_WORKER_CONNECTING);
		kafka_worker_do(worker, read_definition);
		if (worker->subscription == NULL)
			kafka_worker_end(worker);
		worker->consumer = kafka_worker_open_consumer(worker,
													  kafka_worker_consumer_options(worker));
		kafka_worker_ask_offsets(worker);
		kafka_worker_do(worker, kafka_worker_settle_positions);
		start_reading(worker);	/* messages come while proofs are read */
		kafka_worker_prove_round(worker);
		while (!worker->outdated)
		{
			gather(worker);
			worker->collecting = kafka_worker_collects(worker,
													   kafka_worker_is_full(worker));
			if (!worker->outdated)
				kafka_worker_apply_batch(worker);
			if (!worker->outdated)
				kafka_worker_adapt_responses(worker);
		}
	}
}

/*
 * Reads the subscription, its source's options and its positions; there is no
 * subscription when it has been dropped or disabled, or is another user's.
 */
static void
read_definition(KafkaWorker *worker)
{
	KafkaSubscription *subscription = NULL;
	Relation	source;

	StartTransactionCommand();
	worker->outdated = false;	/* by what will be read now */
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(worker->context);
	worker->catalog = kafka_catalog_relation();
	if (OidIsValid(worker->catalog))
	{
		kafka_catalog_check_version();
		subscription = kafka_catalog_by_id(worker->id);
	}
	worker->subscription = NULL;
	if (subscription != NULL && subscription->enabled &&
		subscription->owner == GetUserId() &&
		strcmp(subscription->identity, kafka_catalog_identity()) == 0 &&
		worker->slot->number < subscription->workers)
	{
		source = kafka_open_source(subscription->source, subscription->name);
		kafka_check_source(source, subscription->owner);
		worker->options = kafka_options_table(subscription->source,
											  subscription->owner);
		limit_memory(worker->options->client);
		if (strcmp(worker->options->topic, subscription->topic) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("topic of source table \"%s\" has changed from \"%s\" to \"%s\"",
							RelationGetRelationName(source),
							subscription->topic, worker->options->topic),
					 errhint("Drop the subscription and create it again to read another topic.")));
		table_close(source, NoLock);

		worker->subscription = subscription;
		show_name(subscription->name);
		read_positions(worker);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->context);
}

/*
 * Has less fetched ahead than for a scan: a worker has a batch beside it, and all
 * of it is to fit into kafka_fdw.fetch_memory.
 */
static void
limit_memory(KafkaClientOptions *client)
{
	kafka_options_limit(client, "queued.max.messages.kbytes",
						kafka_fetch_memory / 16);
	kafka_options_limit(client, "queued.min.messages", kafka_fetch_memory / 4);
}

/*
 * kafka_worker_open_consumer
 *		Opens a consumer for the round.
 *
 * Whether the owner may use the server's identity is looked up in catalogs, so
 * there is a transaction meanwhile.
 */
KafkaConsumer *
kafka_worker_open_consumer(KafkaWorker *worker,
						   const KafkaClientOptions *options)
{
	KafkaConsumer *consumer;

	StartTransactionCommand();
	MemoryContextSwitchTo(worker->context);
	consumer = kafka_consumer_open(options);
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->context);
	return consumer;
}

/*
 * Reads the positions of this worker's partitions.
 */
static void
read_positions(KafkaWorker *worker)
{
	KafkaPosition *positions;
	int			n = kafka_catalog_positions(worker->subscription, &positions);

	worker->partitions = palloc_array(KafkaWorkerPartition, Max(n, 1));
	worker->npartitions = 0;
	for (int i = 0; i < n; i++)
	{
		KafkaWorkerPartition *partition;

		if (!kafka_worker_owns(worker, positions[i].topic,
							   positions[i].partition))
			continue;
		partition = &worker->partitions[worker->npartitions++];
		partition->topic = positions[i].topic;
		partition->partition = positions[i].partition;
		partition->proof = positions[i].proof;
		partition->asked = false;
		partition->proven = 0;
		partition->topic_proven = 0;
		partition->seen = positions[i].next_offset;
		partition->end = positions[i].next_offset;
	}
}

/*
 * kafka_worker_end
 *		Ends the process; the scan finds out what became of the subscription.
 */
void
kafka_worker_end(KafkaWorker *worker)
{
	kafka_slot_unwant(worker->slot);
	kafka_shmem_request_scan(MyDatabaseId);
	proc_exit(0);
}

/*
 * Starts the consumer at the stored positions.
 */
static void
start_reading(KafkaWorker *worker)
{
	KafkaRange *ranges = palloc_array(KafkaRange, Max(worker->npartitions, 1));

	for (int i = 0; i < worker->npartitions; i++)
	{
		ranges[i].topic = worker->partitions[i].topic;
		ranges[i].partition = worker->partitions[i].partition;
		ranges[i].start = worker->partitions[i].seen;
		ranges[i].end = KAFKA_OFFSET_MAX;
	}
	worker->has_headers = worker->headers;
	kafka_worker_start_consumer(worker, ranges);
	worker->moves = palloc_array(KafkaMove, Max(worker->npartitions, 1));
	worker->moved = palloc_array(int, Max(worker->npartitions, 1));
	worker->ahead = palloc_array(int, Max(worker->npartitions, 1));
	worker->extend_with = palloc_array(bool, Max(worker->npartitions, 1));
	worker->last_write = GetCurrentTimestamp();
}

/*
 * kafka_worker_start_consumer
 *		Has the consumer read from all partitions.
 */
void
kafka_worker_start_consumer(KafkaWorker *worker, const KafkaRange *ranges)
{
	kafka_consumer_want_headers(worker->consumer, worker->has_headers);
	worker->reading_since = GetCurrentTimestamp();
	kafka_consumer_start(worker->consumer, ranges, worker->npartitions);
	kafka_worker_watch_responses(worker);
}

/*
 * Takes messages until a batch is complete.  There is no transaction.
 */
static void
gather(KafkaWorker *worker)
{
	worker->polled = -1;
	for (;;)
	{
		int			count = kafka_consumer_count(worker->consumer);
		int			room = kafka_worker_enough(worker) - count;
		int			timeout = POLL_SLICE;
		TimestampTz start;

		kafka_worker_serve_requests(worker);
		if (worker->outdated || is_complete(worker))
			return;
		discover(worker);
		kafka_worker_report_group(worker);
		kafka_worker_take_ahead(worker);

		kafka_worker_show_state(worker, count == 0 &&
								kafka_worker_at_log_end(worker) ?
								KAFKA_WORKER_IDLE : KAFKA_WORKER_READING);
		if (count > 0)
			timeout = worker->slot->flush ? 0 :
				Min(POLL_SLICE, ms_until_due(worker));
		if (worker->collection != NULL)
			timeout = Min(timeout, COLLECT_PATIENCE);
		start = GetCurrentTimestamp();
		worker->polled = poll(worker, room, timeout);
		kafka_worker_note_poll(worker, start);
		if (worker->polled > 0)
			kafka_worker_show_lag(worker);
		if (count == 0 && worker->polled > 0)
			worker->first_message = GetCurrentTimestamp();
	}
}

/*
 * Takes up to max messages; waits for the first one, at most timeout ms.
 */
static int
poll(KafkaWorker *worker, int max, int timeout)
{
	if (worker->npartitions > 0)
		return kafka_consumer_poll(worker->consumer, max, timeout);
	kafka_wait(PGINVALID_SOCKET, timeout);
	return 0;
}

/*
 * Says whether there is a batch to be written now: a large one, an old one,
 * what was collected while there was more, or all there is when somebody waits
 * for it.
 */
static bool
is_complete(KafkaWorker *worker)
{
	if (kafka_worker_is_full(worker) ||
		kafka_consumer_count(worker->consumer) >= kafka_worker_enough(worker) ||
		(worker->collection != NULL && worker->polled == 0))
		return true;
	if (kafka_consumer_count(worker->consumer) == 0 &&
		!kafka_worker_has_moved(worker))
		return false;
	if (worker->slot->flush && worker->polled == 0)
		return kafka_slot_take_request(worker->slot, &worker->slot->flush);
	return ms_until_due(worker) == 0;
}

/*
 * kafka_worker_is_full
 *		Says whether no more messages are to be added to the batch.
 */
bool
kafka_worker_is_full(KafkaWorker *worker)
{
	return kafka_consumer_count(worker->consumer) >=
		worker->subscription->batch_rows ||
		kafka_consumer_bytes(worker->consumer) >= BATCH_BYTES ||
		kafka_consumer_memory(worker->consumer) >= BATCH_MEMORY;
}

/*
 * Returns after how many ms a batch is old, or a position without messages is
 * to be stored.
 */
static long
ms_until_due(KafkaWorker *worker)
{
	bool		empty = kafka_consumer_count(worker->consumer) == 0;
	TimestampTz since = worker->collection != NULL ? worker->collection->since :
	empty ? worker->last_write : worker->first_message;
	long		elapsed = TimestampDifferenceMilliseconds(since,
														  GetCurrentTimestamp());

	return Max(worker->subscription->batch_interval - elapsed, 0);
}

/*
 * Looks, now and then or when asked, at what Kafka has: for new partitions,
 * which begin a new round, and for the lag.
 */
static void
discover(KafkaWorker *worker)
{
	bool		behind = !kafka_worker_at_log_end(worker);
	int			interval = behind ? LAG_INTERVAL : DISCOVER_INTERVAL;

	if (!kafka_slot_take_request(worker->slot, &worker->slot->discover) &&
		!TimestampDifferenceExceeds(worker->asked, GetCurrentTimestamp(),
									interval))
		return;
	kafka_worker_ask_offsets(worker);
	if (kafka_worker_finds_new(worker))
		worker->outdated = true;
	kafka_worker_do(worker, kafka_worker_check_positions);
	if (!behind)
	{
		kafka_worker_end_prover(worker);
		kafka_worker_forget_responses(worker);
	}
	kafka_worker_show_lag(worker);
}

/*
 * kafka_worker_serve_requests
 *		Does what others have asked for since the last time; ends the process
 *		when that is it.
 */
void
kafka_worker_serve_requests(KafkaWorker *worker)
{
	CHECK_FOR_INTERRUPTS();
	if (worker->slot->stop)
		proc_exit(0);
	if (ConfigReloadPending)
		reload(worker);
	AcceptInvalidationMessages();
	if (kafka_slot_take_request(worker->slot, &worker->slot->reread))
		worker->outdated = true;
}

/*
 * kafka_worker_begin_asking
 *		Keeps looking for requests while Kafka is asked something, which may
 *		take as long as the client's timeout.  There is no transaction.
 */
void
kafka_worker_begin_asking(KafkaWorker *worker)
{
	asking = worker;
	kafka_wait_hook = look_while_asking;
}

void
kafka_worker_end_asking(void)
{
	kafka_wait_hook = NULL;
}

/*
 * Has another process take over with what has changed: this one could only go
 * on when it has its answer.
 */
static void
look_while_asking(void)
{
	kafka_worker_serve_requests(asking);
	if (!asking->outdated)
		return;
	kafka_slot_restart(asking->slot);
	proc_exit(0);
}

/*
 * Reads the configuration files again.  Connections that were made under
 * another list of allowed brokers end with the round.
 */
static void
reload(KafkaWorker *worker)
{
	char	   *allowed = pstrdup(kafka_allowed_brokers);

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (strcmp(allowed, kafka_allowed_brokers) != 0)
	{
		worker->outdated = true;
		kafka_pool_close_all();
	}
	pfree(allowed);
}

void
kafka_worker_show_state(KafkaWorker *worker, KafkaWorkerState state)
{
	if (worker->slot->state == state)
		return;
	kafka_slot_set_state(worker->slot, state);
	set_ps_display(kafka_worker_state_name(state));
	if (state == KAFKA_WORKER_IDLE)
		pgstat_report_activity(STATE_IDLE, NULL);
	else
		pgstat_report_activity(STATE_RUNNING,
							   kafka_worker_state_name(state));
	if (state == KAFKA_WORKER_IDLE)
		kafka_worker_show_lag(worker);
}
