/*-------------------------------------------------------------------------
 *
 * admin_reset.c
 *	  The SQL function that moves the offsets of a consumer group.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "client/admin.h"
#include "common/int.h"
#include "funcapi.h"
#include "functions/server.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kafka_reset_group_offsets);

/* Where to: one of them. */
typedef enum ResetTarget
{
	TO_EARLIEST,
	TO_LATEST,
	TO_OFFSET,
	BY_SHIFT,
	TO_TIME
} ResetTarget;

typedef struct Reset
{
	text	   *server;
	const char *group;
	const char *topic;			/* NULL: all that the group has offsets of */
	ArrayType  *wanted;			/* partitions, or NULL: all of them */
	ResetTarget target;
	int64		value;			/* offset, number of offsets, or time */

	/* one element a partition each, in the same order */
	int			n;
	KafkaTopicPartition *old;	/* committed offsets */
	KafkaTopicPartition *new;
	KafkaTopicPartition *earliest;
	KafkaTopicPartition *latest;
	KafkaTopicPartition *timely;	/* at the time, or NULL */
} Reset;

static void parse_target(FunctionCallInfo fcinfo, Reset *reset);
static void require_idle(KafkaAdmin *admin, const char *group);
static void find_partitions(KafkaAdmin *admin, Reset *reset);
static bool is_wanted(const Reset *reset, int32 partition);
static void check_wanted(const Reset *reset);
static void take_committed(KafkaTopicPartition *partition,
						   const KafkaTopicPartition *committed, int n);
static KafkaTopicPartition *ask_offsets(KafkaAdmin *admin, const Reset *reset,
										int64 time);
static int64 new_offset(const Reset *reset, int i);

/*
 * kafka.reset_group_offsets(server text, group_id text, topic text,
 *							 start text, to_offset int8, shift_by int8,
 *							 to_time timestamptz, partitions int[],
 *							 dry_run bool)
 *		Moves, or with dry_run shows how it would move, the offsets of a group
 *		that has no members.
 */
