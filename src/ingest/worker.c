/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The process that keeps one subscription's target up to date.
 *
 * NOTES
 *	  A round begins with the subscription's definition and positions and with
 *	  a consumer that starts there; it ends when the definition or an option
 *	  of the source has changed.  In a round, batches are gathered from Kafka
 *	  with no transaction, snapshot or lock, and written in one transaction
 *	  each, together with the positions that follow them.
 *
 *	  A position is only moved from where this worker has seen it last.  So a
 *	  second worker, or one that was forgotten, can never write what has been
 *	  written; and whatever ends a worker at whatever moment, the next one
 *	  continues after the last committed batch.
 *
 *	  Errors.  When a batch fails, its first half is tried alone, and so on,
 *	  until the rows before the failing message are stored and the message is
 *	  found.  Then, or when the definition itself is at fault, the
 *	  subscription is disabled and keeps the error.  What a later try may cure
 *	  (Kafka, a deadlock, a full disk) ends the process instead; the launcher
 *	  starts it again, later and later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "client/consumer.h"
#include "compat.h"
#include "ingest/apply.h"
#include "ingest/catalog.h"
#include "ingest/relations.h"
#include "ingest/shmem.h"
#include "ingest/worker.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define BATCH_BYTES (8 * 1024 * 1024)
#define POLL_SLICE 100			/* ms */
#define LOCK_SLICE "500ms"		/* below deadlock_timeout's default: who waits
								 * for us gets the lock, not an error */
#define DISCOVER_INTERVAL 30000 /* ms between looks for new partitions */
#define LAG_INTERVAL 5000		/* ms, the same while behind */

/* What is known of a partition. */
typedef struct WorkerPartition
{
	int32		partition;
	int64		seen;			/* stored position */
	int64		end;			/* of the log, when last asked */
} WorkerPartition;

typedef struct Worker
{
	/* for the life of the process */
	KafkaWorkerSlot *slot;
	int32		id;				/* of the subscription */
	MemoryContext context;		/* of a round */

	/* for a round */
	KafkaSubscription *subscription;
	KafkaTableOptions *options;
	KafkaConsumer *consumer;
	WorkerPartition *partitions;	/* ordered by partition */
	int			npartitions;
	KafkaPartitionOffsets *offsets; /* what Kafka has */
	int			noffsets;
	KafkaMove  *moves;			/* room for all partitions */
	TimestampTz asked;			/* for the offsets */

	/* for a batch */
	TimestampTz first_message;	/* when the first one was taken */
	TimestampTz last_write;
	int			polled;			/* messages of the last poll */

	/* for a transaction */
	int			first;			/* messages [first, last) of the batch */
	int			last;
	int			nmoves;
	int64		rows;
	bool		preparing;		/* does not look at messages yet */
	bool		decoding;		/* looks at a single one */
	bool		written;		/* neither outdated nor failed */
} Worker;

/* the definition may have changed */
static bool outdated;
static Oid	catalog;			/* OID of kafka.subscription */

static void connect_to_database(Worker *worker);
static void set_session(Worker *worker);
static void on_change(Datum arg, int cacheid, uint32 hashvalue);
static void on_relation_change(Datum arg, Oid relid);
static void run(Worker *worker);
static void read_definition(Worker *worker);
static void end_unwanted(Worker *worker);
static void ask_offsets(Worker *worker);
static void settle_positions(Worker *worker);
static void add_new_partitions(Worker *worker);
static void check_position(Worker *worker, const WorkerPartition *partition);
static void start_reading(Worker *worker);
static void serve_requests(Worker *worker);
static void gather(Worker *worker);
static bool is_complete(Worker *worker);
static void discover(Worker *worker);
static bool has_moved(Worker *worker);
static void apply_batch(Worker *worker);
static bool apply_range(Worker *worker, int first, int last);
static void write_range(Worker *worker);
static void add_error_context(void *arg);
static bool lock_definition(Worker *worker);
static void move_positions(Worker *worker);
static void note_message(Worker *worker, const KafkaMessage *message);
static void note_commit(Worker *worker);
static int64 range_bytes(Worker *worker);
static TimestampTz message_time(const KafkaMessage *message);
static void show_state(Worker *worker, KafkaWorkerState state);
static void show_lag(Worker *worker);
static int64 get_lag(Worker *worker);
static bool at_log_end(Worker *worker);
static ErrorData *try_step(Worker *worker, void (*step) (Worker *worker));
static void do_or_stop(Worker *worker, void (*step) (Worker *worker));
static bool is_transient(const ErrorData *error);
static void stop_with_error(Worker *worker, ErrorData *error);
static void report_error(ErrorData *error);
static void remove_copy_context(ErrorData *error);
static char *format_error(const ErrorData *error);

