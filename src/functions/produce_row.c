/*-------------------------------------------------------------------------
 *
 * produce_row.c
 *	  A trigger function that sends the rows of a table.
 *
 * NOTES
 *	  A row is a message: its value is the row as JSON, its key is made of the
 *	  columns that the trigger names.  A row that goes away, or gets another
 *	  key, leaves a tombstone, so that a compacted topic has the table's rows.
 *
 *	  Of an UPDATE statement with both transition tables, tombstones are for the
 *	  old keys that no new row has, and come first.  So keys may be swapped
 *	  there; row by row, they cannot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "client/commit.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "format/format.h"
#include "functions/produce.h"
#include "functions/server.h"
#include "functions/value.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(kafka_produce_row);

/* Bytes of a key, as an entry of a hash table. */
typedef struct RowKey
{
	const char *bytes;			/* NULL: no key */
	size_t		len;
} RowKey;

/* One call of the trigger. */
typedef struct RowTrigger
{
	TriggerData *data;
	TupleDesc	desc;
	KafkaClientOptions *options;
	const char *topic;
	int			nkeys;
	AttrNumber *keys;
	TupleDesc	key_desc;		/* of several keys */
	KafkaProducer *producer;	/* NULL under delivery "commit" */
	int			target;			/* of delivery "commit" */
	MemoryContext row;			/* reset for each row */
} RowTrigger;

typedef void (*RowAction) (RowTrigger *trigger, HeapTuple tuple, void *arg);

static void check_call(FunctionCallInfo fcinfo);
static void begin_trigger(RowTrigger *trigger, TriggerData *data);
static void take_keys(RowTrigger *trigger);
static void open_sink(RowTrigger *trigger);
static void close_sink(RowTrigger *trigger);
static void fire_row(RowTrigger *trigger);
static void fire_statement(RowTrigger *trigger);
static void for_rows(RowTrigger *trigger, Tuplestorestate *rows,
					 RowAction action, void *arg);
static Tuplestorestate *need_table(RowTrigger *trigger, Tuplestorestate *table,
								   const char *name);
static HTAB *make_key_table(MemoryContext context);
static uint32 hash_key(const void *key, Size size);
static int	compare_keys(const void *a, const void *b, Size size);
static RowKey copy_key(RowKey key);
static void remember_key(RowTrigger *trigger, HeapTuple tuple, void *arg);
static void send_unless_known(RowTrigger *trigger, HeapTuple tuple, void *arg);
static void send_row(RowTrigger *trigger, HeapTuple tuple, void *arg);
static void send_deleted(RowTrigger *trigger, HeapTuple tuple, void *arg);
static void send_tombstone(RowTrigger *trigger, const RowKey *key);
static void send_message(RowTrigger *trigger, KafkaMessage *message);
static RowKey row_key(RowTrigger *trigger, HeapTuple tuple);
static text *row_json(HeapTuple tuple, TupleDesc desc);
static int	begin_output(TupleDesc desc);

/*
 * kafka.produce_row(server, topic, key column, ...)
 *		Sends the rows that an INSERT, UPDATE or DELETE has changed.
 */
Datum
kafka_produce_row(PG_FUNCTION_ARGS)
{
	RowTrigger	trigger = {0};
	int			nestlevel;

	check_call(fcinfo);
	begin_trigger(&trigger, (TriggerData *) fcinfo->context);
	nestlevel = begin_output(trigger.desc);
	open_sink(&trigger);
	if (TRIGGER_FIRED_FOR_ROW(trigger.data->tg_event))
		fire_row(&trigger);
	else
		fire_statement(&trigger);
	close_sink(&trigger);
	if (nestlevel > 0)
		AtEOXact_GUC(true, nestlevel);
	MemoryContextDelete(trigger.row);
	return PointerGetDatum(NULL);
}

static void
check_call(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function kafka.produce_row must be called as a trigger")));
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot send a TRUNCATE of table \"%s\" to Kafka",
						RelationGetRelationName(data->tg_relation)),
				 errhint("DELETE sends a tombstone for each row.")));
	if (!TRIGGER_FIRED_AFTER(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must be an AFTER trigger to send rows to Kafka",
						data->tg_trigger->tgname)));
	if (data->tg_trigger->tgnargs < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" needs a server and a topic as arguments",
						data->tg_trigger->tgname)));
	PreventCommandIfReadOnly("kafka.produce_row()");
}

static void
begin_trigger(RowTrigger *trigger, TriggerData *data)
{
	char	  **args = data->tg_trigger->tgargs;

	trigger->data = data;
	trigger->desc = RelationGetDescr(data->tg_relation);
	trigger->row = AllocSetContextCreate(CurrentMemoryContext,
										 "kafka.produce_row",
										 ALLOCSET_DEFAULT_SIZES);
	trigger->options = kafka_server_options(cstring_to_text(args[0]));
	trigger->topic = args[1];
	take_keys(trigger);
}

