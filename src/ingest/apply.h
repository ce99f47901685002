/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  Messages into a table: the one way in, whatever is done with them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_APPLY_H
#define KAFKA_APPLY_H

#include "batch.h"
#include "ingest/catalog.h"
#include "ingest/upsert_rows.h"
#include "options.h"
#include "utils/rel.h"

struct KafkaApplyMethod;

/* Messages to be applied in the current transaction. */
typedef struct KafkaApply
{
	/* from kafka_apply_open() to kafka_apply_close() */
	const KafkaSubscription *subscription;
	Relation	source;
	Relation	target;			/* NULL where the subscription has none */

	/* from kafka_apply_check() on */
	const struct KafkaApplyMethod *method;
	List	   *columns;		/* of KafkaColumnMap: source to target */

	/* for kafka_apply_run() */
	const KafkaTableOptions *options;	/* of the source, for the owner */
	KafkaBatch *batch;			/* of which those that are bad are passed by */
	int			first;			/* messages [first, last); last is lowered */
	int			last;			/* where fewer were applied */
	bool		careful;		/* messages that cannot be decoded become bad
								 * ones of the batch, and no ERROR */
	KafkaUpsertRows **collected;	/* rows of earlier batches that are to be
									 * applied before, or NULL; and where */
	MemoryContext collection;	/* they, and new ones, are made */
	bool		collect;		/* only add this batch to them */
	bool		(*extend) (void *arg);	/* raises last, and the batch's count,
										 * by messages that are there by now;
										 * false where there are none; or NULL */
	void	   *extend_arg;
	bool		one_by_one;		/* rather than many rows at once, as far as
								 * there is a choice */

	/* told by it, again also when it ends with an ERROR */
	int64		rows;			/* that were stored */
	bool		again;			/* ended with an ERROR, but knows more bad
								 * messages now and wants to pass them by */
} KafkaApply;

/*
 * A way to apply messages.
 *
 * check	raises an ERROR where the owner may not do what apply does, or where
 *			source, target and subscription do not fit together; sets columns
 *			if it wants to.  Called when a subscription is made or changed, and
 *			in each batch.
 * apply	applies the messages.  A snapshot is active.  It may end early,
 *			between two messages, but applies at least one.  Its ERRORs roll
 *			back the transaction, and the worker divides the batch.
 */
typedef struct KafkaApplyMethod
{
	const char *name;			/* for kafka.stat_subscription */
	void		(*check) (KafkaApply *apply);
	void		(*apply) (KafkaApply *apply);
} KafkaApplyMethod;

/* apply_*.c */
extern const KafkaApplyMethod kafka_apply_copy;
extern const KafkaApplyMethod kafka_apply_command;
extern const KafkaApplyMethod kafka_apply_insert;
extern const KafkaApplyMethod kafka_apply_upsert;

extern void kafka_apply_open(KafkaApply *apply,
							 const KafkaSubscription *subscription);
extern void kafka_apply_check(KafkaApply *apply);
extern void kafka_apply_run(KafkaApply *apply);
extern void kafka_apply_close(KafkaApply *apply);
extern void kafka_apply_fire_triggers(void);

#endif							/* KAFKA_APPLY_H */