/*
 * kafka_worker_main
 *		The worker's process; arg is the index of its slot.
 */
void
kafka_worker_main(Datum arg)
{
	Worker		worker = {0};
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

		MemoryContextSwitchTo(worker.context);
		error = CopyErrorData();
		kafka_slot_set_error(worker.slot, format_error(error));
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
connect_to_database(Worker *worker)
{
	BackgroundWorkerInitializeConnectionByOid(worker->slot->dbid,
											  worker->slot->owner,
											  BGWORKER_BYPASS_ROLELOGINCHECK);
	set_session(worker);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, on_change, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, on_change, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNTABLEREL, on_change, (Datum) 0);
	CacheRegisterRelcacheCallback(on_relation_change,
								  PointerGetDatum(worker));
}

/*
 * Overrides what the database's and the role's settings say.
 *
 * A batch that is lost in a crash of the server is read again, so no commit
 * waits for the disk.
 */
static void
set_session(Worker *worker)
{
	static const char *const settings[][2] = {
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
	SetConfigOption("application_name", NameStr(worker->slot->name),
					PGC_USERSET, PGC_S_OVERRIDE);
}

static void
on_change(Datum arg, int cacheid, uint32 hashvalue)
{
	outdated = true;
}

/*
 * Notices that the extension has been dropped or updated.
 */
static void
on_relation_change(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == catalog)
		outdated = true;
}

/*
 * Works until the worker is no longer wanted.
 */
static void
run(Worker *worker)
{
	for (;;)
	{
		MemoryContextReset(worker->context);
		MemoryContextSwitchTo(worker->context);
		worker->offsets = NULL;
		outdated = false;
		show_state(worker, KAFKA_WORKER_CONNECTING);
		do_or_stop(worker, read_definition);
		if (worker->subscription == NULL)
			end_unwanted(worker);
		worker->consumer = kafka_consumer_open(worker->options->client);
		ask_offsets(worker);
		do_or_stop(worker, settle_positions);
		start_reading(worker);
		while (!outdated)
		{
			gather(worker);
			if (!outdated)
				apply_batch(worker);
		}
	}
}

/*
 * Reads the subscription, its source's options and its positions; there is no
 * subscription when it has been dropped or disabled, or is another user's.
 */
static void
read_definition(Worker *worker)
{
	KafkaSubscription *subscription = NULL;
	KafkaPosition *positions;
	Relation	source;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(worker->context);
	catalog = kafka_catalog_relation();
	if (OidIsValid(catalog))
		subscription = kafka_catalog_by_id(worker->id);
	worker->subscription = NULL;
	if (subscription != NULL && subscription->enabled &&
		subscription->owner == GetUserId())
	{
		source = kafka_open_source(subscription->source, subscription->name);
		kafka_check_source(source, subscription->owner);
		worker->options = kafka_options_table(subscription->source,
											  subscription->owner);
		if (strcmp(worker->options->topic, subscription->topic) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("topic of source table \"%s\" has changed from \"%s\" to \"%s\"",
							RelationGetRelationName(source),
							subscription->topic, worker->options->topic),
					 errhint("Drop the subscription and create it again to read another topic.")));
		table_close(source, NoLock);

		worker->npartitions = kafka_catalog_positions(subscription, &positions);
		worker->partitions = palloc_array(WorkerPartition, worker->npartitions);
		for (int i = 0; i < worker->npartitions; i++)
		{
			worker->partitions[i].partition = positions[i].partition;
			worker->partitions[i].seen = positions[i].next_offset;
			worker->partitions[i].end = positions[i].next_offset;
		}
		worker->subscription = subscription;
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->context);
}

