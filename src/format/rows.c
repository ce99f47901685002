/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows decoded ahead, so that errors can be caught: for the option
 *	  on_error other than error.
 *
 * NOTES
 *	  An error can be caught only where a subtransaction can be rolled back,
 *	  and none may be open while the executor works with a row.  So the rows
 *	  of some messages are decoded within one subtransaction, and kept.
 *
 *	  An error ends that subtransaction at the message that it is about.  With
 *	  skip the message is passed by.  With null its rows are decoded again,
 *	  each in a subtransaction, and again without each column that fails.
 *
 *	  Only errors about data are caught: classes 22 and 23, limits (54), what
 *	  PL/pgSQL raises (P0); of types that are built in also what they say of
 *	  texts with a syntax or names of objects (0A, 42); of others syntax
 *	  errors, and internal errors, since some know no other error.  A NULL that
 *	  a column does not allow remains an error with null.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "format/format.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

typedef void (*RowsWork) (KafkaRows *rows);

static ErrorData *try(KafkaRows *rows, RowsWork work);
static bool is_about_data(const KafkaRowMap *map, const ErrorData *error);
static bool is_built_in(const KafkaColumn *column);
static void decode_messages(KafkaRows *rows);
static void start_message(KafkaRows *rows);
static void decode_row(KafkaRows *rows);
static void make_room(KafkaRows *rows);
static void skip_message(KafkaRows *rows, const ErrorData *error);
static void fail_message(KafkaRows *rows, ErrorData *error);
static ErrorData *decode_with_nulls(KafkaRows *rows);
static ErrorData *decode_row_with_nulls(KafkaRows *rows, ErrorData *error);
static bool give_up(KafkaRowMap *map, KafkaColumn *column,
					const ErrorData *error);
static void add_error(KafkaRowMap *map, const KafkaColumn *column,
					  const ErrorData *error);
static const char *error_text(const ErrorData *error);

/*
 * Makes an empty set of rows in the current memory context.
 */
KafkaRows *
kafka_rows_create(KafkaRowMap *map)
{
	KafkaRows  *rows = palloc0(sizeof(KafkaRows));

	rows->map = map;
	rows->owner = CurrentMemoryContext;
	rows->context = AllocSetContextCreate(CurrentMemoryContext,
										  "kafka rows",
										  ALLOCSET_DEFAULT_SIZES);
	return rows;
}

/*
 * Forgets all rows.
 */
void
kafka_rows_clear(KafkaRows *rows)
{
	MemoryContextReset(rows->context);
	rows->nrows = 0;
	rows->next = 0;
	rows->allocated = 0;
	rows->values = NULL;
	rows->nulls = NULL;
	rows->origins = NULL;
}

/*
 * Decodes messages in place of those before them.
 */
void
kafka_rows_decode(KafkaRows *rows, const KafkaMessage **messages, int n)
{
	MemoryContext old;

	kafka_rows_clear(rows);
	old = MemoryContextSwitchTo(rows->context);
	rows->messages = messages;
	rows->nmessages = n;
	rows->message = 0;
	while (rows->message < n)
	{
		ErrorData  *error = try(rows, decode_messages);

		if (error == NULL)
			break;
		rows->nrows = rows->before;
		if (rows->map->on_error == KAFKA_ON_ERROR_NULL)
			error = decode_with_nulls(rows);
		if (error != NULL)
			fail_message(rows, error);
		rows->message++;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Hands out the next row; its values are there until others are decoded.
 */
bool
kafka_rows_next(KafkaRows *rows, Datum *values, bool *nulls)
{
	int			natts = rows->map->natts;
	int64		row = rows->next;

	if (row == rows->nrows)
		return false;
	memcpy(values, rows->values + row * natts, natts * sizeof(Datum));
	memcpy(nulls, rows->nulls + row * natts, natts * sizeof(bool));
	rows->next++;
	return true;
}

/*
 * Returns which of the messages the row handed out last is of.
 */
int
kafka_rows_origin(const KafkaRows *rows)
{
	return rows->origins[rows->next - 1];
}

/*
 * Works in a subtransaction, and returns the error about data that has ended
 * it, or NULL.
 */
static ErrorData *
try(KafkaRows *rows, RowsWork work)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(rows);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error != NULL && !is_about_data(rows->map, error))
		ReThrowError(error);
	return error;
}

/*
 * Tells whether an error may be caught.
 */
static bool
is_about_data(const KafkaRowMap *map, const ErrorData *error)
{
	const KafkaColumn *column = kafka_rowmap_column(map);

	if (kafka_error_is_about_data(error))
		return true;
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'):
			return is_built_in(column) ||
				(column != NULL && error->sqlerrcode == ERRCODE_SYNTAX_ERROR);
		default:
			return error->sqlerrcode == ERRCODE_INTERNAL_ERROR &&
				column != NULL && !is_built_in(column);
	}
}

/*
 * Tells whether an error is about values, by its SQLSTATE alone.
 */
bool
kafka_error_is_about_data(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_PLPGSQL_ERROR:
			return true;
		default:
			return false;
	}
}

/*
 * Tells whether a column is under conversion whose type is built in, so that
 * nothing but what it reads can be to blame.
 */
