/*-------------------------------------------------------------------------
 *
 * admin_groups.c
 *	  Consumer groups: list, describe, offsets, delete.
 *
 * NOTES
 *	  Requests about a group go to its coordinator, which for a moment may be
 *	  none or still loading the group: they are sent again until the client's
 *	  timeout has passed.
 *
 *	  A group that nobody knows is described as Dead.  So is one whose members
 *	  speak Kafka's newer group protocol (KIP-848), which librdkafka cannot
 *	  describe before 2.10; the list of groups tells the two apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin_internal.h"

static void list_groups(KafkaAdmin *admin, KafkaGroupInfo **groups, int *n);
static rd_kafka_resp_err_t send_list(KafkaAdmin *admin, const char **reason);
static const rd_kafka_ConsumerGroupDescription_t **describe_groups(KafkaAdmin *admin,
																   const char **names,
																   int n,
																   const char *what);
static rd_kafka_resp_err_t description_error(KafkaAdmin *admin,
											 const char **reason);
static void take_description(KafkaGroupInfo *info,
							 const rd_kafka_ConsumerGroupDescription_t *description);
static KafkaGroupMember *take_members(const rd_kafka_ConsumerGroupDescription_t *description);
static KafkaTopicPartition *take_list(const rd_kafka_topic_partition_list_t *list,
									  int *n);
static rd_kafka_resp_err_t send_group_offsets(KafkaAdmin *admin,
											  const char *group,
											  const rd_kafka_group_result_t **result);
static rd_kafka_resp_err_t send_alter(KafkaAdmin *admin, const char *group,
									  rd_kafka_topic_partition_list_t *list,
									  const rd_kafka_group_result_t **result);
static rd_kafka_resp_err_t send_delete(KafkaAdmin *admin, const char *group,
									   const char **reason);
static rd_kafka_resp_err_t group_result(const rd_kafka_group_result_t *result,
										const char **reason);
static void destroy_group_offsets(void *object);
static void destroy_alter(void *object);
static void destroy_delete(void *object);
static int	compare_groups(const void *a, const void *b);

/*
 * kafka_admin_groups
 *		Asks for the consumer groups that the user may see, and returns their
 *		number and, ordered by name, an array.
 */
int
kafka_admin_groups(KafkaAdmin *admin, KafkaGroupInfo **groups)
{
	const rd_kafka_ConsumerGroupDescription_t **descriptions;
	const char **names;
	int			n;

	list_groups(admin, groups, &n);
	if (n == 0)
		return 0;
	names = palloc_array(const char *, n);
	for (int i = 0; i < n; i++)
		names[i] = (*groups)[i].name;
	descriptions = describe_groups(admin, names, n,
								   psprintf("describe the consumer groups of server \"%s\"",
											admin->options->server));
	for (int i = 0; i < n; i++)
		take_description(&(*groups)[i], descriptions[i]);
	kafka_admin_end(admin);
	return n;
}

/*
 * kafka_admin_group
 *		Asks for one consumer group, and returns it with its members, or NULL
 *		when there is no such group.
 *
 * nmembers is -1 when this librdkafka cannot describe them.
 */
KafkaGroupInfo *
kafka_admin_group(KafkaAdmin *admin, const char *group,
				  KafkaGroupMember **members)
{
	KafkaGroupInfo *info = palloc0(sizeof(KafkaGroupInfo));
	const rd_kafka_ConsumerGroupDescription_t *description;
	KafkaGroupInfo *groups;
	int			n;

	info->name = group;
	info->state = NULL;
	description = describe_groups(admin, &group, 1,
								  psprintf("describe consumer group \"%s\"",
										   group))[0];
	take_description(info, description);
	*members = take_members(description);
	kafka_admin_end(admin);
	if (info->state != NULL)
		return info;

	list_groups(admin, &groups, &n);
	for (int i = 0; i < n; i++)
		if (strcmp(groups[i].name, group) == 0)
			return &groups[i];
	return NULL;
}

/*
 * kafka_admin_group_required
 *		The same, but an ERROR when there is no such group.
 */
KafkaGroupInfo *
kafka_admin_group_required(KafkaAdmin *admin, const char *group,
						   KafkaGroupMember **members)
{
	KafkaGroupInfo *info = kafka_admin_group(admin, group, members);

	if (info == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("consumer group \"%s\" does not exist", group)));
	return info;
}

