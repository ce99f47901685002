/*-------------------------------------------------------------------------
 *
 * quals.c
 *	  Finds the conditions that narrow what has to be read.
 *
 * NOTES
 *	  A condition is of use when it compares a column that is on an axis with
 *	  something that does not change during the scan and does not depend on the
 *	  row: constants, parameters, stable functions.  That is evaluated when the
 *	  scan starts, see quals_boxes.c.
 *
 *	  What is not understood is left out under AND, and makes an OR useless as a
 *	  whole.  The executor checks all conditions again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fdw/quals_internal.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "options.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

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
static bool is_exact(Form_pg_attribute att);
static bool is_integer(Oid type);
static int	strategy_of(Oid opno, KafkaQualAxis axis);
static int	topic_strategy_of(Oid opno);
static bool is_comparable(const KafkaQual *qual, Oid collation);
static void prepare(KafkaQual *qual, PlanState *parent);
static bool needs_execution(KafkaQual *qual);
static bool has_exec_param(Node *node, void *context);

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

		if (att->attisdropped || !is_exact(att))
			continue;
		options = kafka_options_column(RelationGetRelid(rel), att->attnum,
									   NameStr(att->attname));
		if (options->source == KAFKA_COLUMN_PARTITION)
			columns.attnum[KAFKA_AXIS_PARTITION] = att->attnum;
		else if (options->source == KAFKA_COLUMN_OFFSET)
			columns.attnum[KAFKA_AXIS_OFFSET] = att->attnum;
		else if (options->source == KAFKA_COLUMN_TIMESTAMP)
			columns.attnum[KAFKA_AXIS_TIME] = att->attnum;
		else if (options->source == KAFKA_COLUMN_TOPIC)
			columns.attnum[KAFKA_AXIS_TOPIC] = att->attnum;
	}
	return columns;
}

/*
 * Says whether a column shows its metadata unchanged, so that a condition on
 * the one is a condition on the other: a timestamp that is rounded to seconds
 * does not.
 */
static bool
is_exact(Form_pg_attribute att)
{
	if (att->atttypid == TIMESTAMPTZOID)
		return att->atttypmod < 0 || att->atttypmod >= 3;
	if (att->atttypid == TEXTOID || att->atttypid == VARCHAROID)
		return att->atttypmod < 0;
	return is_integer(att->atttypid);
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
	if (!is_comparable(qual, expr->inputcollid) || !is_fixed(value, varno))
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
	first->inputcollid = linitial_oid(expr->inputcollids);
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
	if (!is_comparable(qual, expr->inputcollid) || !is_fixed(value, varno))
		return NULL;
	return qual;
}

static bool
find_column(Node *node, Index varno, const KafkaQualColumns *columns,
			KafkaQualAxis *axis)
{
	Var		   *var;

	/* varchar is compared as text */
	if (IsA(node, RelabelType) &&
		((RelabelType *) node)->resulttype == TEXTOID)
		node = (Node *) ((RelabelType *) node)->arg;
	var = (Var *) node;
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

	if (axis == KAFKA_AXIS_TOPIC)
		return topic_strategy_of(opno);
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
 * Only what does not depend on an order counts, for that is the collation's.
 */
static int
topic_strategy_of(Oid opno)
{
	Oid			negator = get_negator(opno);

	if (opno == OID_TEXT_LIKE_OP)
		return LikeStrategyNumber;
	if (get_op_opfamily_strategy(opno, TEXT_BTREE_FAM_OID) == BTEqualStrategyNumber)
		return BTEqualStrategyNumber;
	if (OidIsValid(negator) &&
		get_op_opfamily_strategy(negator, TEXT_BTREE_FAM_OID) == BTEqualStrategyNumber)
		return NotEqualStrategyNumber;
	return 0;
}

/*
 * Says whether a comparison is one that becomes a box.
 */
static bool
is_comparable(const KafkaQual *qual, Oid collation)
{
	if (qual->strategy == 0)
		return false;
	switch (qual->axis)
	{
		case KAFKA_AXIS_TIME:
			return qual->type == TIMESTAMPTZOID &&
				qual->strategy != NotEqualStrategyNumber;
		case KAFKA_AXIS_TOPIC:
			return qual->type == TEXTOID && OidIsValid(collation) &&
				get_collation_isdeterministic(collation);
		default:
			return is_integer(qual->type);
	}
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