/*
 * Looks the columns of the key up.
 */
static void
take_keys(RowTrigger *trigger)
{
	Trigger    *definition = trigger->data->tg_trigger;

	trigger->nkeys = definition->tgnargs - 2;
	trigger->keys = palloc_array(AttrNumber, trigger->nkeys);
	if (trigger->nkeys > 1)
		trigger->key_desc = CreateTemplateTupleDesc(trigger->nkeys);
	for (int i = 0; i < trigger->nkeys; i++)
	{
		const char *name = definition->tgargs[i + 2];
		int			attnum = SPI_fnumber(trigger->desc, name);

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table \"%s\" does not exist",
							name,
							RelationGetRelationName(trigger->data->tg_relation)),
					 errdetail("Trigger \"%s\" names it as a part of the key.",
							   definition->tgname)));
		trigger->keys[i] = attnum;
		if (trigger->key_desc != NULL)
			TupleDescCopyEntry(trigger->key_desc, i + 1, trigger->desc, attnum);
	}
	if (trigger->key_desc != NULL)
		trigger->key_desc = BlessTupleDesc(trigger->key_desc);
}

static void
open_sink(RowTrigger *trigger)
{
	if (trigger->options->delivery == KAFKA_DELIVERY_COMMIT)
		trigger->target = kafka_commit_target(trigger->options);
	else
	{
		if (TRIGGER_FIRED_FOR_ROW(trigger->data->tg_event))
			kafka_options_set(trigger->options, "linger.ms", "0");
		trigger->producer = kafka_producer_open(trigger->options);
	}
}

static void
close_sink(RowTrigger *trigger)
{
	if (trigger->producer == NULL)
		return;
	kafka_producer_flush(trigger->producer);
	kafka_producer_close(trigger->producer);
}

/*
 * Sends what has become of one row.
 */
static void
fire_row(RowTrigger *trigger)
{
	TriggerData *data = trigger->data;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		send_row(trigger, data->tg_trigtuple, NULL);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		send_deleted(trigger, data->tg_trigtuple, NULL);
	else
	{
		RowKey		old = copy_key(row_key(trigger, data->tg_trigtuple));
		RowKey		new = row_key(trigger, data->tg_newtuple);

		if (old.bytes != NULL && compare_keys(&old, &new, 0) != 0)
			send_tombstone(trigger, &old);
		send_row(trigger, data->tg_newtuple, NULL);
	}
}

/*
 * Sends what has become of all rows of a statement.
 */
static void
fire_statement(RowTrigger *trigger)
{
	TriggerData *data = trigger->data;

	if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
	{
		for_rows(trigger, need_table(trigger, data->tg_oldtable, "OLD"),
				 send_deleted, NULL);
		return;
	}
	need_table(trigger, data->tg_newtable, "NEW");
	if (data->tg_oldtable != NULL && trigger->nkeys > 0)
	{
		HTAB	   *keys = make_key_table(CurrentMemoryContext);

		for_rows(trigger, data->tg_newtable, remember_key, keys);
		for_rows(trigger, data->tg_oldtable, send_unless_known, keys);
		hash_destroy(keys);
	}
	for_rows(trigger, data->tg_newtable, send_row, NULL);
}

/*
 * Calls a function for each row of a transition table.
 */
static void
for_rows(RowTrigger *trigger, Tuplestorestate *rows, RowAction action,
		 void *arg)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(trigger->desc,
													&TTSOpsMinimalTuple);

	tuplestore_select_read_pointer(rows,
								   tuplestore_alloc_read_pointer(rows,
																 EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		should_free;
		HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);

		CHECK_FOR_INTERRUPTS();
		action(trigger, tuple, arg);
		if (should_free)
			heap_freetuple(tuple);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static Tuplestorestate *
need_table(RowTrigger *trigger, Tuplestorestate *table, const char *name)
{
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" needs a transition table to send rows to Kafka",
						trigger->data->tg_trigger->tgname),
				 errhint("Create it with REFERENCING %s TABLE AS a name of your choice, or FOR EACH ROW.",
						 name)));
	return table;
}