/*
 * kafka_admin_delete_group
 *		Deletes a consumer group with its committed offsets.
 */
void
kafka_admin_delete_group(KafkaAdmin *admin, const char *group)
{
	int64		deadline = kafka_admin_deadline(admin);
	const char *reason;
	rd_kafka_resp_err_t err;

	do
		err = send_delete(admin, group, &reason);
	while (kafka_admin_retry(admin, err, deadline));
	kafka_admin_check(admin, err, reason,
					  psprintf("delete consumer group \"%s\"", group));
	kafka_admin_end(admin);
}

/*
 * kafka_admin_group_offsets
 *		Asks for the offsets that a group has committed, and returns their
 *		number and, ordered by topic and partition, an array.
 */
int
kafka_admin_group_offsets(KafkaAdmin *admin, const char *group,
						  KafkaTopicPartition **partitions)
{
	int64		deadline = kafka_admin_deadline(admin);
	char	   *what = psprintf("get the offsets of consumer group \"%s\"", group);
	const rd_kafka_group_result_t *result = NULL;
	rd_kafka_resp_err_t err;
	int			n;

	do
		err = send_group_offsets(admin, group, &result);
	while (kafka_admin_retry(admin, err, deadline));
	kafka_admin_check(admin, err, NULL, what);
	*partitions = take_list(rd_kafka_group_result_partitions(result), &n);
	for (int i = 0; i < n; i++)
		kafka_admin_check(admin,
						  rd_kafka_group_result_partitions(result)->elems[i].err,
						  NULL, what);
	kafka_admin_end(admin);
	return n;
}

/*
 * kafka_admin_alter_group_offsets
 *		Commits offsets in the name of a group, which has no members.
 */
void
kafka_admin_alter_group_offsets(KafkaAdmin *admin, const char *group,
								const KafkaTopicPartition *partitions, int n)
{
	int64		deadline = kafka_admin_deadline(admin);
	const rd_kafka_group_result_t *result = NULL;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	do
	{
		kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
		list = kafka_admin_own(admin, rd_kafka_topic_partition_list_new(n),
							   kafka_admin_destroy_list);
		for (int i = 0; i < n; i++)
			rd_kafka_topic_partition_list_add(list, partitions[i].topic,
											  partitions[i].partition)->offset =
				partitions[i].offset;
		err = send_alter(admin, group, list, &result);
	} while (kafka_admin_retry(admin, err, deadline));
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID)
		err = RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP;
	kafka_admin_check(admin, err, NULL,
					  psprintf("set the offsets of consumer group \"%s\"",
							   group));
	kafka_admin_end(admin);
}

/*
 * Asks for the names and states of all groups, by name.
 */
static void
list_groups(KafkaAdmin *admin, KafkaGroupInfo **groups, int *n)
{
	char	   *what = psprintf("get the consumer groups of server \"%s\"",
								admin->options->server);
	int64		deadline = kafka_admin_deadline(admin);
	const rd_kafka_ListConsumerGroups_result_t *result;
	const rd_kafka_ConsumerGroupListing_t **listings;
	rd_kafka_resp_err_t err;
	const char *reason;
	size_t		count;

	do
		err = send_list(admin, &reason);
	while (kafka_admin_retry(admin, err, deadline));
	kafka_admin_check(admin, err, reason, what);
	result = rd_kafka_event_ListConsumerGroups_result(admin->result);
	listings = rd_kafka_ListConsumerGroups_result_valid(result, &count);
	*groups = palloc0_array(KafkaGroupInfo, Max(count, 1));
	for (size_t i = 0; i < count; i++)
	{
		KafkaGroupInfo *group = &(*groups)[i];

		group->name = pstrdup(rd_kafka_ConsumerGroupListing_group_id(listings[i]));
		group->state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(listings[i]));
		group->nmembers = -1;
		group->coordinator = -1;
	}
	kafka_admin_end(admin);
	*n = count;
	qsort(*groups, *n, sizeof(KafkaGroupInfo), compare_groups);
}

/*
 * Asks all brokers for their groups, and returns the first error.
 */
