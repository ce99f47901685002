/*-------------------------------------------------------------------------
 *
 * admin_configs.c
 *	  Settings of topics and brokers.
 *
 * NOTES
 *	  Kafka has two requests that change settings.  The incremental one, in
 *	  librdkafka since 2.2, says what to set and what to reset.  The older one
 *	  replaces all settings that the topic has of its own.  So, before 2.2,
 *	  they are read and written back with the change: what somebody else sets
 *	  between the two is lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin_internal.h"
#include "client/wait.h"
#include "nodes/parsenodes.h"

#define VISIBLE_PAUSE 20		/* ms */

#if RD_KAFKA_VERSION >= 0x020200ff
#define HAVE_INCREMENTAL
#endif

static int	describe(KafkaAdmin *admin, rd_kafka_ResourceType_t type,
					 const char *name, const char *what,
					 KafkaConfigEntry **entries);
static rd_kafka_resp_err_t send_describe(KafkaAdmin *admin,
										 rd_kafka_ResourceType_t type,
										 const char *name, int32 broker,
										 const char **reason);
static int	take_entries(KafkaAdmin *admin, KafkaConfigEntry **entries);
static void await_visible(KafkaAdmin *admin, const char *topic,
						  const List *config);
static bool is_visible(const KafkaConfigEntry *entries, int n,
					   const DefElem *setting);
static bool is_same(const char *a, const char *b);
static rd_kafka_ConfigResource_t *begin_request(KafkaAdmin *admin,
												rd_kafka_admin_op_t op,
												rd_kafka_ResourceType_t type,
												const char *name);
static void end_request(KafkaAdmin *admin,
						const rd_kafka_ConfigResource_t **results,
						const char *what);
static void destroy_resource(void *object);
static int	compare_entries(const void *a, const void *b);

/*
 * kafka_admin_topic_config
 *		Asks for the settings of a topic, and returns their number and,
 *		ordered by name, an array.
 */
int
kafka_admin_topic_config(KafkaAdmin *admin, const char *topic,
						 KafkaConfigEntry **entries)
{
	return describe(admin, RD_KAFKA_RESOURCE_TOPIC, topic,
					psprintf("get the configuration of topic \"%s\"", topic),
					entries);
}

/*
 * kafka_admin_broker_config
 *		The same of a broker.
 */
int
kafka_admin_broker_config(KafkaAdmin *admin, int32 broker,
						  KafkaConfigEntry **entries)
{
	return describe(admin, RD_KAFKA_RESOURCE_BROKER, psprintf("%d", broker),
					psprintf("get the configuration of broker %d", broker),
					entries);
}

static int
describe(KafkaAdmin *admin, rd_kafka_ResourceType_t type, const char *name,
		 const char *what, KafkaConfigEntry **entries)
{
	const char *reason;
	rd_kafka_resp_err_t err;

	err = send_describe(admin, type, name, -1, &reason);
	kafka_admin_check(admin, err, reason, what);
	return take_entries(admin, entries);
}

/*
 * Asks for settings, of a certain broker unless it is -1, and returns the
 * error.
 */
static rd_kafka_resp_err_t
send_describe(KafkaAdmin *admin, rd_kafka_ResourceType_t type,
			  const char *name, int32 broker, const char **reason)
{
	rd_kafka_ConfigResource_t *resource;
	const rd_kafka_ConfigResource_t **results;
	rd_kafka_resp_err_t err;
	char		errstr[512];
	size_t		n;

	*reason = NULL;
	resource = begin_request(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, type,
							 name);
	if (broker >= 0)
		(void) rd_kafka_AdminOptions_set_broker(admin->request, broker, errstr,
												sizeof(errstr));
	rd_kafka_DescribeConfigs(admin->handle->rk, &resource, 1, admin->request,
							 admin->queue);
	err = kafka_admin_await(admin);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	results = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(admin->result),
														&n);
	*reason = rd_kafka_ConfigResource_error_string(results[0]);
	return rd_kafka_ConfigResource_error(results[0]);
}

/*
 * Copies the settings that have come, and ends the request.
 */