static HTAB *
make_key_table(MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(RowKey);
	control.entrysize = sizeof(RowKey);
	control.hash = hash_key;
	control.match = compare_keys;
	control.hcxt = context;
	return hash_create("keys of kafka.produce_row", 16, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static uint32
hash_key(const void *key, Size size)
{
	const RowKey *k = key;

	return hash_bytes((const unsigned char *) k->bytes, k->len);
}

static int
compare_keys(const void *a, const void *b, Size size)
{
	const RowKey *ka = a;
	const RowKey *kb = b;

	if (ka->bytes == NULL || kb->bytes == NULL || ka->len != kb->len)
		return 1;
	return memcmp(ka->bytes, kb->bytes, ka->len);
}

/*
 * Notes that a row with this key is there.
 */
static void
remember_key(RowTrigger *trigger, HeapTuple tuple, void *arg)
{
	HTAB	   *keys = arg;
	RowKey		key = row_key(trigger, tuple);
	RowKey	   *entry;
	bool		found;

	if (key.bytes == NULL)
		return;
	entry = hash_search(keys, &key, HASH_ENTER, &found);
	if (!found)
		*entry = copy_key(key);
}

static RowKey
copy_key(RowKey key)
{
	char	   *copy;

	if (key.bytes == NULL)
		return key;
	copy = palloc(key.len + 1);
	memcpy(copy, key.bytes, key.len);
	key.bytes = copy;
	return key;
}

/*
 * Sends a tombstone for a key that no row has any more.
 */
static void
send_unless_known(RowTrigger *trigger, HeapTuple tuple, void *arg)
{
	RowKey		key = row_key(trigger, tuple);

	if (key.bytes != NULL && hash_search(arg, &key, HASH_FIND, NULL) == NULL)
		send_tombstone(trigger, &key);
}

static void
send_row(RowTrigger *trigger, HeapTuple tuple, void *arg)
{
	KafkaMessage message = {0};
	RowKey		key = row_key(trigger, tuple);
	MemoryContext old = MemoryContextSwitchTo(trigger->row);
	text	   *json = row_json(tuple, trigger->desc);

	message.key = key.bytes;
	message.key_len = key.len;
	message.value = kafka_value_bytes(JSONOID, PointerGetDatum(json),
									  &message.value_len);
	MemoryContextSwitchTo(old);
	send_message(trigger, &message);
}

static void
send_deleted(RowTrigger *trigger, HeapTuple tuple, void *arg)
{
	RowKey		key = row_key(trigger, tuple);

	if (key.bytes == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cannot send a tombstone without a key for a row of table \"%s\"",
						RelationGetRelationName(trigger->data->tg_relation)),
				 trigger->nkeys == 0 ?
				 errhint("Name the columns of the key as further arguments of trigger \"%s\".",
						 trigger->data->tg_trigger->tgname) :
				 errdetail("The column of the key is null.")));
	send_tombstone(trigger, &key);
}

static void
send_tombstone(RowTrigger *trigger, const RowKey *key)
{
	KafkaMessage message = {0};

	message.key = key->bytes;
	message.key_len = key->len;
	send_message(trigger, &message);
}

static void
send_message(RowTrigger *trigger, KafkaMessage *message)
{
	message->topic = trigger->topic;
	message->partition = KAFKA_PARTITION_ANY;
	message->offset = KAFKA_OFFSET_UNKNOWN;
	message->timestamp = KAFKA_TIMESTAMP_UNKNOWN;
	message->leader_epoch = -1;
	if (trigger->producer != NULL)
		kafka_producer_send(trigger->producer, message, NULL);
	else
		kafka_commit_send(trigger->target, message);
}

/*
 * Returns the key of a row, in memory that lasts until the next one's: bytes
 * or text of a single column, NULL where that is NULL; a JSON object of
 * several.
 */
static RowKey
row_key(RowTrigger *trigger, HeapTuple tuple)
{
	RowKey		key = {0};
	Datum	   *values = palloc_array(Datum, Max(trigger->nkeys, 1));
	bool	   *nulls = palloc_array(bool, Max(trigger->nkeys, 1));
	MemoryContext old;

	MemoryContextReset(trigger->row);
	old = MemoryContextSwitchTo(trigger->row);
	for (int i = 0; i < trigger->nkeys; i++)
		values[i] = heap_getattr(tuple, trigger->keys[i], trigger->desc,
								 &nulls[i]);
	if (trigger->nkeys == 1 && !nulls[0])
		key.bytes = kafka_value_bytes(TupleDescAttr(trigger->desc, trigger->keys[0] - 1)->atttypid,
									  values[0], &key.len);
	else if (trigger->nkeys > 1)
	{
		text	   *json = row_json(heap_form_tuple(trigger->key_desc, values,
													nulls),
									trigger->key_desc);

		key.bytes = kafka_value_bytes(JSONOID, PointerGetDatum(json), &key.len);
	}
	MemoryContextSwitchTo(old);
	pfree(values);
	pfree(nulls);
	return key;
}

static text *
row_json(HeapTuple tuple, TupleDesc desc)
{
	Datum		row = heap_copy_tuple_as_datum(tuple, desc);

	return DatumGetTextPP(DirectFunctionCall1(row_to_json, row));
}

/*
 * Makes what is printed independent of the session's settings.
 */
static int
begin_output(TupleDesc desc)
{
	bool		prints_names = false;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			prints_names |=
				kafka_output_prints_names(TupleDescAttr(desc, i)->atttypid);
	return kafka_output_begin(prints_names);
}