/*
 * Ends the process; the scan finds out what became of the subscription.
 */
static void
end_unwanted(Worker *worker)
{
	kafka_slot_unwant(worker->slot);
	kafka_shmem_request_scan(MyDatabaseId);
	proc_exit(0);
}

/*
 * Asks Kafka for the partitions and what they hold.
 */
static void
ask_offsets(Worker *worker)
{
	if (worker->offsets != NULL)
		pfree(worker->offsets);
	worker->offsets = NULL;
	worker->noffsets = kafka_consumer_offsets(worker->consumer,
											  worker->subscription->topic,
											  &worker->offsets);
	worker->asked = GetCurrentTimestamp();
	for (int i = 0; i < worker->npartitions; i++)
	{
		WorkerPartition *partition = &worker->partitions[i];

		for (int j = 0; j < worker->noffsets; j++)
			if (worker->offsets[j].partition == partition->partition)
				partition->end = worker->offsets[j].end;
	}
}

/*
 * Makes positions and partitions agree: new partitions get a position, at
 * their first offset; a position without its partition, or outside of what
 * the partition holds, is an ERROR.
 */
static void
settle_positions(Worker *worker)
{
	for (int i = 0; i < worker->npartitions; i++)
		check_position(worker, &worker->partitions[i]);
	if (worker->noffsets > worker->npartitions)
		add_new_partitions(worker);
}

static void
add_new_partitions(Worker *worker)
{
	WorkerPartition *partitions = palloc_array(WorkerPartition,
											   worker->noffsets);
	int			known = 0;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_catalog_lock(worker->id, AccessShareLock);
	for (int i = 0; i < worker->noffsets; i++)
	{
		KafkaPartitionOffsets *offsets = &worker->offsets[i];
		KafkaPosition position = {offsets->partition, 0};

		if (known < worker->npartitions &&
			worker->partitions[known].partition == offsets->partition)
			partitions[i] = worker->partitions[known++];
		else
		{
			kafka_catalog_add_position(worker->subscription, &position);
			partitions[i].partition = offsets->partition;
			partitions[i].seen = 0;
			partitions[i].end = offsets->end;
			check_position(worker, &partitions[i]);
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->context);
	worker->partitions = partitions;
	worker->npartitions = worker->noffsets;
}

/*
 * Raises an ERROR unless the partition holds the position.
 */
static void
check_position(Worker *worker, const WorkerPartition *partition)
{
	const char *topic = worker->subscription->topic;

	for (int i = 0; i < worker->noffsets; i++)
	{
		KafkaPartitionOffsets *offsets = &worker->offsets[i];

		if (offsets->partition != partition->partition)
			continue;
		if (partition->seen < offsets->low)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("messages of partition %d of topic \"%s\" have been deleted before they were read",
							partition->partition, topic),
					 errdetail("The position is offset " INT64_FORMAT ", the earliest message has offset " INT64_FORMAT ".",
							   partition->seen, offsets->low)));
		if (partition->seen > offsets->end)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("partition %d of topic \"%s\" ends before its position",
							partition->partition, topic),
					 errdetail("The position is offset " INT64_FORMAT ", the partition ends at offset " INT64_FORMAT ".",
							   partition->seen, offsets->end),
					 errhint("The topic has been recreated, or has lost messages.")));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("topic \"%s\" has no partition %d any more",
					topic, partition->partition),
			 errhint("The topic has been recreated with fewer partitions.")));
}

/*
 * Starts the consumer at the stored positions.
 */
