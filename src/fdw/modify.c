/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT and COPY FROM into a topic.
 *
 * NOTES
 *	  Under delivery "immediate" rows are sent while the statement runs; its end
 *	  waits for every delivery report and is an ERROR if one is not a success.
 *
 *	  With RETURNING each row is waited for, because partition and offset are
 *	  known only then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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
	KafkaProducer *producer;
	bool		returning;		/* fill in what Kafka has decided */
	MemoryContext context;

	MemoryContext row;			/* reset for each row */
} KafkaModifyState;

static bool has_returning(ModifyTableState *mtstate);
static KafkaModifyState *begin_modify(ResultRelInfo *rinfo, Oid userid,
									  bool returning);
static void fill_delivery(KafkaModifyState *state, TupleTableSlot *slot,
						  const KafkaDelivery *delivery);
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
		rinfo->ri_FdwState = begin_modify(rinfo, userid, has_returning(mtstate));
}

/*
 * kafkaBeginForeignInsert
 *		Begins COPY FROM, or the routing of a partitioned table's rows.
 */
void
kafkaBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	Oid			userid = kafka_compat_result_user(rinfo, mtstate->ps.state);

	rinfo->ri_FdwState = begin_modify(rinfo, userid, has_returning(mtstate));
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

	if (state->returning)
	{
		KafkaDelivery *delivery = MemoryContextAllocZero(state->context,
														 sizeof(KafkaDelivery));

		kafka_producer_send(state->producer, &message, delivery);
		kafka_producer_flush(state->producer);
		fill_delivery(state, slot, delivery);
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
 * Says whether the statement returns rows; COPY FROM has no plan.
 */
static bool
has_returning(ModifyTableState *mtstate)
{
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;

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
	if (state->options->delivery != KAFKA_DELIVERY_IMMEDIATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("delivery \"commit\" is not supported yet"),
				 errhint("Set the option \"delivery\" of the foreign table or its server, or the parameter \"kafka_fdw.delivery\", to \"immediate\": rows are then sent while the statement runs, and stay in the topic if the transaction rolls back.")));
	state->producer = kafka_producer_open(state->options->client);
	MemoryContextSwitchTo(old);

	return state;
}

/*
 * Fills in partition, offset and timestamp as Kafka has decided them.
 */
static void
fill_delivery(KafkaModifyState *state, TupleTableSlot *slot,
			  const KafkaDelivery *delivery)
{
	KafkaMessage message = {0};

	message.topic = state->options->topic;
	message.partition = delivery->partition;
	message.offset = delivery->offset;
	message.timestamp = delivery->timestamp;
	kafka_rowmap_fill_delivery(state->map, &message, slot->tts_values,
							   slot->tts_isnull);
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
	kafka_producer_flush(state->producer);
	kafka_producer_close(state->producer);
	MemoryContextDelete(state->context);
	rinfo->ri_FdwState = NULL;
}
