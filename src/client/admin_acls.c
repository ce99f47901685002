/*-------------------------------------------------------------------------
 *
 * admin_acls.c
 *	  Access control lists: list, create, delete.
 *
 * NOTES
 *	  In Kafka's protocol a cluster has, as the resource of an ACL, the number
 *	  that a broker has as the resource of a configuration; librdkafka has
 *	  only the latter name.
 *
 *	  When a broker refuses to list ACLs, librdkafka (2.0 to 2.12 at least)
 *	  reads the error and returns an empty list.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin_internal.h"

/* A word of ours for a number of Kafka's protocol. */
typedef struct Word
{
	const char *word;
	int			number;
} Word;

static const Word resource_types[] = {
	{"topic", RD_KAFKA_RESOURCE_TOPIC},
	{"group", RD_KAFKA_RESOURCE_GROUP},
	{"cluster", RD_KAFKA_RESOURCE_BROKER},
#if RD_KAFKA_VERSION >= 0x020600ff
	{"transactional_id", RD_KAFKA_RESOURCE_TRANSACTIONAL_ID},
#endif
	{NULL}
};

static const Word pattern_types[] = {
	{"literal", RD_KAFKA_RESOURCE_PATTERN_LITERAL},
	{"prefixed", RD_KAFKA_RESOURCE_PATTERN_PREFIXED},
	{NULL}
};

static const Word operations[] = {
	{"all", RD_KAFKA_ACL_OPERATION_ALL},
	{"read", RD_KAFKA_ACL_OPERATION_READ},
	{"write", RD_KAFKA_ACL_OPERATION_WRITE},
	{"create", RD_KAFKA_ACL_OPERATION_CREATE},
	{"delete", RD_KAFKA_ACL_OPERATION_DELETE},
	{"alter", RD_KAFKA_ACL_OPERATION_ALTER},
	{"describe", RD_KAFKA_ACL_OPERATION_DESCRIBE},
	{"cluster_action", RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION},
	{"describe_configs", RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS},
	{"alter_configs", RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS},
	{"idempotent_write", RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE},
	{NULL}
};

static const Word permissions[] = {
	{"allow", RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW},
	{"deny", RD_KAFKA_ACL_PERMISSION_TYPE_DENY},
	{NULL}
};

static const char *find_word(const Word *words, int number);
static int	find_number(const Word *words, const char *what,
						const char *word);
static rd_kafka_AclBinding_t *make_acl(KafkaAdmin *admin, const KafkaAcl *acl);
static void check_error(KafkaAdmin *admin, const rd_kafka_error_t *error,
						const char *what);
static void destroy_acl(void *object);
static int	compare_acls(const void *a, const void *b);

/*
 * kafka_admin_acls
 *		Asks for all ACLs, and returns their number and, in the order of their
 *		columns, an array.
 *
 * A type that this librdkafka does not know is unknown.
 */
int
kafka_admin_acls(KafkaAdmin *admin, KafkaAcl **acls)
{
	rd_kafka_AclBindingFilter_t *filter;
	const rd_kafka_AclBinding_t **found;
	char		errstr[512];
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DESCRIBEACLS);
	filter = rd_kafka_AclBindingFilter_new(RD_KAFKA_RESOURCE_ANY, NULL,
										   RD_KAFKA_RESOURCE_PATTERN_ANY, NULL,
										   NULL, RD_KAFKA_ACL_OPERATION_ANY,
										   RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
										   errstr, sizeof(errstr));
	kafka_admin_own(admin, filter, destroy_acl);
	rd_kafka_DescribeAcls(admin->handle->rk, filter, admin->request,
						  admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL,
					  psprintf("get the ACLs of server \"%s\"",
							   admin->options->server));
	found = rd_kafka_DescribeAcls_result_acls(rd_kafka_event_DescribeAcls_result(admin->result),
											  &n);
	*acls = palloc0_array(KafkaAcl, Max(n, 1));
	for (size_t i = 0; i < n; i++)
	{
		KafkaAcl   *acl = &(*acls)[i];

		acl->resource_type = find_word(resource_types,
									   rd_kafka_AclBinding_restype(found[i]));
		acl->resource_name = pstrdup(rd_kafka_AclBinding_name(found[i]));
		acl->pattern_type = find_word(pattern_types,
									  rd_kafka_AclBinding_resource_pattern_type(found[i]));
		acl->principal = pstrdup(rd_kafka_AclBinding_principal(found[i]));
		acl->host = pstrdup(rd_kafka_AclBinding_host(found[i]));
		acl->operation = find_word(operations,
								   rd_kafka_AclBinding_operation(found[i]));
		acl->permission = find_word(permissions,
									rd_kafka_AclBinding_permission_type(found[i]));
	}
	kafka_admin_end(admin);
	qsort(*acls, n, sizeof(KafkaAcl), compare_acls);
	return n;
}