Datum
kafka_reset_group_offsets(PG_FUNCTION_ARGS)
{
	Reset		reset = {0};
	bool		dry_run = PG_ARGISNULL(8) || PG_GETARG_BOOL(8);
	KafkaAdmin *admin;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server and group_id must not be null")));
	reset.server = PG_GETARG_TEXT_PP(0);
	reset.group = text_to_cstring(PG_GETARG_TEXT_PP(1));
	reset.topic = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	reset.wanted = PG_ARGISNULL(7) ? NULL : PG_GETARG_ARRAYTYPE_P(7);
	parse_target(fcinfo, &reset);

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options_uncommitted(reset.server));
	require_idle(admin, reset.group);
	find_partitions(admin, &reset);
	reset.earliest = ask_offsets(admin, &reset, KAFKA_TIME_EARLIEST);
	reset.latest = ask_offsets(admin, &reset, KAFKA_TIME_LATEST);
	if (reset.target == TO_TIME)
		reset.timely = ask_offsets(admin, &reset, reset.value);
	for (int i = 0; i < reset.n; i++)
		reset.new[i].offset = new_offset(&reset, i);
	if (!dry_run && reset.n > 0)
		kafka_admin_alter_group_offsets(admin, reset.group, reset.new, reset.n);
	kafka_admin_close(admin);

	for (int i = 0; i < reset.n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(reset.new[i].topic);
		values[1] = Int32GetDatum(reset.new[i].partition);
		values[2] = kafka_offset_or_null(reset.old[i].offset, &nulls[2]);
		values[3] = Int64GetDatum(reset.new[i].offset);
		kafka_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Takes the one argument that says where to.
 */
static void
parse_target(FunctionCallInfo fcinfo, Reset *reset)
{
	int			given = 0;

	for (int i = 3; i <= 6; i++)
		given += PG_ARGISNULL(i) ? 0 : 1;
	if (given != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of start, to_offset, shift_by and to_time must be given")));
	if (!PG_ARGISNULL(3))
	{
		char	   *start = text_to_cstring(PG_GETARG_TEXT_PP(3));

		if (strcmp(start, "earliest") != 0 && strcmp(start, "latest") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid start \"%s\"", start),
					 errhint("It is \"earliest\" or \"latest\".")));
		reset->target = start[0] == 'e' ? TO_EARLIEST : TO_LATEST;
	}
	else if (!PG_ARGISNULL(4))
	{
		reset->target = TO_OFFSET;
		reset->value = PG_GETARG_INT64(4);
	}
	else if (!PG_ARGISNULL(5))
	{
		reset->target = BY_SHIFT;
		reset->value = PG_GETARG_INT64(5);
	}
	else
	{
		reset->target = TO_TIME;
		reset->value = kafka_time_of_timestamp(PG_GETARG_TIMESTAMPTZ(6));
	}
	if (reset->topic == NULL && reset->wanted != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions can only be given with a topic")));
	if (reset->wanted != NULL)
		check_wanted(reset);
}

static void
check_wanted(const Reset *reset)
{
	if (ARR_NDIM(reset->wanted) != 1 || array_contains_nulls(reset->wanted))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions must be a list of numbers")));
}

/*
 * Raises an ERROR when the group has members.  Kafka would refuse the change
 * as well, and a dry run is to say so.
 */
static void
require_idle(KafkaAdmin *admin, const char *group)
{
	KafkaGroupMember *members;
	KafkaGroupInfo *info = kafka_admin_group(admin, group, &members);

	if (info == NULL || info->nmembers == 0 ||
		(info->nmembers < 0 && strcmp(info->state, "Empty") == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("consumer group \"%s\" has members", group),
			 errdetail("Its state is %s.", info->state),
			 errhint("Stop its consumers, or wait until they have timed out.")));
}

/*
 * Finds the partitions that are meant, and what the group has committed.
 */
static void
find_partitions(KafkaAdmin *admin, Reset *reset)
{
	KafkaTopicPartition *committed;
	KafkaPartitionInfo *found;
	int			ncommitted;
	int			n;

	ncommitted = kafka_admin_group_offsets(admin, reset->group, &committed);
	if (reset->topic == NULL)
	{
		reset->n = ncommitted;
		reset->old = committed;
	}
	else
	{
		n = kafka_admin_partitions(admin, reset->topic, &found);
		reset->old = palloc0_array(KafkaTopicPartition, n);
		for (int i = 0; i < n; i++)
		{
			if (!is_wanted(reset, found[i].partition))
				continue;
			reset->old[reset->n].topic = reset->topic;
			reset->old[reset->n].partition = found[i].partition;
			take_committed(&reset->old[reset->n++], committed, ncommitted);
		}
		if (reset->wanted != NULL &&
			reset->n < ArrayGetNItems(1, ARR_DIMS(reset->wanted)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("topic \"%s\" has not all of these partitions, or one is there twice",
							reset->topic)));
	}
	reset->new = palloc_array(KafkaTopicPartition, Max(reset->n, 1));
	memcpy(reset->new, reset->old, sizeof(KafkaTopicPartition) * reset->n);
}

static bool
is_wanted(const Reset *reset, int32 partition)
{
	int32	   *wanted;

	if (reset->wanted == NULL)
		return true;
	wanted = (int32 *) ARR_DATA_PTR(reset->wanted);
	for (int i = 0; i < ARR_DIMS(reset->wanted)[0]; i++)
		if (wanted[i] == partition)
			return true;
	return false;
}

static void
take_committed(KafkaTopicPartition *partition,
			   const KafkaTopicPartition *committed, int n)
{
	KafkaTopicPartition *found;

	found = bsearch(partition, committed, n, sizeof(KafkaTopicPartition),
					kafka_compare_topic_partitions);
	partition->offset = found != NULL ? found->offset : KAFKA_OFFSET_UNKNOWN;
}

static KafkaTopicPartition *
ask_offsets(KafkaAdmin *admin, const Reset *reset, int64 time)
{
	KafkaTopicPartition *offsets;

	offsets = palloc_array(KafkaTopicPartition, Max(reset->n, 1));
	memcpy(offsets, reset->old, sizeof(KafkaTopicPartition) * reset->n);
	if (reset->n > 0)
		kafka_admin_offsets(admin, time, offsets, reset->n);
	return offsets;
}

/*
 * Returns where a partition's offset goes: always within what there is.
 */
static int64
new_offset(const Reset *reset, int i)
{
	int64		earliest = reset->earliest[i].offset;
	int64		latest = reset->latest[i].offset;
	int64		old = reset->old[i].offset;
	int64		offset = 0;

	if (earliest < 0 || latest < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("partition %d of topic \"%s\" has no leader, or does not exist",
						reset->old[i].partition, reset->old[i].topic)));
	switch (reset->target)
	{
		case TO_EARLIEST:
			return earliest;
		case TO_LATEST:
			return latest;
		case TO_OFFSET:
			offset = reset->value;
			break;
		case BY_SHIFT:
			if (old < 0)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("consumer group \"%s\" has no offset of partition %d of topic \"%s\" to shift",
								reset->group, reset->old[i].partition,
								reset->old[i].topic)));
			if (pg_add_s64_overflow(old, reset->value, &offset))
				offset = reset->value < 0 ? earliest : latest;
			break;
		case TO_TIME:
			offset = reset->timely[i].offset;
			if (offset < 0)
				return latest;
			break;
	}
	return Min(Max(offset, earliest), latest);
}
