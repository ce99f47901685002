/*-------------------------------------------------------------------------
 *
 * quals.c
 *	  Conditions on partition and offset as ranges to read.
 *
 * NOTES
 *	  A condition becomes a set of boxes in the plane of partition and offset:
 *	  a comparison is one box, AND intersects, OR unites.  What is not
 *	  understood is the whole plane under AND, and makes an OR useless as a
 *	  whole.  So the boxes hold every row that can satisfy the conditions, and
 *	  perhaps more: the executor checks all conditions again.
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

/* more boxes than this are not intersected further */
#define MAX_BOXES 10000

/* ranges of a partition that are closer than this are read as one */
#define MERGE_GAP 1000

typedef enum QualKind
{
	QUAL_AND,
	QUAL_OR,
	QUAL_COMPARE,				/* column op value */
	QUAL_ANY					/* column = ANY (array) */
} QualKind;

struct KafkaQual
{
	QualKind	kind;
	List	   *args;			/* of KafkaQual: and, or */
	bool		is_partition;	/* otherwise offset */
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
static bool find_column(Node *node, Index varno,
						const KafkaQualColumns *columns, bool *is_partition);
static bool is_fixed(Node *node, Index varno);
static bool is_integer(Oid type);
static void prepare(KafkaQual *qual, PlanState *parent);
static bool needs_execution(KafkaQual *qual);
static bool has_exec_param(Node *node, void *context);
static List *boxes_of(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_compare(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_any(KafkaQual *qual, ExprContext *econtext);
static List *box(KafkaQual *qual, int64 value);
static KafkaBox *everything(void);
static List *intersect(List *a, List *b);
static int64 integer_value(Datum datum, Oid type);
static int	compare_ranges(const ListCell *a, const ListCell *b);

/*
 * kafka_quals_columns
 *		Finds the partition and the offset column of a foreign table; only
 *		integer columns count.
 */
KafkaQualColumns
kafka_quals_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	KafkaQualColumns columns = {0, 0};

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		KafkaColumnOptions *options;

		if (att->attisdropped || !is_integer(att->atttypid))
			continue;
		options = kafka_options_column(RelationGetRelid(rel), att->attnum,
									   NameStr(att->attname));
		if (options->source == KAFKA_COLUMN_PARTITION)
			columns.partition = att->attnum;
		else if (options->source == KAFKA_COLUMN_OFFSET)
			columns.offset = att->attnum;
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
 * kafka_quals_ranges
 *		Returns what has to be read of a partition as a list of KafkaRange:
 *		ascending, disjoint, not empty, within what the partition holds.
 */
List *
kafka_quals_ranges(List *boxes, const KafkaPartitionOffsets *partition)
{
	List	   *ranges = NIL;
	List	   *merged = NIL;
	ListCell   *lc;

	foreach(lc, boxes)
	{
		KafkaBox   *box = lfirst(lc);
		KafkaRange *range;
		int64		start = Max(box->min_offset, partition->low);

		if (partition->partition < box->min_partition ||
			partition->partition > box->max_partition ||
			start >= partition->end || box->max_offset < start)
			continue;
		range = palloc(sizeof(KafkaRange));
		range->partition = partition->partition;
		range->start = start;
		range->end = box->max_offset < partition->end ?
			box->max_offset + 1 : partition->end;
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
	if (!find_column(column, varno, columns, &qual->is_partition))
	{
		Node	   *swap = column;

		column = value;
		value = swap;
		opno = get_commutator(opno);
		if (!OidIsValid(opno) ||
			!find_column(column, varno, columns, &qual->is_partition))
			return NULL;
	}
	qual->kind = QUAL_COMPARE;
	qual->strategy = get_op_opfamily_strategy(opno, INTEGER_BTREE_FAM_OID);
	op_input_types(opno, &left, &right);
	qual->type = right;
	qual->value_expr = (Expr *) value;
	if (qual->strategy == 0 || !is_integer(right) || !is_fixed(value, varno))
		return NULL;
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
	qual->kind = QUAL_ANY;
	qual->strategy = get_op_opfamily_strategy(expr->opno,
											  INTEGER_BTREE_FAM_OID);
	qual->type = right;
	qual->value_expr = (Expr *) value;
	if (!expr->useOr || qual->strategy == 0 || !is_integer(right) ||
		!is_fixed(value, varno) ||
		!find_column(linitial(expr->args), varno, columns,
					 &qual->is_partition))
		return NULL;
	return qual;
}

static bool
find_column(Node *node, Index varno, const KafkaQualColumns *columns,
			bool *is_partition)
{
	Var		   *var = (Var *) node;

	if (!IsA(node, Var) || var->varno != varno || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return false;
	*is_partition = var->varattno == columns->partition;
	return *is_partition || var->varattno == columns->offset;
}

/*
 * Says whether an expression has one value for the whole scan.
 */
static bool
is_fixed(Node *node, Index varno)
{
	return !contain_var_clause(node) && !contain_volatile_functions(node) &&
		!contain_subplans(node);
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
			return boxes_of_any(qual, econtext);
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
	return isnull ? NIL : box(qual, integer_value(datum, qual->type));
}

static List *
boxes_of_any(KafkaQual *qual, ExprContext *econtext)
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
	get_typlenbyvalalign(qual->type, &len, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(datum), qual->type, len, byval, align,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			boxes = list_concat(boxes,
								box(qual, integer_value(elements[i],
														qual->type)));
	return boxes;
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
	if (qual->is_partition)
	{
		box->min_partition = min;
		box->max_partition = max;
	}
	else
	{
		box->min_offset = min;
		box->max_offset = max;
	}
	return list_make1(box);
}

static KafkaBox *
everything(void)
{
	KafkaBox   *box = palloc(sizeof(KafkaBox));

	box->min_partition = box->min_offset = PG_INT64_MIN;
	box->max_partition = box->max_offset = PG_INT64_MAX;
	return box;
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

			both->min_partition = Max(x->min_partition, y->min_partition);
			both->max_partition = Min(x->max_partition, y->max_partition);
			both->min_offset = Max(x->min_offset, y->min_offset);
			both->max_offset = Min(x->max_offset, y->max_offset);
			if (both->min_partition <= both->max_partition &&
				both->min_offset <= both->max_offset)
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
