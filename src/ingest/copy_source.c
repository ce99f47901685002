/*-------------------------------------------------------------------------
 *
 * copy_source.c
 *	  Rows, as Datums, through the COPY machinery.
 *
 * NOTES
 *	  CopyFrom() routes to partitions, inserts many rows at once, computes
 *	  defaults and generated columns, checks constraints, maintains indexes
 *	  and fires triggers.  What it reads is meant to be a file; here it is
 *	  given finished rows instead, so that nothing is written as text or
 *	  binary only to be parsed again.
 *
 *	  From PostgreSQL 18 on, a COPY reads its rows through a table of
 *	  callbacks, and ours replaces the one that BeginCopyFrom() has chosen.
 *
 *	  Before, NextCopyFrom() reads the columns of its list from the input and
 *	  computes the others as defaults.  We empty the list, so that the input
 *	  of a row in binary format is just the column count, 0, and add our
 *	  columns to the defaults, as expressions that return the row's values.
 *	  BeginCopyFrom() is still told that the format is text: it would ask each
 *	  type for a binary input function, which not all types have.
 *
 *	  Neither callback gets an argument of ours, hence the static pointer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "compat.h"
#ifdef KAFKA_HAVE_COPY_ROUTINE
#include "commands/copyapi.h"
#endif
#include "executor/executor.h"
#include "ingest/copy_source.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"

/*
 * CopyFrom() keeps up to 1000 rows, or 64 kB of input lines, for one insertion,
 * each in a slot that it makes anew for every COPY.  As our COPYs are short,
 * making slots is a part of their cost, more so as the resource owner searches
 * through all of them.  So a row counts as that much input, whatever its size,
 * and 655 rows go together.
 */
#define ROW_BYTES 100

typedef struct CopySourceState
{
	KafkaNextRow next;
	void	   *arg;
	int			natts;			/* of the target */
	Datum	   *values;			/* the row, before PostgreSQL 18 */
	bool	   *nulls;
} CopySourceState;

static CopySourceState *source;

static CopyFromState begin_copy(Relation target, const List *attnums);
static void replace_source(CopyFromState cstate, const List *attnums);

/*
 * kafka_copy_rows
 *		Inserts the rows that next() returns into the target, and returns how
 *		many were stored.
 *
 * attnums names the columns that next() fills, the others get their defaults.
 * The target is locked and a snapshot is active.  Checks no privileges.  With
 * one_by_one a row is stored before the next one is asked for, which is slower.
 */
uint64
kafka_copy_rows(Relation target, const List *attnums, KafkaNextRow next,
				void *arg, bool one_by_one)
{
	CopySourceState state = {next, arg, RelationGetDescr(target)->natts};
	CopyFromState cstate;
	uint64		rows;

	source = &state;
	cstate = begin_copy(target, attnums);
	replace_source(cstate, attnums);
	cstate->line_buf.len = ROW_BYTES;
	if (one_by_one)
		cstate->volatile_defexprs = true;
	rows = CopyFrom(cstate);
	EndCopyFrom(cstate);
	source = NULL;
	return rows;
}

#ifdef KAFKA_HAVE_COPY_ROUTINE

static bool
next_row(CopyFromState cstate, ExprContext *econtext, Datum *values,
		 bool *nulls)
{
	cstate->cur_lineno++;
	return source->next(source->arg, values, nulls);
}

static void
end_rows(CopyFromState cstate)
{
}

/* what comes after BeginCopyFrom() */
static const CopyFromRoutine row_routine = {
	.CopyFromOneRow = next_row,
	.CopyFromEnd = end_rows,
};

static int
read_nothing(void *buffer, int min, int max)
{
	return 0;
}

/*
 * Makes CopyFrom() take its rows from next().
 */
static void
replace_source(CopyFromState cstate, const List *attnums)
{
	cstate->opts.binary = true; /* there is no line to show in errors */
	cstate->routine = &row_routine;
}

#else

/*
 * The input of a row in binary format: a column count of 0.
 */
static int
read_nothing(void *buffer, int min, int max)
{
	if (!source->next(source->arg, source->values, source->nulls))
		return 0;
	memset(buffer, 0, sizeof(int16));
	return sizeof(int16);
}

/*
 * The "default" of a column that next() fills.
 */
static Datum
column_value(ExprState *expression, ExprContext *econtext, bool *isnull)
{
	int			i = (int) (intptr_t) expression->evalfunc_private;

	*isnull = source->nulls[i];
	return source->values[i];
}

/*
 * Makes CopyFrom() take its rows from next().
 */
static void
replace_source(CopyFromState cstate, const List *attnums)
{
	ListCell   *lc;

	source->values = palloc0(mul_size(sizeof(Datum), source->natts));
	source->nulls = palloc0(mul_size(sizeof(bool), source->natts));

	cstate->opts.binary = true;
	cstate->input_buf = NULL;	/* of the text format only */
	cstate->attnumlist = NIL;
	foreach(lc, attnums)
	{
		int			i = lfirst_int(lc) - 1;
		ExprState  *expression = makeNode(ExprState);

		expression->evalfunc = column_value;
		expression->evalfunc_private = (void *) (intptr_t) i;
		cstate->defexprs[KAFKA_COPY_DEFAULT(i, cstate->num_defaults)] = expression;
		cstate->defmap[cstate->num_defaults++] = i;
	}
}

#endif

/*
 * Begins a COPY FROM of these columns.
 */
static CopyFromState
begin_copy(Relation target, const List *attnums)
{
	ParseState *pstate = make_parsestate(NULL);
	List	   *names = NIL;
	List	   *options;
	ListCell   *lc;

	(void) addRangeTableEntryForRelation(pstate, target, RowExclusiveLock,
										 NULL, false, false);
	foreach(lc, attnums)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(target),
											   lfirst_int(lc) - 1);

		names = lappend(names, makeString(pstrdup(NameStr(attr->attname))));
	}
	options = list_make1(makeDefElem("encoding",
									 (Node *) makeString(pstrdup(GetDatabaseEncodingName())),
									 -1));
	return BeginCopyFrom(pstate, target, NULL, NULL, false, read_nothing,
						 names, options);
}

/*
 * kafka_copy_forget_context
 *		Removes what COPY says of itself from an error's context: there is no
 *		COPY command, and its line numbers count rows of a batch.
 */
void
kafka_copy_forget_context(ErrorData *error)
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