static bool
is_built_in(const KafkaColumn *column)
{
	return column != NULL && column->type < FirstNormalObjectId;
}

/*
 * Decodes all rows of the messages that are left.
 */
static void
decode_messages(KafkaRows *rows)
{
	for (; rows->message < rows->nmessages; rows->message++)
	{
		CHECK_FOR_INTERRUPTS();
		rows->before = rows->nrows;
		start_message(rows);
		do
			decode_row(rows);
		while (rows->found);
	}
}

static void
start_message(KafkaRows *rows)
{
	kafka_rowmap_start(rows->map, rows->messages[rows->message]);
}

/*
 * Adds the next row of the message, if there is one.
 */
static void
decode_row(KafkaRows *rows)
{
	int64		first = rows->nrows * rows->map->natts;

	make_room(rows);
	rows->found = kafka_rowmap_next(rows->map, rows->values + first,
									rows->nulls + first);
	if (rows->found)
		rows->origins[rows->nrows++] = rows->message;
}

/*
 * Makes room for another row.
 */
static void
make_room(KafkaRows *rows)
{
	Size		natts = rows->map->natts;
	int64		n = rows->allocated;

	if (rows->nrows < n)
		return;
	n = rows->allocated = n == 0 ? 64 : 2 * n;
	if (rows->values == NULL)
	{
		rows->values = palloc(n * natts * sizeof(Datum));
		rows->nulls = palloc(n * natts * sizeof(bool));
		rows->origins = palloc(n * sizeof(int));
		return;
	}
	rows->values = repalloc_huge(rows->values, n * natts * sizeof(Datum));
	rows->nulls = repalloc_huge(rows->nulls, n * natts * sizeof(bool));
	rows->origins = repalloc_huge(rows->origins, n * sizeof(int));
}

/*
 * Goes without the rows of a message, as whoever decodes wants it.
 */
static void
fail_message(KafkaRows *rows, ErrorData *error)
{
	rows->nrows = rows->before;
	if (rows->failed != NULL)
		rows->failed(rows->failed_arg, rows->message, error);
	else if (rows->map->on_error == KAFKA_ON_ERROR_NULL)
		ReThrowError(error);
	else
		skip_message(rows, error);
}

/*
 * Counts a message that gives no row, and remembers the first one.
 */
static void
skip_message(KafkaRows *rows, const ErrorData *error)
{
	const KafkaMessage *message = rows->messages[rows->message];

	if (rows->skipped++ > 0)
		return;
	rows->first_partition = message->partition;
	rows->first_offset = message->offset;
	rows->first_error = MemoryContextStrdup(rows->owner, error_text(error));
}

/*
 * Decodes a message's rows with NULL for what cannot be converted; returns the
 * error of a row where that does not help, or NULL.
 *
 * A message that cannot be read is one row without payload.
 */
static ErrorData *
decode_with_nulls(KafkaRows *rows)
{
	ErrorData  *unreadable = try(rows, start_message);
	ErrorData  *error = decode_row_with_nulls(rows, unreadable);

	while (rows->found && error == NULL && unreadable == NULL)
		error = decode_row_with_nulls(rows, NULL);
	return error;
}

/*
 * Decodes a row with NULL for what cannot be converted; with an error that
 * the message could not be read for, as one without payload.
 *
 * Where a NULL does not help, because it is not allowed, the first error of
 * the row is returned.
 */
static ErrorData *
decode_row_with_nulls(KafkaRows *rows, ErrorData *error)
{
	KafkaRowMap *map = rows->map;
	ErrorData  *first = error;

	kafka_rowmap_forget_errors(map);
	if (error != NULL)
	{
		add_error(map, NULL, error);
		map->broken = true;
	}
	while ((error = try(rows, decode_row)) != NULL)
	{
		KafkaColumn *column = kafka_rowmap_column(map);

		if (first == NULL)
			first = error;
		if (!give_up(map, column, error))
			break;
	}
	kafka_rowmap_forget_errors(map);
	return error == NULL ? NULL : first;
}

/*
 * Gives up the column that has failed; where it has before, or the error is
 * about none, the whole key or payload.  False if nothing is left to give up.
 */
static bool
give_up(KafkaRowMap *map, KafkaColumn *column, const ErrorData *error)
{
	KafkaRowMap *part = map->part != NULL ? map->key : map;

	if (column != NULL && !column->bad)
	{
		column->bad = true;
		add_error(map, column, error);
		return true;
	}
	if (part->broken)
		return false;
	part->broken = true;
	if (column != NULL)
		map->error = NULL;		/* a line without an end, said once */
	add_error(map, NULL, error);
	return true;
}

/*
 * Adds a line to what the row's column of the error says.
 */
static void
add_error(KafkaRowMap *map, const KafkaColumn *column, const ErrorData *error)
{
	StringInfoData text;

	initStringInfo(&text);
	if (map->error != NULL)
		appendStringInfo(&text, "%s\n", map->error);
	if (column != NULL)
		appendStringInfo(&text, "column \"%s\": ", column->name);
	appendStringInfoString(&text, error_text(error));
	map->error = text.data;
}

/*
 * Returns an error as one text.
 */
static const char *
error_text(const ErrorData *error)
{
	if (error->detail == NULL)
		return error->message;
	return psprintf("%s: %s", error->message, error->detail);
}
