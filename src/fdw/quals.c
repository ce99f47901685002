/*-------------------------------------------------------------------------
 *
 * quals.c
 *	  Conditions on partition, offset and timestamp as ranges to read.
 *
 * NOTES
 *	  A condition becomes a set of boxes in the space of partition, offset and
 *	  time: a comparison is one box, AND intersects, OR unites.  What is not
 *	  understood is the whole space under AND, and makes an OR useless as a
 *	  whole.  So the boxes hold every row that can satisfy the conditions, and
 *	  perhaps more: the executor checks all conditions again.
 *
 *	  Of time only the lower bound narrows what is read: Kafka finds the first
 *	  message that is not older, and all before it are.  Where producers stamp
 *	  their messages, those behind it may be older or newer, so nothing follows
 *	  from an upper bound.
 *
 *	  The right-hand side may be anything that does not change during the scan
 *	  and does not depend on the row: constants, parameters, stable functions.
 *	  It is evaluated when the scan starts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fdw/quals.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "options.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* ms from 1970 to 2000, where PostgreSQL's timestamps begin */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400000)

/* more boxes than this are not intersected further */
#define MAX_BOXES 10000

/* ranges of a partition that are closer than this are read as one */
#define MERGE_GAP 1000

typedef enum QualKind
{
	QUAL_AND,
	QUAL_OR,
	QUAL_COMPARE,				/* column op value */
	QUAL_ANY,					/* column op ANY (array) */
	QUAL_ALL					/* column op ALL (array) */
} QualKind;

/* besides btree's strategies */
#define NotEqualStrategyNumber (BTMaxStrategyNumber + 1)

struct KafkaQual
{
	QualKind	kind;
	List	   *args;			/* of KafkaQual: and, or */
	KafkaQualAxis axis;
	int			strategy;		/* btree's, of column op value */
	Oid			type;			/* of value, or of the array's elements */
	Expr	   *value_expr;
	ExprState  *value;			/* NULL before the executor has started */
};

static KafkaQual *make_qual(Expr *clause, Index varno,
							const KafkaQualColumns *columns);
static KafkaQual *make_bool(BoolExpr *expr, Index varno,
							const KafkaQualColumns *columns);
static KafkaQual *make_compare(OpExpr *expr, Index varno,
							   const KafkaQualColumns *columns);
static KafkaQual *make_any(ScalarArrayOpExpr *expr, Index varno,
						   const KafkaQualColumns *columns);
static KafkaQual *make_row_compare(RowCompareExpr *expr, Index varno,
								   const KafkaQualColumns *columns);
static bool find_column(Node *node, Index varno,
						const KafkaQualColumns *columns, KafkaQualAxis *axis);
static bool is_fixed(Node *node, Index varno);
static bool has_var(Node *node, void *context);
static bool is_integer(Oid type);
static int	strategy_of(Oid opno, KafkaQualAxis axis);
static bool is_comparable(const KafkaQual *qual);
static void prepare(KafkaQual *qual, PlanState *parent);
static bool needs_execution(KafkaQual *qual);
static bool has_exec_param(Node *node, void *context);
static List *boxes_of(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_compare(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_array(KafkaQual *qual, ExprContext *econtext);
static List *box_of_datum(KafkaQual *qual, Datum datum);
static List *box(KafkaQual *qual, int64 value);
static List *box_of_time(KafkaQual *qual, TimestampTz value);
static List *boxes_of_not_equal(KafkaQual *qual, int64 value);
static KafkaBox *everything(void);
static bool is_empty(const KafkaBox *box);
static List *intersect(List *a, List *b);
static int64 integer_value(Datum datum, Oid type);
static int	compare_ranges(const ListCell *a, const ListCell *b);

/*
 * kafka_quals_columns
 *		Finds the columns of a foreign table that conditions can be about.
 */
KafkaQualColumns
kafka_quals_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	KafkaQualColumns columns = {{0}};

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		KafkaColumnOptions *options;

		if (att->attisdropped ||
			(!is_integer(att->atttypid) && att->atttypid != TIMESTAMPTZOID))
			continue;
		options = kafka_options_column(RelationGetRelid(rel), att->attnum,
									   NameStr(att->attname));
		if (options->source == KAFKA_COLUMN_PARTITION)
			columns.attnum[KAFKA_AXIS_PARTITION] = att->attnum;
		else if (options->source == KAFKA_COLUMN_OFFSET)
			columns.attnum[KAFKA_AXIS_OFFSET] = att->attnum;
		else if (options->source == KAFKA_COLUMN_TIMESTAMP)
			columns.attnum[KAFKA_AXIS_TIME] = att->attnum;
	}
	return columns;
}

