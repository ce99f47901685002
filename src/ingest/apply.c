/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Messages into a table: which of the ways is taken.
 *
 * NOTES
 *	  The way depends on the subscription and on what its target is at the
 *	  moment, so it is chosen in each batch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/trigger.h"
#include "ingest/apply.h"
#include "ingest/relations.h"
#include "utils/guc.h"

static const KafkaApplyMethod *choose_method(const KafkaApply *apply);

/*
 * kafka_apply_open
 *		Opens and locks source and target, until the end of the transaction.
 */
void
kafka_apply_open(KafkaApply *apply, const KafkaSubscription *subscription)
{
	memset(apply, 0, sizeof(KafkaApply));
	apply->subscription = subscription;
	apply->source = kafka_open_source(subscription->source,
									  subscription->name);
	if (OidIsValid(subscription->target))
		apply->target = kafka_open_target(subscription->target,
										  subscription->name);
}

/*
 * kafka_apply_check
 *		Raises an ERROR where messages could not be applied.
 */
void
kafka_apply_check(KafkaApply *apply)
{
	kafka_check_source(apply->source, apply->subscription->owner);
	apply->method = choose_method(apply);
	apply->method->check(apply);
}

static const KafkaApplyMethod *
choose_method(const KafkaApply *apply)
{
	if (apply->subscription->command != NULL)
		return &kafka_apply_command;
	if (apply->subscription->mode == KAFKA_MODE_UPSERT)
		return &kafka_apply_upsert;
	if (kafka_target_needs_executor(apply->target, apply->subscription->owner))
		return &kafka_apply_insert;
	return &kafka_apply_copy;
}

/*
 * kafka_apply_run
 *		Applies the messages [first, last), or as many of them as fit into a
 *		batch; last then says how many.
 *
 * Settings that triggers and the like have changed, the role among them, do
 * not outlive it.
 */
void
kafka_apply_run(KafkaApply *apply)
{
	int			nestlevel = NewGUCNestLevel();

	apply->rows = 0;
	apply->again = false;
	apply->batch->reached = apply->first;
	apply->batch->ended = false;
	apply->batch->decoding = false;
	apply->method->apply(apply);
	AtEOXact_GUC(false, nestlevel);
}

/*
 * kafka_apply_close
 *		Closes the relations; the locks remain.
 */
void
kafka_apply_close(KafkaApply *apply)
{
	if (apply->target != NULL)
		table_close(apply->target, NoLock);
	table_close(apply->source, NoLock);
}

/*
 * kafka_apply_fire_triggers
 *		Fires deferred constraint triggers, those that wait and from now on those
 *		to come, at once: as the current user and not, before PostgreSQL 18, as
 *		whoever commits, which a restricted operation does not allow.
 */
void
kafka_apply_fire_triggers(void)
{
	ConstraintsSetStmt statement = {.type = T_ConstraintsSetStmt};

	AfterTriggerSetState(&statement);
}