static rd_kafka_resp_err_t
send_list(KafkaAdmin *admin, const char **reason)
{
	const rd_kafka_error_t **errors;
	rd_kafka_resp_err_t err;
	size_t		n;

	*reason = NULL;
	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
	rd_kafka_ListConsumerGroups(admin->handle->rk, admin->request,
								admin->queue);
	err = kafka_admin_await(admin);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	errors = rd_kafka_ListConsumerGroups_result_errors(rd_kafka_event_ListConsumerGroups_result(admin->result),
													   &n);
	if (n == 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	*reason = rd_kafka_error_string(errors[0]);
	return rd_kafka_error_code(errors[0]);
}

/*
 * Describes groups, and returns one description for each, in order; they live
 * until the end of the request.
 */
static const rd_kafka_ConsumerGroupDescription_t **
describe_groups(KafkaAdmin *admin, const char **names, int n, const char *what)
{
	int64		deadline = kafka_admin_deadline(admin);
	const char *reason;
	rd_kafka_resp_err_t err;
	size_t		count;

	do
	{
		kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
		rd_kafka_DescribeConsumerGroups(admin->handle->rk, names, n,
										admin->request, admin->queue);
		err = description_error(admin, &reason);
	} while (kafka_admin_retry(admin, err, deadline));
	kafka_admin_check(admin, err, reason, what);
	return rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(admin->result),
														 &count);
}

/*
 * Waits for descriptions and returns the first error among them; a group that
 * is none, or no consumer group, is not one.
 */
static rd_kafka_resp_err_t
description_error(KafkaAdmin *admin, const char **reason)
{
	const rd_kafka_ConsumerGroupDescription_t **descriptions;
	rd_kafka_resp_err_t err = kafka_admin_await(admin);
	size_t		n;

	*reason = NULL;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	descriptions = rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(admin->result),
																 &n);
	for (size_t i = 0; i < n; i++)
	{
		const rd_kafka_error_t *error;

		error = rd_kafka_ConsumerGroupDescription_error(descriptions[i]);
		err = error != NULL ? rd_kafka_error_code(error) :
			RD_KAFKA_RESP_ERR_NO_ERROR;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR ||
			err == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND ||
			err == RD_KAFKA_RESP_ERR__INVALID_ARG)
			continue;
		*reason = rd_kafka_error_string(error);
		return err;
	}
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * Completes what is known of a group; one that cannot be described stays as
 * it is, without a number of members.
 */
static void
take_description(KafkaGroupInfo *info,
				 const rd_kafka_ConsumerGroupDescription_t *description)
{
	const rd_kafka_Node_t *node;
	const char *assignor;

	info->nmembers = -1;
	info->coordinator = -1;
	if (rd_kafka_ConsumerGroupDescription_error(description) != NULL)
		return;
	node = rd_kafka_ConsumerGroupDescription_coordinator(description);
	if (node != NULL)
		info->coordinator = rd_kafka_Node_id(node);
	if (rd_kafka_ConsumerGroupDescription_state(description) ==
		RD_KAFKA_CONSUMER_GROUP_STATE_DEAD)
		return;
	info->state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(description));
	info->nmembers = rd_kafka_ConsumerGroupDescription_member_count(description);
	assignor = rd_kafka_ConsumerGroupDescription_partition_assignor(description);
	if (assignor != NULL && assignor[0] != '\0')
		info->assignor = pstrdup(assignor);
}

static KafkaGroupMember *
take_members(const rd_kafka_ConsumerGroupDescription_t *description)
{
	size_t		n = rd_kafka_ConsumerGroupDescription_member_count(description);
	KafkaGroupMember *members = palloc0_array(KafkaGroupMember, Max(n, 1));

	for (size_t i = 0; i < n; i++)
	{
		const rd_kafka_MemberDescription_t *member;
		const rd_kafka_MemberAssignment_t *assignment;
		const char *instance;

		member = rd_kafka_ConsumerGroupDescription_member(description, i);
		instance = rd_kafka_MemberDescription_group_instance_id(member);
		assignment = rd_kafka_MemberDescription_assignment(member);
		members[i].id = pstrdup(rd_kafka_MemberDescription_consumer_id(member));
		members[i].instance = instance != NULL ? pstrdup(instance) : NULL;
		members[i].client = pstrdup(rd_kafka_MemberDescription_client_id(member));
		members[i].host = pstrdup(rd_kafka_MemberDescription_host(member));
		members[i].assigned =
			take_list(assignment != NULL ?
					  rd_kafka_MemberAssignment_partitions(assignment) : NULL,
					  &members[i].nassigned);
	}
	return members;
}