/*
 * kafka_quals_pushable
 *		Says whether a condition narrows what has to be read.
 */
bool
kafka_quals_pushable(Expr *clause, Index varno,
					 const KafkaQualColumns *columns)
{
	return make_qual(clause, varno, columns) != NULL;
}

/*
 * kafka_quals_prepare
 *		Returns pushable conditions as a list of KafkaQual that can be
 *		evaluated by the given plan node.
 */
List *
kafka_quals_prepare(List *clauses, Index varno,
					const KafkaQualColumns *columns, PlanState *parent)
{
	List	   *quals = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		KafkaQual  *qual = make_qual(lfirst(lc), varno, columns);

		if (qual == NULL)
			continue;
		prepare(qual, parent);
		quals = lappend(quals, qual);
	}
	return quals;
}

/*
 * kafka_quals_need_execution
 *		Says whether a value comes from another part of the running plan, so
 *		that it is not known to EXPLAIN.
 */
bool
kafka_quals_need_execution(List *quals)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		if (needs_execution(lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * kafka_quals_boxes
 *		Evaluates the conditions, all of which must hold, and returns a list of
 *		KafkaBox; no box: no row can satisfy them.
 */
List *
kafka_quals_boxes(List *quals, ExprContext *econtext)
{
	List	   *boxes = list_make1(everything());
	ListCell   *lc;

	foreach(lc, quals)
		boxes = intersect(boxes, boxes_of(lfirst(lc), econtext));
	return boxes;
}

/*
 * kafka_quals_contain
 *		Says whether a message may satisfy the conditions, its time apart.
 */
bool
kafka_quals_contain(List *boxes, int32 partition, int64 offset)
{
	ListCell   *lc;

	foreach(lc, boxes)
	{
		KafkaBox   *box = lfirst(lc);

		if (partition >= box->min[KAFKA_AXIS_PARTITION] &&
			partition <= box->max[KAFKA_AXIS_PARTITION] &&
			offset >= box->min[KAFKA_AXIS_OFFSET] &&
			offset <= box->max[KAFKA_AXIS_OFFSET])
			return true;
	}
	return false;
}

/*
 * kafka_quals_ranges
 *		Returns what has to be read of a partition as a list of KafkaRange:
 *		ascending, disjoint, not empty, within what the partition holds.
 *
 * Ranges that are close to each other are one, so that with several boxes
 * kafka_quals_contain() has to be asked of each message.
 */
List *
kafka_quals_ranges(List *boxes, const KafkaPartitionOffsets *partition,
				   KafkaOffsetForTime offset_for_time, void *arg)
{
	List	   *ranges = NIL;
	List	   *merged = NIL;
	ListCell   *lc;

	foreach(lc, boxes)
	{
		KafkaBox   *box = lfirst(lc);
		KafkaRange *range;
		int64		start = Max(box->min[KAFKA_AXIS_OFFSET], partition->low);
		int64		last = box->max[KAFKA_AXIS_OFFSET];

		if (partition->partition < box->min[KAFKA_AXIS_PARTITION] ||
			partition->partition > box->max[KAFKA_AXIS_PARTITION] ||
			start >= partition->end || last < start)
			continue;
		if (box->min[KAFKA_AXIS_TIME] > 0)
			start = Max(start, offset_for_time(arg, partition->partition,
											   box->min[KAFKA_AXIS_TIME]));
		if (start >= partition->end || last < start)
			continue;
		range = palloc(sizeof(KafkaRange));
		range->topic = partition->topic;
		range->partition = partition->partition;
		range->start = start;
		range->end = last < partition->end ? last + 1 : partition->end;
		ranges = lappend(ranges, range);
	}

	list_sort(ranges, compare_ranges);
	foreach(lc, ranges)
	{
		KafkaRange *range = lfirst(lc);
		KafkaRange *last = merged != NIL ? llast(merged) : NULL;

		if (last != NULL && range->start - last->end <= MERGE_GAP)
			last->end = Max(last->end, range->end);
		else
			merged = lappend(merged, range);
	}
	return merged;
}

/*
 * Returns a condition in our form, or NULL when it narrows nothing.
 */
static KafkaQual *
make_qual(Expr *clause, Index varno, const KafkaQualColumns *columns)
{
	switch (nodeTag(clause))
	{
		case T_BoolExpr:
			return make_bool((BoolExpr *) clause, varno, columns);
		case T_OpExpr:
			return make_compare((OpExpr *) clause, varno, columns);
		case T_ScalarArrayOpExpr:
			return make_any((ScalarArrayOpExpr *) clause, varno, columns);
		case T_RowCompareExpr:
			return make_row_compare((RowCompareExpr *) clause, varno, columns);
		default:
			return NULL;
	}
}

static KafkaQual *
make_bool(BoolExpr *expr, Index varno, const KafkaQualColumns *columns)
{
	KafkaQual  *qual = palloc0(sizeof(KafkaQual));
	ListCell   *lc;

	if (expr->boolop == NOT_EXPR)
		return NULL;
	qual->kind = expr->boolop == AND_EXPR ? QUAL_AND : QUAL_OR;
	foreach(lc, expr->args)
	{
		KafkaQual  *arg = make_qual(lfirst(lc), varno, columns);

		if (arg != NULL)
			qual->args = lappend(qual->args, arg);
		else if (qual->kind == QUAL_OR)
			return NULL;		/* that arm may be true for any row */
	}
	return qual->args != NIL ? qual : NULL;
}

static KafkaQual *
make_compare(OpExpr *expr, Index varno, const KafkaQualColumns *columns)
{
	KafkaQual  *qual = palloc0(sizeof(KafkaQual));
	Oid			opno = expr->opno;
	Node	   *column;
	Node	   *value;
	Oid			left;
	Oid			right;

	if (list_length(expr->args) != 2)
		return NULL;
	column = linitial(expr->args);
	value = lsecond(expr->args);
	if (!find_column(column, varno, columns, &qual->axis))
	{
		Node	   *swap = column;

		column = value;
		value = swap;
		opno = get_commutator(opno);
		if (!OidIsValid(opno) ||
			!find_column(column, varno, columns, &qual->axis))
			return NULL;
	}
	qual->kind = QUAL_COMPARE;
	qual->strategy = strategy_of(opno, qual->axis);
	op_input_types(opno, &left, &right);
	qual->type = right;
	qual->value_expr = (Expr *) value;
	if (!is_comparable(qual) || !is_fixed(value, varno))
		return NULL;
	return qual;
}

/*
 * Of "(a, b) < (c, d)" only "a <= c" is used.
 */
static KafkaQual *
make_row_compare(RowCompareExpr *expr, Index varno,
				 const KafkaQualColumns *columns)
{
	OpExpr	   *first = makeNode(OpExpr);
	KafkaQual  *qual;

	first->opno = linitial_oid(expr->opnos);
	first->args = list_make2(linitial(expr->largs), linitial(expr->rargs));
	qual = make_compare(first, varno, columns);
	if (qual == NULL)
		return NULL;
	if (qual->strategy == BTLessStrategyNumber)
		qual->strategy = BTLessEqualStrategyNumber;
	else if (qual->strategy == BTGreaterStrategyNumber)
		qual->strategy = BTGreaterEqualStrategyNumber;
	return qual;
}

static KafkaQual *
make_any(ScalarArrayOpExpr *expr, Index varno, const KafkaQualColumns *columns)
{
	KafkaQual  *qual = palloc0(sizeof(KafkaQual));
	Node	   *value = lsecond(expr->args);
	Oid			left;
	Oid			right;

	op_input_types(expr->opno, &left, &right);
	qual->kind = expr->useOr ? QUAL_ANY : QUAL_ALL;
	qual->type = right;
	qual->value_expr = (Expr *) value;
	if (!find_column(linitial(expr->args), varno, columns, &qual->axis))
		return NULL;
	qual->strategy = strategy_of(expr->opno, qual->axis);
	if (!is_comparable(qual) || !is_fixed(value, varno))
		return NULL;
	return qual;
}

static bool
find_column(Node *node, Index varno, const KafkaQualColumns *columns,
			KafkaQualAxis *axis)
{
	Var		   *var = (Var *) node;

	if (!IsA(node, Var) || var->varno != varno || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return false;
	for (int i = 0; i < KAFKA_AXES; i++)
		if (var->varattno == columns->attnum[i])
		{
			*axis = i;
			return true;
		}
	return false;
}

/*
 * Says whether an expression has one value for the whole scan; columns of
 * other tables are parameters by then.
 */
static bool
is_fixed(Node *node, Index varno)
{
	return !has_var(node, &varno) && !contain_volatile_functions(node) &&
		!contain_subplans(node);
}

static bool
has_var(Node *node, void *context)
{
	Index	   *varno = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varno == *varno &&
		((Var *) node)->varlevelsup == 0)
		return true;
	return expression_tree_walker(node, has_var, context);
}

/*
 * Returns what an operator means on an axis, or 0.
 */
static int
strategy_of(Oid opno, KafkaQualAxis axis)
{
	Oid			family = INTEGER_BTREE_FAM_OID;
	int			strategy;

	if (axis == KAFKA_AXIS_TIME)
		family = lookup_type_cache(TIMESTAMPTZOID,
								   TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	strategy = get_op_opfamily_strategy(opno, family);
	if (strategy == 0 && OidIsValid(get_negator(opno)) &&
		get_op_opfamily_strategy(get_negator(opno), family) == BTEqualStrategyNumber)
		strategy = NotEqualStrategyNumber;
	return strategy;
}

/*
 * Says whether a comparison is one that becomes a box.
 */
static bool
is_comparable(const KafkaQual *qual)
{
	if (qual->strategy == 0)
		return false;
	if (qual->axis != KAFKA_AXIS_TIME)
		return is_integer(qual->type);
	return qual->type == TIMESTAMPTZOID &&
		(qual->strategy == BTEqualStrategyNumber ||
		 qual->strategy == BTGreaterEqualStrategyNumber ||
		 qual->strategy == BTGreaterStrategyNumber);
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static void
prepare(KafkaQual *qual, PlanState *parent)
{
	ListCell   *lc;

	if (qual->value_expr != NULL)
		qual->value = ExecInitExpr(qual->value_expr, parent);
	foreach(lc, qual->args)
		prepare(lfirst(lc), parent);
}

static bool
needs_execution(KafkaQual *qual)
{
	return has_exec_param((Node *) qual->value_expr, NULL) ||
		kafka_quals_need_execution(qual->args);
}

static bool
has_exec_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return true;
	return expression_tree_walker(node, has_exec_param, context);
}

static List *
boxes_of(KafkaQual *qual, ExprContext *econtext)
{
	List	   *boxes = NIL;
	ListCell   *lc;

	switch (qual->kind)
	{
		case QUAL_AND:
			return kafka_quals_boxes(qual->args, econtext);
		case QUAL_OR:
			foreach(lc, qual->args)
				boxes = list_concat(boxes, boxes_of(lfirst(lc), econtext));
			return boxes;
		case QUAL_COMPARE:
			return boxes_of_compare(qual, econtext);
		case QUAL_ANY:
		case QUAL_ALL:
			return boxes_of_array(qual, econtext);
	}
	return NIL;
}

static List *
boxes_of_compare(KafkaQual *qual, ExprContext *econtext)
{
	bool		isnull;
	Datum		datum = ExecEvalExprSwitchContext(qual->value, econtext,
												  &isnull);

	/* the operators are strict: NULL satisfies none */
	return isnull ? NIL : box_of_datum(qual, datum);
}

static List *
boxes_of_array(KafkaQual *qual, ExprContext *econtext)
{
	bool		isnull;
	Datum		datum = ExecEvalExprSwitchContext(qual->value, econtext,
												  &isnull);
	List	   *boxes = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int16		len;
	bool		byval;
	char		align;

	if (isnull)
		return NIL;
	if (qual->kind == QUAL_ALL)
		boxes = list_make1(everything());
	get_typlenbyvalalign(qual->type, &len, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(datum), qual->type, len, byval, align,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		List	   *element = nulls[i] ? NIL : box_of_datum(qual, elements[i]);

		if (qual->kind == QUAL_ALL)
			boxes = intersect(boxes, element);
		else
			boxes = list_concat(boxes, element);
	}
	return boxes;
}

static List *
box_of_datum(KafkaQual *qual, Datum datum)
{
	if (qual->axis == KAFKA_AXIS_TIME)
		return box_of_time(qual, DatumGetTimestampTz(datum));
	return box(qual, integer_value(datum, qual->type));
}

/*
 * Returns the box of "timestamp op value"; a message's time is in ms, so
 * between two of them the next one is meant.
 */
static List *
box_of_time(KafkaQual *qual, TimestampTz value)
{
	KafkaBox   *box = everything();
	int64		ms;

	if (value == DT_NOEND)
		return NIL;
	if (value == DT_NOBEGIN)
		return list_make1(box);
	ms = value / 1000 - (value % 1000 < 0 ? 1 : 0);
	if (value != ms * 1000 || qual->strategy == BTGreaterStrategyNumber)
		ms++;
	box->min[KAFKA_AXIS_TIME] = ms + EPOCH_MS;
	return list_make1(box);
}

/*
 * Returns the box of "column op value", or no box.
 */
static List *
box(KafkaQual *qual, int64 value)
{
	KafkaBox   *box = everything();
	int64		min = PG_INT64_MIN;
	int64		max = PG_INT64_MAX;

	if (qual->strategy == NotEqualStrategyNumber)
		return boxes_of_not_equal(qual, value);
	if ((qual->strategy == BTLessStrategyNumber && value == PG_INT64_MIN) ||
		(qual->strategy == BTGreaterStrategyNumber && value == PG_INT64_MAX))
		return NIL;
	switch (qual->strategy)
	{
		case BTLessStrategyNumber:
			max = value - 1;
			break;
		case BTLessEqualStrategyNumber:
			max = value;
			break;
		case BTEqualStrategyNumber:
			min = max = value;
			break;
		case BTGreaterEqualStrategyNumber:
			min = value;
			break;
		case BTGreaterStrategyNumber:
			min = value + 1;
			break;
	}
	box->min[qual->axis] = min;
	box->max[qual->axis] = max;
	return list_make1(box);
}

static List *
boxes_of_not_equal(KafkaQual *qual, int64 value)
{
	KafkaBox   *below = everything();
	KafkaBox   *above = everything();
	List	   *boxes = NIL;

	below->max[qual->axis] = value - 1;
	if (value > PG_INT64_MIN)
		boxes = lappend(boxes, below);
	above->min[qual->axis] = value + 1;
	if (value < PG_INT64_MAX)
		boxes = lappend(boxes, above);
	return boxes;
}

static KafkaBox *
everything(void)
{
	KafkaBox   *box = palloc(sizeof(KafkaBox));

	for (int i = 0; i < KAFKA_AXES; i++)
	{
		box->min[i] = PG_INT64_MIN;
		box->max[i] = PG_INT64_MAX;
	}
	return box;
}

static bool
is_empty(const KafkaBox *box)
{
	for (int i = 0; i < KAFKA_AXES; i++)
		if (box->min[i] > box->max[i])
			return true;
	return false;
}

static List *
intersect(List *a, List *b)
{
	List	   *boxes = NIL;
	ListCell   *la;
	ListCell   *lb;

	if ((int64) list_length(a) * list_length(b) > MAX_BOXES &&
		list_length(a) > 1 && list_length(b) > 1)
		return list_length(a) < list_length(b) ? a : b;

	foreach(la, a)
	{
		KafkaBox   *x = lfirst(la);

		foreach(lb, b)
		{
			KafkaBox   *y = lfirst(lb);
			KafkaBox   *both = palloc(sizeof(KafkaBox));

			for (int i = 0; i < KAFKA_AXES; i++)
			{
				both->min[i] = Max(x->min[i], y->min[i]);
				both->max[i] = Min(x->max[i], y->max[i]);
			}
			if (!is_empty(both))
				boxes = lappend(boxes, both);
		}
	}
	return boxes;
}

static int64
integer_value(Datum datum, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(datum);
		case INT4OID:
			return DatumGetInt32(datum);
		default:
			return DatumGetInt64(datum);
	}
}

static int
compare_ranges(const ListCell *a, const ListCell *b)
{
	int64		x = ((KafkaRange *) lfirst(a))->start;
	int64		y = ((KafkaRange *) lfirst(b))->start;

	return (x > y) - (x < y);
}