static int
take_entries(KafkaAdmin *admin, KafkaConfigEntry **entries)
{
	const rd_kafka_ConfigResource_t **results;
	const rd_kafka_ConfigEntry_t **found;
	size_t		n;

	results = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(admin->result),
														&n);
	found = rd_kafka_ConfigResource_configs(results[0], &n);
	*entries = palloc0_array(KafkaConfigEntry, Max(n, 1));
	for (size_t i = 0; i < n; i++)
	{
		KafkaConfigEntry *entry = &(*entries)[i];
		const char *value = rd_kafka_ConfigEntry_value(found[i]);

		entry->name = pstrdup(rd_kafka_ConfigEntry_name(found[i]));
		entry->source = rd_kafka_ConfigSource_name(rd_kafka_ConfigEntry_source(found[i]));
		entry->is_default = rd_kafka_ConfigEntry_is_default(found[i]) == 1;
		entry->sensitive = rd_kafka_ConfigEntry_is_sensitive(found[i]) == 1;
		entry->read_only = rd_kafka_ConfigEntry_is_read_only(found[i]) == 1;
		if (value != NULL && !entry->sensitive)
			entry->value = pstrdup(value);
	}
	kafka_admin_end(admin);
	qsort(*entries, n, sizeof(KafkaConfigEntry), compare_entries);
	return n;
}

/*
 * kafka_admin_alter_topic_config
 *		Changes settings of a topic.
 *
 * config is a list of DefElem with string arguments; without an argument the
 * setting is reset.
 */
#ifdef HAVE_INCREMENTAL
void
kafka_admin_alter_topic_config(KafkaAdmin *admin, const char *topic,
							   const List *config)
{
	char	   *what = psprintf("change the configuration of topic \"%s\"", topic);
	rd_kafka_ConfigResource_t *resource;
	ListCell   *lc;
	size_t		n;

	resource = begin_request(admin, RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
							 RD_KAFKA_RESOURCE_TOPIC, topic);
	foreach(lc, config)
	{
		DefElem    *entry = lfirst_node(DefElem, lc);
		rd_kafka_error_t *error;

		error = rd_kafka_ConfigResource_add_incremental_config(resource, entry->defname,
															   entry->arg != NULL ?
															   RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET :
															   RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE,
															   entry->arg != NULL ?
															   strVal(entry->arg) : NULL);
		if (error != NULL)
		{
			rd_kafka_resp_err_t err = rd_kafka_error_code(error);
			char	   *reason = pstrdup(rd_kafka_error_string(error));

			rd_kafka_error_destroy(error);
			kafka_admin_check(admin, err, reason, what);
		}
	}
	rd_kafka_IncrementalAlterConfigs(admin->handle->rk, &resource, 1,
									 admin->request, admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, what);
	end_request(admin,
				rd_kafka_IncrementalAlterConfigs_result_resources(rd_kafka_event_IncrementalAlterConfigs_result(admin->result),
																  &n), what);
	await_visible(admin, topic, config);
}
#else

static bool is_changed(const char *name, const List *config);

void
kafka_admin_alter_topic_config(KafkaAdmin *admin, const char *topic,
							   const List *config)
{
	char	   *what = psprintf("change the configuration of topic \"%s\"", topic);
	rd_kafka_ConfigResource_t *resource;
	KafkaConfigEntry *entries;
	ListCell   *lc;
	int			n = describe(admin, RD_KAFKA_RESOURCE_TOPIC, topic, what, &entries);
	size_t		count;

	resource = begin_request(admin, RD_KAFKA_ADMIN_OP_ALTERCONFIGS,
							 RD_KAFKA_RESOURCE_TOPIC, topic);
	for (int i = 0; i < n; i++)
	{
		if (strcmp(entries[i].source, "DYNAMIC_TOPIC_CONFIG") != 0 ||
			is_changed(entries[i].name, config))
			continue;
		if (entries[i].value == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot change the configuration of topic \"%s\" with librdkafka %s",
							topic, rd_kafka_version_str()),
					 errdetail("The value of \"%s\" is not shown, and would be lost.",
							   entries[i].name),
					 errhint("librdkafka 2.2 or later can.")));
		rd_kafka_ConfigResource_set_config(resource, entries[i].name,
										   entries[i].value);
	}
	foreach(lc, config)
	{
		DefElem    *entry = lfirst_node(DefElem, lc);

		if (entry->arg != NULL)
			kafka_admin_check(admin,
							  rd_kafka_ConfigResource_set_config(resource, entry->defname,
																 strVal(entry->arg)),
							  NULL, what);
	}
	rd_kafka_AlterConfigs(admin->handle->rk, &resource, 1, admin->request,
						  admin->queue);
	kafka_admin_check(admin, kafka_admin_await(admin), NULL, what);
	end_request(admin,
				rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(admin->result),
													   &count), what);
	await_visible(admin, topic, config);
}