static void
start_reading(Worker *worker)
{
	KafkaRange *ranges = palloc_array(KafkaRange, worker->npartitions);

	for (int i = 0; i < worker->npartitions; i++)
	{
		ranges[i].partition = worker->partitions[i].partition;
		ranges[i].start = worker->partitions[i].seen;
		ranges[i].end = KAFKA_OFFSET_MAX;
	}
	kafka_consumer_start(worker->consumer, worker->subscription->topic,
						 ranges, worker->npartitions);
	worker->moves = palloc_array(KafkaMove, worker->npartitions);
	worker->last_write = GetCurrentTimestamp();
}

/*
 * Takes messages until a batch is complete.  There is no transaction.
 */
static void
gather(Worker *worker)
{
	int			interval = worker->subscription->batch_interval;

	worker->polled = -1;
	for (;;)
	{
		int			room;
		int			timeout = POLL_SLICE;
		bool		empty = kafka_consumer_count(worker->consumer) == 0;

		serve_requests(worker);
		if (outdated || is_complete(worker))
			return;
		discover(worker);

		show_state(worker, empty && at_log_end(worker) ?
				   KAFKA_WORKER_IDLE : KAFKA_WORKER_READING);
		if (!empty)
			timeout = worker->slot->flush ? 0 : Min(POLL_SLICE, interval);
		room = worker->subscription->batch_rows -
			kafka_consumer_count(worker->consumer);
		worker->polled = kafka_consumer_poll(worker->consumer, room, timeout);
		if (worker->polled > 0)
			show_lag(worker);
		if (empty && worker->polled > 0)
			worker->first_message = GetCurrentTimestamp();
	}
}

/*
 * Does what others have asked for since the last time; ends the process when
 * that is it.
 */
static void
serve_requests(Worker *worker)
{
	CHECK_FOR_INTERRUPTS();
	if (worker->slot->stop)
		proc_exit(0);
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	AcceptInvalidationMessages();
	if (kafka_slot_take_request(worker->slot, &worker->slot->reread))
		outdated = true;
}

/*
 * Says whether there is a batch to be written now: a full one, an old one, or
 * all there is when somebody waits for it.
 */
static bool
is_complete(Worker *worker)
{
	int			interval = worker->subscription->batch_interval;
	int			count = kafka_consumer_count(worker->consumer);
	TimestampTz since;

	if (count >= worker->subscription->batch_rows ||
		kafka_consumer_bytes(worker->consumer) >= BATCH_BYTES)
		return true;
	if (count == 0 && !has_moved(worker))
		return false;
	if (worker->slot->flush && worker->polled == 0)
		return kafka_slot_take_request(worker->slot, &worker->slot->flush);

	since = count > 0 ? worker->first_message : worker->last_write;
	return TimestampDifferenceExceeds(since, GetCurrentTimestamp(), interval);
}

/*
 * Looks, now and then or when asked, at what Kafka has: for new partitions,
 * which begin a new round, and for the lag.
 */
static void
discover(Worker *worker)
{
	int			interval = at_log_end(worker) ? DISCOVER_INTERVAL :
	LAG_INTERVAL;

	if (!kafka_slot_take_request(worker->slot, &worker->slot->discover) &&
		!TimestampDifferenceExceeds(worker->asked, GetCurrentTimestamp(),
									interval))
		return;
	ask_offsets(worker);
	if (worker->noffsets != worker->npartitions)
		outdated = true;
	show_lag(worker);
}

/*
 * Says whether the consumer is past a stored position.
 */
static bool
has_moved(Worker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
		if (positions[i].position != worker->partitions[i].seen)
			return true;
	return false;
}

/*
 * Writes the batch, whole, or else as much of it as can be written before the
 * subscription is stopped by the message that cannot.
 */
static void
apply_batch(Worker *worker)
{
	int			count = kafka_consumer_count(worker->consumer);
	int			first = 0;
	int			bad = 0;		/* [first, bad) fails as a whole */

	do
	{
		int			last = bad > first + 1 ? (first + bad) / 2 :
		bad > first ? bad : count;

		if (apply_range(worker, first, last))
			first = worker->last;
		else
			bad = last;
		if (outdated)
			return;
	} while (first < count);
	kafka_consumer_release(worker->consumer);
}