/*
 * Copies a list of partitions, ordered by topic and partition.
 */
static KafkaTopicPartition *
take_list(const rd_kafka_topic_partition_list_t *list, int *n)
{
	KafkaTopicPartition *copy;

	*n = list != NULL ? list->cnt : 0;
	copy = palloc0_array(KafkaTopicPartition, Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		const rd_kafka_topic_partition_t *element = &list->elems[i];

		copy[i].topic = pstrdup(element->topic);
		copy[i].partition = element->partition;
		copy[i].offset = element->offset >= 0 ? element->offset :
			KAFKA_OFFSET_UNKNOWN;
		if (element->metadata_size > 0)
			copy[i].metadata = pnstrdup(element->metadata,
										element->metadata_size);
	}
	qsort(copy, *n, sizeof(KafkaTopicPartition),
		  kafka_compare_topic_partitions);
	return copy;
}

static rd_kafka_resp_err_t
send_group_offsets(KafkaAdmin *admin, const char *group,
				   const rd_kafka_group_result_t **result)
{
	rd_kafka_ListConsumerGroupOffsets_t *request;
	const rd_kafka_group_result_t **results;
	rd_kafka_resp_err_t err;
	const char *reason;
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	request = kafka_admin_own(admin,
							  rd_kafka_ListConsumerGroupOffsets_new(group, NULL),
							  destroy_group_offsets);
	rd_kafka_ListConsumerGroupOffsets(admin->handle->rk, &request, 1,
									  admin->request, admin->queue);
	err = kafka_admin_await(admin);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	results = rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(admin->result),
															  &n);
	*result = results[0];
	return group_result(results[0], &reason);
}

static rd_kafka_resp_err_t
send_alter(KafkaAdmin *admin, const char *group,
		   rd_kafka_topic_partition_list_t *list,
		   const rd_kafka_group_result_t **result)
{
	rd_kafka_AlterConsumerGroupOffsets_t *request;
	const rd_kafka_group_result_t **results;
	const rd_kafka_topic_partition_list_t *done;
	rd_kafka_resp_err_t err;
	const char *reason;
	size_t		n;

	request = kafka_admin_own(admin,
							  rd_kafka_AlterConsumerGroupOffsets_new(group, list),
							  destroy_alter);
	rd_kafka_AlterConsumerGroupOffsets(admin->handle->rk, &request, 1,
									   admin->request, admin->queue);
	err = kafka_admin_await(admin);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	results = rd_kafka_AlterConsumerGroupOffsets_result_groups(rd_kafka_event_AlterConsumerGroupOffsets_result(admin->result),
															   &n);
	*result = results[0];
	err = group_result(results[0], &reason);
	done = rd_kafka_group_result_partitions(results[0]);
	for (int i = 0; done != NULL && i < done->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		err = done->elems[i].err;
	return err;
}

static rd_kafka_resp_err_t
send_delete(KafkaAdmin *admin, const char *group, const char **reason)
{
	rd_kafka_DeleteGroup_t *request;
	rd_kafka_resp_err_t err;
	size_t		n;

	*reason = NULL;
	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DELETEGROUPS);
	request = kafka_admin_own(admin, rd_kafka_DeleteGroup_new(group),
							  destroy_delete);
	rd_kafka_DeleteGroups(admin->handle->rk, &request, 1, admin->request,
						  admin->queue);
	err = kafka_admin_await(admin);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	return group_result(rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(admin->result),
															&n)[0], reason);
}

static rd_kafka_resp_err_t
group_result(const rd_kafka_group_result_t *result, const char **reason)
{
	const rd_kafka_error_t *error = rd_kafka_group_result_error(result);

	*reason = NULL;
	if (error == NULL)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	*reason = rd_kafka_error_string(error);
	return rd_kafka_error_code(error);
}

static void
destroy_group_offsets(void *object)
{
	rd_kafka_ListConsumerGroupOffsets_destroy(object);
}

static void
destroy_alter(void *object)
{
	rd_kafka_AlterConsumerGroupOffsets_destroy(object);
}

static void
destroy_delete(void *object)
{
	rd_kafka_DeleteGroup_destroy(object);
}

static int
compare_groups(const void *a, const void *b)
{
	return strcmp(((const KafkaGroupInfo *) a)->name,
				  ((const KafkaGroupInfo *) b)->name);
}