static bool
is_changed(const char *name, const List *config)
{
	ListCell   *lc;

	foreach(lc, config)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return true;
	}
	return false;
}
#endif

/*
 * Waits until every broker shows the change, so that the next statement does,
 * and does not write back what was before.  Where it may not be seen, there is
 * nothing to wait for.
 */
static void
await_visible(KafkaAdmin *admin, const char *topic, const List *config)
{
	int64		deadline = kafka_admin_deadline(admin);
	KafkaClusterInfo *cluster = kafka_admin_cluster(admin);
	ListCell   *lc;

	for (int i = 0; i < cluster->nbrokers; i++)
	{
		bool		visible = false;

		while (!visible && kafka_now_ms() < deadline)
		{
			KafkaConfigEntry *entries;
			const char *reason;
			int			n;

			if (send_describe(admin, RD_KAFKA_RESOURCE_TOPIC, topic,
							  cluster->brokers[i].id, &reason) !=
				RD_KAFKA_RESP_ERR_NO_ERROR)
				break;
			n = take_entries(admin, &entries);
			visible = true;
			foreach(lc, config)
			{
				visible &= is_visible(entries, n, lfirst_node(DefElem, lc));
			}
			if (!visible)
				kafka_wait(PGINVALID_SOCKET, VISIBLE_PAUSE);
		}
	}
	kafka_admin_end(admin);
}

/*
 * Tells whether a setting is as it was to be; Kafka prints values in its own
 * way.
 */
static bool
is_visible(const KafkaConfigEntry *entries, int n, const DefElem *setting)
{
	for (int i = 0; i < n; i++)
	{
		bool		own;

		if (strcmp(entries[i].name, setting->defname) != 0)
			continue;
		own = strcmp(entries[i].source, "DYNAMIC_TOPIC_CONFIG") == 0;
		if (setting->arg == NULL)
			return !own;
		return own && (entries[i].value == NULL ||
					   is_same(entries[i].value, strVal(setting->arg)));
	}
	return true;
}

/*
 * Compares without case and spaces, numbers by their value.
 */
static bool
is_same(const char *a, const char *b)
{
	char	   *end_a;
	char	   *end_b;
	double		x = strtod(a, &end_a);
	double		y = strtod(b, &end_b);

	if (end_a != a && end_b != b && *end_a == '\0' && *end_b == '\0')
		return x == y;
	for (;;)
	{
		while (*a == ' ')
			a++;
		while (*b == ' ')
			b++;
		if (pg_tolower((unsigned char) *a) != pg_tolower((unsigned char) *b))
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

/*
 * Begins a request about the settings of a topic or broker.
 */
static rd_kafka_ConfigResource_t *
begin_request(KafkaAdmin *admin, rd_kafka_admin_op_t op,
			  rd_kafka_ResourceType_t type, const char *name)
{
	rd_kafka_ConfigResource_t *resource;

	kafka_admin_begin(admin, op);
	resource = rd_kafka_ConfigResource_new(type, name);
	if (resource == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a topic must not be empty")));
	return kafka_admin_own(admin, resource, destroy_resource);
}

static void
end_request(KafkaAdmin *admin, const rd_kafka_ConfigResource_t **results,
			const char *what)
{
	kafka_admin_check(admin, rd_kafka_ConfigResource_error(results[0]),
					  rd_kafka_ConfigResource_error_string(results[0]), what);
	kafka_admin_end(admin);
}

static void
destroy_resource(void *object)
{
	rd_kafka_ConfigResource_destroy(object);
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp(((const KafkaConfigEntry *) a)->name,
				  ((const KafkaConfigEntry *) b)->name);
}
