/*-------------------------------------------------------------------------
 *
 * apply_mode.c
 *	  How rows get into a subscription's target, for kafka.stat_subscription.
 *
 * NOTES
 *	  COPY stores many rows at once, unless it finds a reason not to, which it
 *	  keeps to itself.  These are its reasons, so that who wonders why a
 *	  subscription is slow can see them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "ingest/apply_mode.h"
#include "ingest/relations.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"

static const char *trigger_reason(Relation target);
static bool has_volatile_default(const KafkaApply *apply);
static bool is_filled(const KafkaApply *apply, AttrNumber attnum);

/*
 * kafka_apply_mode
 *		Returns a word, and for single rows the reason.
 */
const char *
kafka_apply_mode(const KafkaApply *apply)
{
	const char *reason;

	if (apply->method != &kafka_apply_copy)
		return apply->method->name;
	reason = trigger_reason(apply->target);
	if (reason == NULL && has_volatile_default(apply))
		reason = "single rows: a default is volatile";
	return reason != NULL ? reason : "many rows at once";
}

static const char *
trigger_reason(Relation target)
{
	const TriggerDesc *triggers = target->trigdesc;

	if (triggers == NULL)
		return NULL;
	if (triggers->trig_insert_before_row || triggers->trig_insert_instead_row)
		return "single rows: a trigger fires before each";
	if (triggers->trig_insert_new_table &&
		target->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		return "single rows: a trigger has a transition table";
	return NULL;
}

/*
 * Says whether a column that the source does not fill has a default that may
 * look at the table.  nextval() does not.
 */
static bool
has_volatile_default(const KafkaApply *apply)
{
	TupleDesc	desc = RelationGetDescr(apply->target);

	if (desc->constr == NULL || !desc->constr->num_defval)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);
		Node	   *expression;

		if (attr->attisdropped || attr->attgenerated || !attr->atthasdef ||
			is_filled(apply, attr->attnum))
			continue;
		expression = build_column_default(apply->target, attr->attnum);
		if (expression != NULL &&
			contain_volatile_functions_not_nextval(expression))
			return true;
	}
	return false;
}

static bool
is_filled(const KafkaApply *apply, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, apply->columns)
		if (((KafkaColumnMap *) lfirst(lc))->target == attnum)
		return true;
	return false;
}