/*
 * Writes messages [first, last), or fewer (worker->last says how many); false
 * when they must be divided.  Ends the process when it fails otherwise.
 */
static bool
apply_range(Worker *worker, int first, int last)
{
	ErrorData  *error;

	for (;;)
	{
		worker->first = first;
		worker->last = last;
		error = try_step(worker, write_range);
		if (error == NULL || !worker->preparing ||
			error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			break;
		show_state(worker, KAFKA_WORKER_LOCKED);
		serve_requests(worker);
		FreeErrorData(error);
	}
	if (error == NULL)
	{
		if (worker->written)
			note_commit(worker);
		return true;
	}
	if (is_transient(error))
		ReThrowError(error);
	if (worker->preparing || last - first <= 1)
		stop_with_error(worker, error);
	FreeErrorData(error);
	return false;
}

/*
 * One transaction: rows of messages [worker->first, worker->last), and the
 * positions after them.  Writes nothing when the definition is outdated.
 */
static void
write_range(Worker *worker)
{
	KafkaSubscription *subscription = worker->subscription;
	Relation	source;
	Relation	target;
	List	   *columns;
	ErrorContextCallback callback = {
		.callback = add_error_context,
		.arg = worker,
		.previous = error_context_stack
	};

	error_context_stack = &callback;
	worker->preparing = true;
	worker->decoding = false;
	worker->written = false;
	worker->rows = 0;
	worker->nmoves = 0;
	StartTransactionCommand();
	SetConfigOption("lock_timeout", LOCK_SLICE, PGC_SUSET, PGC_S_OVERRIDE);
	if (!lock_definition(worker))
	{
		CommitTransactionCommand();
		error_context_stack = callback.previous;
		return;
	}
	source = kafka_open_source(subscription->source, subscription->name);
	target = kafka_open_target(subscription->target, subscription->name);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);

	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_check_source(source, subscription->owner);
	columns = kafka_map_columns(source, target);
	kafka_check_target(target, subscription->owner, columns);
	worker->preparing = false;
	show_state(worker, KAFKA_WORKER_APPLYING);
	if (!outdated)
	{
		if (worker->first < worker->last)
			worker->last = worker->first +
				kafka_apply_messages(subscription, worker->options,
									 source, target, columns,
									 worker->consumer, worker->first,
									 worker->last, &worker->rows,
									 &worker->decoding);
		move_positions(worker);
		worker->written = true;
	}
	table_close(target, NoLock);
	table_close(source, NoLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
	error_context_stack = callback.previous;
	pgstat_report_stat(false);
}

/*
 * Says which subscription, and which messages, an error is about.
 *
 * Of more than one message it is one, and will be tried alone.
 */
static void
add_error_context(void *arg)
{
	Worker	   *worker = arg;
	const KafkaMessage *message;

	if (!worker->preparing && !worker->decoding &&
		worker->last - worker->first == 1)
	{
		message = kafka_consumer_message(worker->consumer, worker->first);
		errcontext("topic \"%s\", partition %d, offset " INT64_FORMAT,
				   message->topic, message->partition, message->offset);
	}
	errcontext("subscription \"%s\"", worker->subscription->name);
}

/*
 * Locks the subscription and says whether it is as this round knows it.
 *
 * What may change within a round is taken over.
 */
static bool
lock_definition(Worker *worker)
{
	KafkaSubscription *known = worker->subscription;
	KafkaSubscription *now = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(kafka_catalog_relation()))
	{
		kafka_catalog_lock(worker->id, AccessShareLock);
		now = kafka_catalog_by_id(worker->id);
	}
	PopActiveSnapshot();
	if (now == NULL || !now->enabled || now->owner != known->owner ||
		now->source != known->source || strcmp(now->topic, known->topic) != 0)
		outdated = true;
	if (outdated)
		return false;
	known->target = now->target;
	known->batch_rows = now->batch_rows;
	known->batch_interval = now->batch_interval;
	return true;
}

