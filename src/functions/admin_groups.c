/*-------------------------------------------------------------------------
 *
 * admin_groups.c
 *	  SQL functions on consumer groups.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin.h"
#include "client/consumer.h"
#include "funcapi.h"
#include "functions/server.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kafka_consumer_groups);
PG_FUNCTION_INFO_V1(kafka_group_members);
PG_FUNCTION_INFO_V1(kafka_group_offsets);
PG_FUNCTION_INFO_V1(kafka_delete_group);

#define BATCH 100				/* messages, to find one */

static void put_member(FunctionCallInfo fcinfo, const KafkaGroupMember *member);
static void put_assignment(FunctionCallInfo fcinfo,
						   const KafkaGroupMember *member,
						   const KafkaTopicPartition *assigned, int n);
static int	add_assigned(KafkaTopicPartition **partitions, int n,
						 const KafkaGroupMember *members, int nmembers);
static void pass_gaps(KafkaClientOptions *options,
					  KafkaTopicPartition *partitions,
					  const KafkaTopicPartition *ends, int n);
static void take_first(KafkaTopicPartition *partitions, int n, bool *found,
					   const KafkaMessage *message);
static KafkaTopicPartition *ask_ends(KafkaClientOptions *options,
									 const KafkaTopicPartition *partitions,
									 int n);

/*
 * kafka.consumer_groups(server text)
 *		Lists the consumer groups that the user may see.
 */
Datum
kafka_consumer_groups(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaGroupInfo *groups;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	n = kafka_admin_groups(admin, &groups);
	for (int i = 0; i < n; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = CStringGetTextDatum(groups[i].name);
		values[1] = kafka_text_or_null(groups[i].state, &nulls[1]);
		values[2] = kafka_id_or_null(groups[i].nmembers, &nulls[2]);
		values[3] = kafka_text_or_null(groups[i].assignor, &nulls[3]);
		values[4] = kafka_id_or_null(groups[i].coordinator, &nulls[4]);
		kafka_put_row(fcinfo, values, nulls);
	}
	kafka_admin_close(admin);

	return (Datum) 0;
}

/*
 * kafka.group_members(server text, group_id text)
 *		Lists the members of a group with what is assigned to them: a row a
 *		topic, or one without for a member that has nothing.
 */
Datum
kafka_group_members(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaGroupInfo *group;
	KafkaGroupMember *members;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	group = kafka_admin_group_required(admin,
									   text_to_cstring(PG_GETARG_TEXT_PP(1)),
									   &members);
	if (group->nmembers < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot describe the members of consumer group \"%s\"",
						group->name),
				 errdetail("They use a group protocol that this librdkafka cannot describe.")));
	for (int i = 0; i < group->nmembers; i++)
		put_member(fcinfo, &members[i]);
	kafka_admin_close(admin);

	return (Datum) 0;
}

static void
put_member(FunctionCallInfo fcinfo, const KafkaGroupMember *member)
{
	int			end;

	if (member->nassigned == 0)
		put_assignment(fcinfo, member, NULL, 0);
	for (int start = 0; start < member->nassigned; start = end)
	{
		for (end = start + 1; end < member->nassigned; end++)
			if (strcmp(member->assigned[start].topic,
					   member->assigned[end].topic) != 0)
				break;
		put_assignment(fcinfo, member, &member->assigned[start], end - start);
	}
}

/*
 * Adds a row for the partitions of one topic.
 */
static void
put_assignment(FunctionCallInfo fcinfo, const KafkaGroupMember *member,
			   const KafkaTopicPartition *assigned, int n)
{
	int32	   *partitions = palloc_array(int32, Max(n, 1));
	Datum		values[6];
	bool		nulls[6] = {false};

	for (int i = 0; i < n; i++)
		partitions[i] = assigned[i].partition;
	values[0] = CStringGetTextDatum(member->id);
	values[1] = kafka_text_or_null(member->instance, &nulls[1]);
	values[2] = CStringGetTextDatum(member->client);
	values[3] = CStringGetTextDatum(member->host);
	values[4] = kafka_text_or_null(n > 0 ? assigned[0].topic : NULL, &nulls[4]);
	values[5] = kafka_int_array(partitions, n);
	nulls[5] = n == 0;
	kafka_put_row(fcinfo, values, nulls);
}

/*
 * kafka.group_offsets(server text, group_id text, skip_gaps bool)
 *		Shows how far a group has come in each partition that it has committed
 *		an offset of, or that one of its members reads.
 */
