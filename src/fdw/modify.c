/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT and COPY FROM into a topic.
 *
 * NOTES
 *	  Under delivery "commit" rows are handed to the transaction, which sends
 *	  them when it commits.  Under "immediate" they are sent while the statement
 *	  runs; its end waits for every delivery report and is an ERROR if one is
 *	  not a success.
 *
 *	  What Kafka decides (partition, offset, timestamp) is wanted by RETURNING
 *	  and by AFTER ROW triggers.  Under "immediate" each row is then waited for;
 *	  under "commit" it is NULL as far as it is not known yet.
 *
 *	  There is no batch interface: the executor asks for no batches where it
 *	  wants rows back, and otherwise the client makes batches by itself, across
 *	  the rows of the whole statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "client/commit.h"
#include "client/producer.h"
#include "compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "format/format.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

typedef struct KafkaModifyState
{
	/* for the life of the statement */
	KafkaTableOptions *options;
	KafkaRowMap *map;
	KafkaProducer *producer;	/* NULL under delivery "commit" */
	int			target;			/* of delivery "commit" */
	bool		returning;		/* fill in what Kafka has decided */
	MemoryContext context;

	MemoryContext row;			/* reset for each row */
} KafkaModifyState;

static bool has_returning(ModifyTableState *mtstate, ResultRelInfo *rinfo);
static KafkaModifyState *begin_modify(ResultRelInfo *rinfo, Oid userid,
									  bool returning);
static void fill_delivery(KafkaModifyState *state, TupleTableSlot *slot,
						  const char *topic, const KafkaDelivery *delivery);
static void fill_slot(KafkaModifyState *state, TupleTableSlot *slot,
					  const KafkaMessage *message);
static void end_modify(ResultRelInfo *rinfo);

/*
 * kafkaAddForeignUpdateTargets
 *		Refuses UPDATE, DELETE and MERGE, which begin here.
 */
void
kafkaAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
							 RangeTblEntry *target_rte,
							 Relation target_relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot update or delete rows of foreign table \"%s\"",
					RelationGetRelationName(target_relation)),
			 errdetail("Messages of a Kafka topic cannot be changed."),
			 errhint("INSERT a newer message with the same key, or one with a key and nothing else (a tombstone), and let a compacted topic forget the old one.")));
}

/*
 * kafkaIsForeignRelUpdatable
 *		Says that rows can be added and never changed, as in a log.
 *
 * Tables whose rows are parts of messages are refused later, with a reason.
 */
int
kafkaIsForeignRelUpdatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

List *
kafkaPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
					   Index resultRelation, int subplan_index)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT is not supported for a Kafka topic"),
				 errdetail("A topic has no unique constraint.")));
	return NIL;
}

void
kafkaBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
						List *fdw_private, int subplan_index, int eflags)
{
	Oid			userid = kafka_compat_result_user(rinfo, mtstate->ps.state);

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		rinfo->ri_FdwState = begin_modify(rinfo, userid, has_returning(mtstate, rinfo));
}

/*
 * kafkaBeginForeignInsert
 *		Begins COPY FROM, or the routing of a partitioned table's rows.
 */
void
kafkaBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	Oid			userid = kafka_compat_result_user(rinfo, mtstate->ps.state);

	rinfo->ri_FdwState = begin_modify(rinfo, userid, has_returning(mtstate, rinfo));
}

/*
 * kafkaExecForeignInsert
 *		Sends one row.
 */
TupleTableSlot *
kafkaExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
					   TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	KafkaModifyState *state = rinfo->ri_FdwState;
	MemoryContext old;
	KafkaMessage message;

	slot_getallattrs(slot);
	MemoryContextReset(state->row);
	old = MemoryContextSwitchTo(state->row);
	kafka_rowmap_encode(state->map, slot->tts_values, slot->tts_isnull,
						&message);
	MemoryContextSwitchTo(old);

	if (state->producer == NULL)
	{
		kafka_commit_send(state->target, &message);
		if (state->returning)
			fill_slot(state, slot, &message);
	}
	else if (state->returning)
	{
		KafkaDelivery *delivery = MemoryContextAllocZero(state->context,
														 sizeof(KafkaDelivery));

		kafka_producer_send(state->producer, &message, delivery);
		kafka_producer_flush(state->producer);
		fill_delivery(state, slot, message.topic, delivery);
		pfree(delivery);
	}
	else
		kafka_producer_send(state->producer, &message, NULL);

	return slot;
}

void
kafkaEndForeignModify(EState *estate, ResultRelInfo *rinfo)
{
	end_modify(rinfo);
}

void
kafkaEndForeignInsert(EState *estate, ResultRelInfo *rinfo)
{
	end_modify(rinfo);
}

/*
 * Says whether somebody looks at the rows as they were inserted; COPY FROM has
 * no plan.
 */
static bool
has_returning(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;

	if (rinfo->ri_TrigDesc != NULL && rinfo->ri_TrigDesc->trig_insert_after_row)
		return true;
	return plan != NULL && plan->returningLists != NIL;
}

static KafkaModifyState *
begin_modify(ResultRelInfo *rinfo, Oid userid, bool returning)
{
	Relation	rel = rinfo->ri_RelationDesc;
	KafkaModifyState *state = palloc0(sizeof(KafkaModifyState));
	MemoryContext old;

	state->context = AllocSetContextCreate(CurrentMemoryContext,
										   "kafka_fdw modify",
										   ALLOCSET_DEFAULT_SIZES);
	state->row = AllocSetContextCreate(state->context,
									   "kafka_fdw modify row",
									   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(state->context);
	state->returning = returning;
	state->options = kafka_options_table(RelationGetRelid(rel), userid);
	state->map = kafka_rowmap_create(rel, state->options, NULL);
	kafka_rowmap_check_writable(state->map);
	if (state->options->client->delivery == KAFKA_DELIVERY_COMMIT)
		state->target = kafka_commit_target(state->options->client);
	else
	{
		if (returning)
			kafka_options_default(state->options->client, "linger.ms", "0");
		state->producer = kafka_producer_open(state->options->client);
	}
	MemoryContextSwitchTo(old);

	return state;
}

/*
 * Fills in partition, offset and timestamp as Kafka has decided them.
 */
static void
fill_delivery(KafkaModifyState *state, TupleTableSlot *slot,
			  const char *topic, const KafkaDelivery *delivery)
{
	KafkaMessage message = {0};

	message.topic = topic;
	message.partition = delivery->partition;
	message.offset = delivery->offset;
	message.timestamp = delivery->timestamp;
	fill_slot(state, slot, &message);
}

/*
 * Fills in partition, offset and timestamp as far as they are known.
 *
 * Triggers take the tuple of a slot and not its values, so it is made anew.
 */
static void
fill_slot(KafkaModifyState *state, TupleTableSlot *slot,
		  const KafkaMessage *message)
{
	kafka_rowmap_fill_delivery(state->map, message, slot->tts_values,
							   slot->tts_isnull);
	ExecForceStoreHeapTuple(heap_form_tuple(slot->tts_tupleDescriptor,
											slot->tts_values, slot->tts_isnull),
							slot, true);
}

/*
 * Waits for every delivery report, and closes.
 */
static void
end_modify(ResultRelInfo *rinfo)
{
	KafkaModifyState *state = rinfo->ri_FdwState;

	if (state == NULL)
		return;
	if (state->producer != NULL)
	{
		kafka_producer_flush(state->producer);
		kafka_producer_close(state->producer);
	}
	MemoryContextDelete(state->context);
	rinfo->ri_FdwState = NULL;
}
