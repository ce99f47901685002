/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Messages into a table.
 *
 * NOTES
 *	  The COPY machinery asks for one row after the other; a row is decoded in
 *	  its per-row memory context and copied once, into the table's buffer.
 *
 *	  COPY inserts many rows at once, so a constraint may fail for a row that
 *	  was decoded long before the current one.  Only an error about a single
 *	  message is attributed to a message; the worker divides batches until it
 *	  has one.
 *
 *	  Where the subscription's owner may act as the table's owner, triggers,
 *	  defaults and constraints run as the table's owner, as they do for
 *	  logical replication: else whoever owns a table could run code as whoever
 *	  subscribes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "compat.h"
#include "executor/executor.h"
#include "format/format.h"
#include "ingest/apply.h"
#include "ingest/copy_source.h"
#include "ingest/relations.h"
#include "miscadmin.h"
#include "utils/guc.h"

/* The rows of some messages, for kafka_copy_rows(). */
typedef struct MessageRows
{
	const KafkaSubscription *subscription;
	KafkaConsumer *consumer;
	int			next;			/* messages [next, last) are left */
	int			last;
	bool		open;			/* the one before them may have more rows */
	bool	   *decoding;
	int64		rows;			/* returned */

	KafkaRowMap *map;
	bool		direct;			/* source's columns are the target's */
	Datum	   *values;			/* of the source's columns, otherwise */
	bool	   *nulls;
	KafkaColumnMap **columns;
	int			ncolumns;
	ExprContext *econtext;
} MessageRows;

static void begin_rows(MessageRows *rows, const KafkaTableOptions *options,
					   Relation source, const List *columns);
static uint64 copy_as_table_owner(Relation target, const List *attnums,
								  MessageRows *rows);
static bool next_row(void *arg, Datum *values, bool *nulls);
static bool is_direct(const MessageRows *rows, Relation target);
static bool decode_row(MessageRows *rows, Datum *values, bool *nulls);

/*
 * kafka_apply_messages
 *		Inserts the rows of messages [first, last) of the consumer's batch into
 *		the target, and returns how many messages that were.
 *
 * columns is what kafka_map_columns() has returned.  Ends early, between two
 * messages, when it has seen batch_rows rows.  Adds to *rows what was stored.
 * *decoding is true while a message is decoded; an error then says itself which
 * one it is about.  The relations are locked and checked, and a snapshot is
 * active.
 */
int
kafka_apply_messages(const KafkaSubscription *subscription,
					 const KafkaTableOptions *options,
					 Relation source, Relation target,
					 const List *columns,
					 KafkaConsumer *consumer, int first, int last,
					 int64 *rows, bool *decoding)
{
	MessageRows state = {
		.subscription = subscription,
		.consumer = consumer,
		.last = last,
		.next = first,
		.decoding = decoding
	};
	List	   *attnums = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		attnums = lappend_int(attnums,
							  ((KafkaColumnMap *) lfirst(lc))->target);
	begin_rows(&state, options, source, columns);
	state.direct = is_direct(&state, target);

	*rows += copy_as_table_owner(target, attnums, &state);
	FreeExprContext(state.econtext, true);
	return state.next - first;
}

static void
begin_rows(MessageRows *rows, const KafkaTableOptions *options,
		   Relation source, const List *columns)
{
	Bitmapset  *needed = NULL;
	ListCell   *lc;

	rows->columns = palloc(sizeof(KafkaColumnMap *) * list_length(columns));
	foreach(lc, columns)
	{
		KafkaColumnMap *column = lfirst(lc);

		rows->columns[rows->ncolumns++] = column;
		needed = bms_add_member(needed, column->source -
								FirstLowInvalidHeapAttributeNumber);
	}
	rows->map = kafka_rowmap_create(source, options, needed);
	kafka_consumer_want_headers(rows->consumer, rows->map->needs_headers);
	rows->values = palloc0(sizeof(Datum) * rows->map->natts);
	rows->nulls = palloc0(sizeof(bool) * rows->map->natts);
	rows->econtext = CreateStandaloneExprContext();
}

/*
 * Says whether every column has the same place and type in source and target,
 * so that a row can be decoded where it is wanted.
 */
static bool
is_direct(const MessageRows *rows, Relation target)
{
	if (rows->map->natts > RelationGetDescr(target)->natts)
		return false;
	for (int i = 0; i < rows->ncolumns; i++)
		if (rows->columns[i]->coercion != NULL ||
			rows->columns[i]->source != rows->columns[i]->target)
			return false;
	return true;
}

static uint64
copy_as_table_owner(Relation target, const List *attnums, MessageRows *rows)
{
	Oid			owner = target->rd_rel->relowner;
	Oid			userid;
	int			sec_context;
	int			nestlevel;
	uint64		stored;

	GetUserIdAndSecContext(&userid, &sec_context);
	if (userid == owner || !kafka_compat_can_set_role(userid, owner))
		return kafka_copy_rows(target, attnums, next_row, rows);

	SetUserIdAndSecContext(owner, sec_context | SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	stored = kafka_copy_rows(target, attnums, next_row, rows);
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, sec_context);
	return stored;
}

/*
 * Fills the target's columns of the next row.
 */
static bool
next_row(void *arg, Datum *values, bool *nulls)
{
	MessageRows *rows = arg;

	if (!decode_row(rows, rows->direct ? values : rows->values,
					rows->direct ? nulls : rows->nulls))
		return false;
	rows->rows++;
	if (rows->direct)
		return true;
	for (int i = 0; i < rows->ncolumns; i++)
	{
		KafkaColumnMap *column = rows->columns[i];
		Datum		value = rows->values[column->source - 1];
		bool		isnull = rows->nulls[column->source - 1];

		if (column->coercion != NULL)
		{
			rows->econtext->caseValue_datum = value;
			rows->econtext->caseValue_isNull = isnull;
			value = ExecEvalExpr(column->coercion, rows->econtext, &isnull);
		}
		values[column->target - 1] = value;
		nulls[column->target - 1] = isnull;
	}
	return true;
}

/*
 * Fills the source's columns of the next row, in the current memory context.
 */
static bool
decode_row(MessageRows *rows, Datum *values, bool *nulls)
{
	bool		found = false;

	*rows->decoding = true;
	for (;;)
	{
		if (rows->open)
			found = kafka_rowmap_next(rows->map, values, nulls);
		rows->open = found;
		if (found || rows->next == rows->last ||
			rows->rows >= rows->subscription->batch_rows)
			break;
		kafka_rowmap_start(rows->map,
						   kafka_consumer_message(rows->consumer, rows->next));
		rows->next++;
		rows->open = true;
	}
	*rows->decoding = false;
	return found;
}