/*
 * kafka_admin_create_acl
 *		Creates an ACL; one that is there already stays.
 */
void
kafka_admin_create_acl(KafkaAdmin *admin, const KafkaAcl *acl)
{
	rd_kafka_AclBinding_t *binding;
	const rd_kafka_acl_result_t **results;
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_CREATEACLS);
	binding = make_acl(admin, acl);
	rd_kafka_CreateAcls(admin->handle->rk, &binding, 1, admin->request,
						admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, "create the ACL");
	results = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(admin->result),
											  &n);
	check_error(admin, rd_kafka_acl_result_error(results[0]),
				"create the ACL");
	kafka_admin_end(admin);
}

/*
 * kafka_admin_delete_acl
 *		Deletes an ACL, and returns how many there were: one or none.
 */
int
kafka_admin_delete_acl(KafkaAdmin *admin, const KafkaAcl *acl)
{
	rd_kafka_AclBinding_t *binding;
	const rd_kafka_DeleteAcls_result_response_t **results;
	const rd_kafka_AclBinding_t **deleted;
	size_t		n;

	kafka_admin_begin(admin, RD_KAFKA_ADMIN_OP_DELETEACLS);
	binding = make_acl(admin, acl);
	rd_kafka_DeleteAcls(admin->handle->rk, &binding, 1, admin->request,
						admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, "delete the ACL");
	results = rd_kafka_DeleteAcls_result_responses(rd_kafka_event_DeleteAcls_result(admin->result),
												   &n);
	check_error(admin, rd_kafka_DeleteAcls_result_response_error(results[0]),
				"delete the ACL");
	deleted = rd_kafka_DeleteAcls_result_response_matching_acls(results[0], &n);
	for (size_t i = 0; i < n; i++)
		check_error(admin, rd_kafka_AclBinding_error(deleted[i]),
					"delete the ACL");
	kafka_admin_end(admin);
	return n;
}

static const char *
find_word(const Word *words, int number)
{
	for (const Word *w = words; w->word != NULL; w++)
		if (w->number == number)
			return w->word;
	return "unknown";
}

/*
 * Raises an ERROR with the words that there are, when it is none of them.
 */
static int
find_number(const Word *words, const char *what, const char *word)
{
	StringInfoData list;

	for (const Word *w = words; w->word != NULL; w++)
		if (pg_strcasecmp(w->word, word) == 0)
			return w->number;
	initStringInfo(&list);
	for (const Word *w = words; w->word != NULL; w++)
		appendStringInfo(&list, "%s\"%s\"", w == words ? "" : ", ", w->word);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\" of an ACL", what, word),
			 errhint("With librdkafka %s it is one of %s.",
					 rd_kafka_version_str(), list.data)));
	return 0;
}

/*
 * Makes what stands for exactly this ACL, also as a filter.
 */
static rd_kafka_AclBinding_t *
make_acl(KafkaAdmin *admin, const KafkaAcl *acl)
{
	rd_kafka_AclBinding_t *binding;
	char		errstr[512];

	binding = rd_kafka_AclBinding_new(find_number(resource_types,
												  "resource type",
												  acl->resource_type),
									  acl->resource_name,
									  find_number(pattern_types,
												  "pattern type",
												  acl->pattern_type),
									  acl->principal, acl->host,
									  find_number(operations, "operation",
												  acl->operation),
									  find_number(permissions, "permission",
												  acl->permission),
									  errstr, sizeof(errstr));
	if (binding == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid ACL: %s", errstr)));
	return kafka_admin_own(admin, binding, destroy_acl);
}

static void
check_error(KafkaAdmin *admin, const rd_kafka_error_t *error, const char *what)
{
	if (error != NULL)
		kafka_admin_check(admin, rd_kafka_error_code(error),
						  rd_kafka_error_string(error), what);
}

static void
destroy_acl(void *object)
{
	rd_kafka_AclBinding_destroy(object);
}

static int
compare_acls(const void *a, const void *b)
{
	const KafkaAcl *x = a;
	const KafkaAcl *y = b;
	int			order = strcmp(x->resource_type, y->resource_type);

	if (order == 0)
		order = strcmp(x->resource_name, y->resource_name);
	if (order == 0)
		order = strcmp(x->pattern_type, y->pattern_type);
	if (order == 0)
		order = strcmp(x->principal, y->principal);
	if (order == 0)
		order = strcmp(x->host, y->host);
	if (order == 0)
		order = strcmp(x->operation, y->operation);
	return order != 0 ? order : strcmp(x->permission, y->permission);
}