/*
 * Moves the stored positions past the messages before worker->last, and, at
 * the end of the batch, past the gaps and markers that follow them.
 *
 * Raises an ERROR when a position is not where this worker has left it.
 */
static void
move_positions(Worker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);
	bool		whole = worker->last == kafka_consumer_count(worker->consumer);

	for (int i = 0; i < n; i++)
	{
		worker->moves[i].partition = positions[i].partition;
		worker->moves[i].seen = worker->partitions[i].seen;
		worker->moves[i].next = whole ? positions[i].position :
			worker->partitions[i].seen;
	}
	for (int i = worker->first; i < worker->last && !whole; i++)
		note_message(worker, kafka_consumer_message(worker->consumer, i));

	for (int i = 0; i < n; i++)
		if (worker->moves[i].next != worker->moves[i].seen)
			worker->moves[worker->nmoves++] = worker->moves[i];
	if (worker->nmoves > 0 &&
		!kafka_catalog_move(worker->subscription, worker->moves,
							worker->nmoves))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("positions of subscription \"%s\" have been moved by another session",
						worker->subscription->name)));
}

static void
note_message(Worker *worker, const KafkaMessage *message)
{
	for (int i = 0; i < worker->npartitions; i++)
		if (worker->moves[i].partition == message->partition)
		{
			worker->moves[i].next = message->offset + 1;
			return;
		}
}

/*
 * Takes over the positions of the transaction that has committed, counts what
 * it wrote, and wakes who waits for it.
 */
static void
note_commit(Worker *worker)
{
	KafkaWorkerStats *stats = &worker->slot->stats;
	int			count = worker->last - worker->first;
	int64		bytes = count > 0 ? range_bytes(worker) : 0;
	TimestampTz newest = count > 0 ?
	message_time(kafka_consumer_message(worker->consumer,
										worker->last - 1)) : 0;

	for (int m = 0, i = 0; m < worker->nmoves; i++)
		if (worker->partitions[i].partition == worker->moves[m].partition)
			worker->partitions[i].seen = worker->moves[m++].next;
	worker->last_write = GetCurrentTimestamp();

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	stats->messages += count;
	stats->rows += worker->rows;
	stats->bytes += bytes;
	stats->batches += count > 0 ? 1 : 0;
	stats->last_commit = worker->last_write;
	if (newest != 0)
		stats->last_message = newest;
	stats->last_error[0] = '\0';
	worker->slot->failures = 0;
	LWLockRelease(kafka_shared->lock);
	show_lag(worker);
	kafka_slot_wake_waiters(worker->slot);
}

/*
 * Returns the bytes of keys and values of the messages just written.
 */
static int64
range_bytes(Worker *worker)
{
	int64		bytes = 0;

	if (worker->first == 0 &&
		worker->last == kafka_consumer_count(worker->consumer))
		return kafka_consumer_bytes(worker->consumer);
	for (int i = worker->first; i < worker->last; i++)
	{
		const KafkaMessage *message =
		kafka_consumer_message(worker->consumer, i);

		bytes += message->key_len + message->value_len;
	}
	return bytes;
}

/*
 * Returns a message's timestamp, or 0 when it has none that PostgreSQL can
 * hold.
 */
static TimestampTz
message_time(const KafkaMessage *message)
{
	int64		epoch_diff = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
	SECS_PER_DAY * INT64CONST(1000);
	TimestampTz time;

	if (message->timestamp < 0 ||
		message->timestamp > (END_TIMESTAMP - 1) / 1000)
		return 0;
	time = (message->timestamp - epoch_diff) * 1000;
	return IS_VALID_TIMESTAMP(time) ? time : 0;
}

