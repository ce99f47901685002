/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  Messages that go with the transaction: delivery "commit".
 *
 * NOTES
 *	  Messages are logged in the order in which they are sent.  Subtransactions
 *	  nest, so rolling one back is cutting the log where it ended when the
 *	  subtransaction logged its first message.
 *
 *	  They go to Kafka in the pre-commit callback, after deferred triggers:
 *	  all in one Kafka transaction a target, committed when every message of
 *	  every target is acknowledged.  A message that is alone needs none to be
 *	  atomic.  Everything that may still fail in PostgreSQL by then should
 *	  fail first, or Kafka has messages of a transaction that never was:
 *
 *	  - our callback is registered when the library is loaded, for those that
 *		were registered first are called last;
 *	  - a serialization failure is looked for before anything is sent;
 *	  - from Kafka's commit to PostgreSQL's no interrupt is served;
 *	  - the commit is synchronous, whatever synchronous_commit says.
 *
 *	  What is left is an error or a crash between the two.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "client/commit.h"
#include "client/message_log.h"
#include "client/producer.h"
#include "client/transaction.h"
#include "compat.h"
#include "cut_point.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

/* Where the log ended when a subtransaction came in. */
typedef struct CommitMark
{
	int			level;			/* nesting level of the subtransaction */
	KafkaLogEnd end;
} CommitMark;

typedef struct CommitTarget
{
	char	   *key;			/* of kafka_transaction_key() */
	KafkaClientOptions *options;
	KafkaProducer *producer;	/* NULL until it has something to send */
} CommitTarget;

/* The transaction's messages; there are none when it is all zero. */
typedef struct CommitState
{
	MemoryContext context;
	KafkaMessageLog *log;
	List	   *targets;		/* of CommitTarget */
	List	   *producers;		/* of KafkaProducer, those of the targets */
	List	   *marks;			/* of CommitMark, outermost first */
	bool		closed;			/* messages are being sent, or have been */
	bool		timing;			/* the statement timeout runs */
	bool		holding;		/* interrupts, until PostgreSQL's commit */
} CommitState;

static CommitState pending;

static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId my_id,
							  SubTransactionId parent_id, void *arg);
static void refuse_late(void);
static void begin_commit(void);
static CommitTarget *find_target(const char *key, int *number);
static void mark_level(void);
static bool is_marked(int level);
static void refuse_prepare(void);
static void send_all(void);
static void start_timeout(void);
static void stop_timeout(void);
static void send_one(void);
static void send_in_transactions(void);
static void push_all(void);
static void open_target(CommitTarget *target, int64 bytes);
static void hold_interrupts(void);
static void close_producers(void);
static void warn_committed(void);
static void forget_all(void);

/*
 * kafka_commit_init
 *		Has the transactions of this process send their messages.
 */
void
kafka_commit_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/*
 * kafka_commit_target
 *		Returns the number of the target with these options, which are copied.
 *
 * When only credentials differ, the last ones count for all messages.
 */
int
kafka_commit_target(const KafkaClientOptions *options)
{
	MemoryContext old;
	CommitTarget *target;
	char	   *key;
	int			number;

	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot send messages to Kafka during a parallel operation")));
	refuse_late();
	begin_commit();
	old = MemoryContextSwitchTo(pending.context);
	key = kafka_transaction_key(options);
	target = find_target(key, &number);
	if (target == NULL)
	{
		target = palloc0(sizeof(CommitTarget));
		target->key = key;
		pending.targets = lappend(pending.targets, target);
	}
	else
		pfree(key);
	if (target->options == NULL ||
		!kafka_options_equal(target->options, options))
		target->options = kafka_options_copy(options);
	MemoryContextSwitchTo(old);
	return number;
}

/*
 * kafka_commit_send
 *		Sends a message, which is copied, when the transaction commits.
 */