Datum
kafka_group_offsets(PG_FUNCTION_ARGS)
{
	text	   *server = PG_GETARG_TEXT_PP(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	KafkaClientOptions *options = kafka_server_options(server);
	KafkaAdmin *admin;
	KafkaGroupInfo *group;
	KafkaGroupMember *members;
	KafkaTopicPartition *partitions;
	KafkaTopicPartition *next;
	KafkaTopicPartition *stable;
	KafkaTopicPartition *latest;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	kafka_options_set(options, "isolation.level", "read_committed");
	admin = kafka_admin_open(options);
	group = kafka_admin_group_required(admin, name, &members);
	n = kafka_admin_group_offsets(admin, name, &partitions);
	kafka_admin_close(admin);
	n = add_assigned(&partitions, n, members, group->nmembers);
	stable = ask_ends(options, partitions, n);
	latest = ask_ends(kafka_server_options_uncommitted(server), partitions, n);
	next = palloc_array(KafkaTopicPartition, Max(n, 1));
	memcpy(next, partitions, sizeof(KafkaTopicPartition) * n);
	if (PG_GETARG_BOOL(2))
		pass_gaps(options, next, stable, n);

	for (int i = 0; i < n; i++)
	{
		Datum		values[7];
		bool		nulls[7] = {false};

		values[0] = CStringGetTextDatum(partitions[i].topic);
		values[1] = Int32GetDatum(partitions[i].partition);
		values[2] = kafka_offset_or_null(partitions[i].offset, &nulls[2]);
		values[3] = kafka_offset_or_null(latest[i].offset, &nulls[3]);
		values[4] = Int64GetDatum(latest[i].offset - next[i].offset);
		nulls[4] = nulls[2] || nulls[3];
		values[5] = kafka_offset_or_null(stable[i].offset, &nulls[5]);
		values[6] = kafka_text_or_null(partitions[i].metadata, &nulls[6]);
		kafka_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Moves offsets on to the first message that is there, at most to the ends.
 */
static void
pass_gaps(KafkaClientOptions *options, KafkaTopicPartition *partitions,
		  const KafkaTopicPartition *ends, int n)
{
	KafkaConsumer *consumer = kafka_consumer_open(options);
	KafkaRange *ranges = palloc_array(KafkaRange, Max(n, 1));
	bool	   *found = palloc0_array(bool, Max(n, 1));
	int			nranges = 0;

	for (int i = 0; i < n; i++)
	{
		found[i] = partitions[i].offset < 0 ||
			partitions[i].offset >= ends[i].offset;
		if (found[i])
			continue;
		ranges[nranges].topic = partitions[i].topic;
		ranges[nranges].partition = partitions[i].partition;
		ranges[nranges].start = partitions[i].offset;
		ranges[nranges++].end = ends[i].offset;
	}
	if (nranges > 0)
		kafka_consumer_start(consumer, ranges, nranges);
	while (nranges > 0 && !kafka_consumer_finished(consumer) &&
		   memchr(found, false, n) != NULL)
	{
		(void) kafka_consumer_poll(consumer, BATCH, -1);
		for (int i = 0; i < kafka_consumer_count(consumer); i++)
			take_first(partitions, n, found,
					   kafka_consumer_message(consumer, i));
		kafka_consumer_release(consumer);
	}
	kafka_consumer_close(consumer);
	for (int i = 0; i < n; i++)
		if (!found[i])
			partitions[i].offset = ends[i].offset;
}

/*
 * Notes the first message of a partition.
 */
static void
take_first(KafkaTopicPartition *partitions, int n, bool *found,
		   const KafkaMessage *message)
{
	KafkaTopicPartition key = {message->topic, message->partition};
	KafkaTopicPartition *partition;

	partition = bsearch(&key, partitions, n, sizeof(KafkaTopicPartition),
						kafka_compare_topic_partitions);
	if (partition == NULL || found[partition - partitions])
		return;
	partition->offset = message->offset;
	found[partition - partitions] = true;
}

/*
 * Adds the partitions that members read and that have no committed offset;
 * returns how many there are then, in order.
 */
static int
add_assigned(KafkaTopicPartition **partitions, int n,
			 const KafkaGroupMember *members, int nmembers)
{
	KafkaTopicPartition *all;
	int			size = n;

	for (int i = 0; i < nmembers; i++)
		size += members[i].nassigned;
	all = palloc_array(KafkaTopicPartition, Max(size, 1));
	memcpy(all, *partitions, sizeof(KafkaTopicPartition) * n);
	size = n;
	for (int i = 0; i < nmembers; i++)
		for (int j = 0; j < members[i].nassigned; j++)
		{
			KafkaTopicPartition *assigned = &members[i].assigned[j];

			if (bsearch(assigned, *partitions, n, sizeof(KafkaTopicPartition),
						kafka_compare_topic_partitions) != NULL)
				continue;
			all[size] = *assigned;
			all[size++].offset = KAFKA_OFFSET_UNKNOWN;
		}
	qsort(all, size, sizeof(KafkaTopicPartition),
		  kafka_compare_topic_partitions);
	*partitions = all;
	return size;
}

/*
 * Asks for the ends of partitions, as the options have it.
 */
static KafkaTopicPartition *
ask_ends(KafkaClientOptions *options, const KafkaTopicPartition *partitions,
		 int n)
{
	KafkaTopicPartition *ends = palloc_array(KafkaTopicPartition, Max(n, 1));
	KafkaAdmin *admin = kafka_admin_open(options);

	memcpy(ends, partitions, sizeof(KafkaTopicPartition) * n);
	if (n > 0)
		kafka_admin_offsets(admin, KAFKA_TIME_LATEST, ends, n);
	kafka_admin_close(admin);
	return ends;
}

/*
 * kafka.delete_group(server text, group_id text)
 *		Deletes a group that has no members.
 */
Datum
kafka_delete_group(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;

	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	kafka_admin_delete_group(admin, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}