static void
show_state(Worker *worker, KafkaWorkerState state)
{
	if (worker->slot->state == state)
		return;
	kafka_slot_set_state(worker->slot, state);
	if (state == KAFKA_WORKER_IDLE)
		pgstat_report_activity(STATE_IDLE, NULL);
	else
		pgstat_report_activity(STATE_RUNNING,
							   kafka_worker_state_name(state));
	if (state == KAFKA_WORKER_IDLE)
		show_lag(worker);
}

static void
show_lag(Worker *worker)
{
	int64		lag = get_lag(worker);

	LWLockAcquire(kafka_shared->lock, LW_EXCLUSIVE);
	worker->slot->stats.lag = lag;
	worker->slot->stats.partitions = worker->npartitions;
	LWLockRelease(kafka_shared->lock);
}

/*
 * Returns how many offsets lie between the stored positions and the ends of
 * the partitions, as far as they are known.
 */
static int64
get_lag(Worker *worker)
{
	int			n;
	int64		lag = 0;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
	{
		int64		end = positions[i].position;

		if (!positions[i].at_log_end)
			end = Max(end, worker->partitions[i].end);
		lag += end - worker->partitions[i].seen;
	}
	return lag;
}

/*
 * Says whether all that Kafka had, when last seen, has been taken.
 */
static bool
at_log_end(Worker *worker)
{
	int			n;
	const KafkaPartitionPosition *positions =
	kafka_consumer_positions(worker->consumer, &n);

	for (int i = 0; i < n; i++)
		if (!positions[i].at_log_end)
			return false;
	return true;
}

/*
 * Runs a step outside of any transaction, and returns the error that it
 * raises, or NULL.  Afterwards there is no transaction in either case.
 */
static ErrorData *
try_step(Worker *worker, void (*step) (Worker *worker))
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		step(worker);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(worker->context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(worker->context);
	if (error != NULL)
		remove_copy_context(error);
	return error;
}

/*
 * Runs a step whose errors, unless a later try may cure them, stop the
 * subscription.
 */
static void
do_or_stop(Worker *worker, void (*step) (Worker *worker))
{
	ErrorData  *error = try_step(worker, step);

	if (error == NULL)
		return;
	if (is_transient(error))
		ReThrowError(error);
	stop_with_error(worker, error);
}

/*
 * Says whether the same may succeed later with nothing mended here.
 */
static bool
is_transient(const ErrorData *error)
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
			return false;
	}
}

/*
 * Disables the subscription, keeps the error for the user, and ends the
 * process.
 *
 * The slot is given up before the commit, for a user who sees the subscription
 * disabled may enable it at once, and the scan that follows must come last.
 */
static void
stop_with_error(Worker *worker, ErrorData *error)
{
	KafkaSubscription *subscription;
	char	   *text = format_error(error);

	report_error(error);
	kafka_slot_set_error(worker->slot, text);
	kafka_slot_unwant(worker->slot);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	kafka_catalog_lock(worker->id, AccessExclusiveLock);
	subscription = kafka_catalog_by_id(worker->id);
	if (subscription != NULL && subscription->enabled)
	{
		kafka_catalog_set_enabled(subscription, false);
		kafka_catalog_set_error(subscription, text);
		ereport(LOG,
				(errmsg("subscription \"%s\" has been disabled because of an error",
						subscription->name),
				 errhint("Use kafka.enable_subscription() once its cause is mended.")));
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	end_unwanted(worker);
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
 * Removes what COPY says of itself from the error's context: there is no COPY
 * command, and its line numbers count rows of a batch.
 */
static void
remove_copy_context(ErrorData *error)
{
	char	   *from = error->context;
	char	   *to = error->context;

	while (from != NULL && *from != '\0')
	{
		size_t		len = strcspn(from, "\n");

		len += from[len] == '\n' ? 1 : 0;
		if (strncmp(from, "COPY ", 5) != 0)
		{
			memmove(to, from, len);
			to += len;
		}
		from += len;
	}
	if (to != NULL)
		*to = '\0';
}

/*
 * Returns an error as text: message, SQLSTATE, detail and context.
 */
static char *
format_error(const ErrorData *error)
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