void
kafka_commit_send(int target, const KafkaMessage *message)
{
	refuse_late();
	Assert(target < list_length(pending.targets));
	mark_level();
	kafka_log_append(pending.log, target, message);
}

/*
 * Refuses what another extension wants to send when all messages have been
 * sent: it would be lost.
 */
static void
refuse_late(void)
{
	if (pending.closed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot send messages to Kafka while the transaction commits"),
				 errhint("Load kafka_fdw before the extension that sends them, by \"shared_preload_libraries\".")));
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (pending.log != NULL)
				send_all();
			pending.closed = true;
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (pending.log != NULL)
				refuse_prepare();
			pending.closed = true;
			break;
		case XACT_EVENT_COMMIT:
			if (pending.holding)
				RESUME_INTERRUPTS();
			forget_all();
			break;
		case XACT_EVENT_ABORT:
			stop_timeout();
			/* an ERROR has set the count of holds to zero */
			if (pending.holding)
				warn_committed();
			close_producers();
			forget_all();
			break;
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId my_id,
				  SubTransactionId parent_id, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	CommitMark *mark;

	if (pending.marks == NIL ||
		(event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	mark = llast(pending.marks);
	if (mark->level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		kafka_log_truncate(pending.log, mark->end);
	else if (level > 2 && !is_marked(level - 1))
	{
		/* what it has logged is its parent's now */
		mark->level = level - 1;
		return;
	}
	pending.marks = list_delete_last(pending.marks);
}

/*
 * Makes what holds the transaction's messages, if there is none yet.
 */
static void
begin_commit(void)
{
	MemoryContext old;

	if (pending.context != NULL)
		return;
	pending.context = AllocSetContextCreate(TopTransactionContext,
											"kafka_fdw commit",
											ALLOCSET_DEFAULT_SIZES);

	old = MemoryContextSwitchTo(pending.context);
	pending.log = kafka_log_create((Size) kafka_commit_memory * 1024);

	MemoryContextSwitchTo(old);
}

/*
 * Looks for a target; number is what it is, or will be.
 */
static CommitTarget *
find_target(const char *key, int *number)
{
	ListCell   *lc;

	*number = 0;
	foreach(lc, pending.targets)
	{
		CommitTarget *target = lfirst(lc);

		if (strcmp(target->key, key) == 0)
			return target;
		(*number)++;
	}
	return NULL;
}

/*
 * Notes where the log ends, if the current subtransaction has not yet logged
 * anything.
 */
static void
mark_level(void)
{
	int			level = GetCurrentTransactionNestLevel();
	CommitMark *mark;
	MemoryContext old;

	if (level == 1 || is_marked(level))
		return;
	old = MemoryContextSwitchTo(pending.context);
	mark = palloc(sizeof(CommitMark));
	mark->level = level;
	mark->end = kafka_log_end(pending.log);
	pending.marks = lappend(pending.marks, mark);

	MemoryContextSwitchTo(old);
}

/*
 * Says whether a level of subtransactions has a mark: one of the last two.
 */
static bool
is_marked(int level)
{
	int			n = list_length(pending.marks);

	for (int i = n - 1; i >= 0 && i >= n - 2; i--)
		if (((CommitMark *) list_nth(pending.marks, i))->level == level)
			return true;
	return false;
}

static void
refuse_prepare(void)
{
	if (kafka_log_end(pending.log).messages > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has sent messages to Kafka"),
				 errdetail("Kafka cannot keep them for a later COMMIT PREPARED.")));
}

/*
 * Sends what the transaction has for Kafka, and returns when Kafka has
 * committed it.
 */
static void
send_all(void)
{
	int64		messages = kafka_log_end(pending.log).messages;
	MemoryContext old;

	pending.closed = true;

	if (messages == 0)
		return;
	PreCommit_CheckForSerializationFailure();
	/* a crash must not undo what Kafka has been told */
	ForceSyncCommit();

	old = MemoryContextSwitchTo(pending.context);
	start_timeout();
	kafka_log_rewind(pending.log);
	if (messages == 1)
		send_one();
	else
		send_in_transactions();
	kafka_log_close(pending.log);
	stop_timeout();
	MemoryContextSwitchTo(old);
	KAFKA_CUT_POINT("committed");
}

/*
 * Has statement_timeout count anew for the commit: it does not run any more
 * when a transaction commits, because nothing in PostgreSQL takes long there.
 */
static void
start_timeout(void)
{
	if (StatementTimeout <= 0 || get_timeout_active(STATEMENT_TIMEOUT))
		return;
	enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	pending.timing = true;
}

static void
stop_timeout(void)
{
	if (pending.timing)
		disable_timeout(STATEMENT_TIMEOUT, false);
	pending.timing = false;
}

/*
 * Sends a single message, which is atomic by itself.
 */
static void
send_one(void)
{
	KafkaMessage message;
	CommitTarget *target;
	int			number;

	if (!kafka_log_read(pending.log, &number, &message))
		elog(ERROR, "could not read the transaction's message");
	target = list_nth(pending.targets, number);
	kafka_options_set(target->options, "linger.ms", "0");
	target->producer = kafka_producer_open(target->options);
	pending.producers = list_make1(target->producer);
	kafka_producer_be_patient(target->producer);
	kafka_producer_send(target->producer, &message, NULL);
	KAFKA_CUT_POINT("sent");
	kafka_producer_flush(target->producer);
	hold_interrupts();
	close_producers();
}

/*
 * Sends the messages in a Kafka transaction for each target.
 */
static void
send_in_transactions(void)
{
	int64		bytes = kafka_log_end(pending.log).bytes;
	KafkaMessage message;
	ListCell   *lc;
	int			number;

	while (kafka_log_read(pending.log, &number, &message))
	{
		CommitTarget *target = list_nth(pending.targets, number);

		CHECK_FOR_INTERRUPTS();
		if (target->producer == NULL)
			open_target(target, bytes);
		kafka_producer_add(target->producer, &message);
		if (!kafka_log_keeps(pending.log))
			push_all();
	}
	push_all();
	KAFKA_CUT_POINT("sent");
	foreach(lc, pending.producers)
		kafka_producer_flush(lfirst(lc));
	KAFKA_CUT_POINT("flushed");
	foreach(lc, pending.producers)
	{
		kafka_producer_commit(lfirst(lc));
		hold_interrupts();
	}
	close_producers();
}

static void
push_all(void)
{
	ListCell   *lc;

	foreach(lc, pending.producers)
		kafka_producer_push(lfirst(lc));
}

/*
 * Begins the target's Kafka transaction.
 */
static void
open_target(CommitTarget *target, int64 bytes)
{
	KafkaClientOptions *options;

	options = kafka_transaction_options(target->options, bytes);
	target->producer = kafka_producer_begin(options);
	pending.producers = lappend(pending.producers, target->producer);
}

/*
 * Keeps interrupts from ending the transaction between Kafka's commit and
 * PostgreSQL's.
 */
static void
hold_interrupts(void)
{
	if (!pending.holding)
		HOLD_INTERRUPTS();
	pending.holding = true;
}

/*
 * Closes the producers; a transaction that one of them has open is aborted.
 */
static void
close_producers(void)
{
	ListCell   *lc;

	foreach(lc, pending.producers)
		kafka_producer_close(lfirst(lc));
}

/*
 * Tells of messages that Kafka has committed when something else fails.
 */
static void
warn_committed(void)
{
	ereport(WARNING,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("Kafka has committed " INT64_FORMAT " messages of a transaction that failed afterwards",
					kafka_log_end(pending.log).messages)));
}

/*
 * Forgets the transaction's messages; their memory goes with the transaction's.
 */
static void
forget_all(void)
{
	memset(&pending, 0, sizeof(pending));
}
