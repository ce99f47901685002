/*-------------------------------------------------------------------------
 *
 * option_defs.c
 *	  The one table of options, and the checks when an option is set.
 *
 * NOTES
 *	  Client properties are an allow-list.  The class of a row says who may
 *	  set it:
 *
 *	  open		whoever owns the object
 *	  secret	in user mappings only, because pg_foreign_server is readable
 *				by everybody
 *	  file		names a file of the database server: pg_read_server_files
 *	  superuser	lends the server's identity or runs something
 *	  never		owned by this extension, or loads code, runs programs or
 *				writes files; also known under this name to librdkafka
 *
 *	  Checks run when an option is set, with the rights of who sets it.  The
 *	  whole list of an object is checked each time, so a role that may not
 *	  set a privileged option cannot change an object that carries one, its
 *	  bootstrap.servers least of all.
 *
 *	  A property may be written with dots or with underscores, unless that is
 *	  the name of another option.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "option_defs.h"
#include "options.h"
#include "topics.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#define TUNABLE (ON_SERVER | ON_TABLE)

static const KafkaOptionDef option_defs[] = {
	/* our own */
	{"timeout", TUNABLE, 0, CLASS_OPEN, TYPE_TIME, 100, INT_MAX},
	{"password_required", ON_SERVER | ON_MAPPING, 0, CLASS_SUPERUSER, TYPE_BOOL},
	{"delivery", TUNABLE, 0, CLASS_OPEN, TYPE_ENUM, 0, 0, "commit|immediate"},
	{"transactional_id_prefix", ON_SERVER | ON_MAPPING, 0, CLASS_OPEN, TYPE_STRING},
	{"topic", ON_TABLE, 0, CLASS_OPEN, TYPE_STRING},
	{"format", ON_TABLE, 0, CLASS_OPEN, TYPE_ENUM, 0, 0, "json|csv|text|raw"},
	{"key_format", ON_TABLE, 0, CLASS_OPEN, TYPE_ENUM, 0, 0, "json|csv|text|raw"},
	{"rows", ON_TABLE, 0, CLASS_OPEN, TYPE_STRING},
	{"strict", ON_TABLE, 0, CLASS_OPEN, TYPE_BOOL},
	{"on_error", ON_TABLE, 0, CLASS_OPEN, TYPE_ENUM, 0, 0, "error|skip|null"},
	{"delimiter", ON_TABLE, 0, CLASS_OPEN, TYPE_CHAR},
	{"quote", ON_TABLE, 0, CLASS_OPEN, TYPE_CHAR},
	{"escape", ON_TABLE, 0, CLASS_OPEN, TYPE_CHAR},
	{"null", ON_TABLE, 0, CLASS_OPEN, TYPE_ANY},
	{"metadata", ON_COLUMN, 0, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"topic|partition|offset|timestamp|timestamp_type|leader_epoch|key|value|headers|ordinality|error"},
	{"source", ON_COLUMN, 0, CLASS_OPEN, TYPE_ENUM, 0, 0, "key|header"},
	{"path", ON_COLUMN, 0, CLASS_OPEN, TYPE_STRING},
	{"epoch", ON_COLUMN, 0, CLASS_OPEN, TYPE_ENUM, 0, 0, "s|ms|us"},

	/* of adjust/kafka_fdw, see doc/from-adjust.md */
	{"batch_size", ON_TABLE, 0, CLASS_OPEN, TYPE_INT, 0, INT_MAX},
	{"buffer_delay", ON_TABLE, 0, CLASS_OPEN, TYPE_INT, 0, INT_MAX},
	{"num_partitions", ON_TABLE, 0, CLASS_OPEN, TYPE_INT, 0, INT_MAX},
	{"ignore_junk", ON_TABLE, 0, CLASS_OPEN, TYPE_BOOL},
	{"encoding", ON_TABLE, 0, CLASS_OPEN, TYPE_ENCODING},
	{"partition", ON_COLUMN, 0, CLASS_OPEN, TYPE_BOOL},
	{"offset", ON_COLUMN, 0, CLASS_OPEN, TYPE_BOOL},
	{"junk", ON_COLUMN, 0, CLASS_OPEN, TYPE_BOOL},
	{"junk_error", ON_COLUMN, 0, CLASS_OPEN, TYPE_BOOL},
	{"json", ON_COLUMN, 0, CLASS_OPEN, TYPE_STRING},
	{"force_null", ON_COLUMN, 0, CLASS_OPEN, TYPE_BOOL},
	{"force_not_null", ON_COLUMN, 0, CLASS_OPEN, TYPE_BOOL},

	/* connection */
	{"bootstrap.servers", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"client.id", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"client.rack", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"client.dns.lookup", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"use_all_dns_ips|resolve_canonical_bootstrap_servers_only"},
	{"broker.address.family", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"any|v4|v6"},
	{"broker.address.ttl", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 86400000},
	{"connections.max.idle.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, INT_MAX},
	{"socket.timeout.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 10, 300000},
	{"socket.connection.setup.timeout.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1000, INT_MAX},
	{"socket.send.buffer.bytes", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 100000000},
	{"socket.receive.buffer.bytes", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 100000000},
	{"socket.keepalive.enable", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_BOOL},
	{"socket.nagle.disable", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_BOOL},
	{"socket.max.fails", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 1000000},
	{"reconnect.backoff.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 3600000},
	{"reconnect.backoff.max.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 3600000},
	{"retry.backoff.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1, 300000},
	{"retry.backoff.max.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1, 300000},
	{"metadata.max.age.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1, 86400000},
	{"topic.metadata.refresh.interval.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, -1, 3600000},
	{"topic.metadata.refresh.fast.interval.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1, 60000},
	{"topic.metadata.propagation.max.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, 3600000},
	{"metadata.recovery.strategy", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"none|rebootstrap"},
	{"metadata.recovery.rebootstrap.trigger.ms", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 0, INT_MAX},
	{"topic.blacklist", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"max.in.flight.requests.per.connection", ON_SERVER, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, 5},
	{"message.max.bytes", TUNABLE, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1000, 100000000},
	{"receive.message.max.bytes", TUNABLE, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_INT, 1000, 1000000000},
	{"message.copy.max.bytes", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 0, 1000000000},

	/* security */
	{"security.protocol", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"plaintext|ssl|sasl_plaintext|sasl_ssl"},
	{"sasl.mechanism", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|OAUTHBEARER|GSSAPI"},
	{"ssl.ca.pem", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"ssl.certificate.pem", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"ssl.endpoint.identification.algorithm", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"none|https"},
	{"https.ca.pem", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"enable.ssl.certificate.verification", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_BOOL},
	{"ssl.cipher.suites", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"ssl.curves.list", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},
	{"ssl.sigalgs.list", ON_SERVER, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_STRING},

	/* consumer */
	{"isolation.level", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"read_committed|read_uncommitted"},
	{"check.crcs", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_BOOL},
	{"fetch.wait.max.ms", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 0, 300000},
	{"fetch.queue.backoff.ms", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 0, 300000},
	{"fetch.error.backoff.ms", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 0, 300000},
	{"fetch.min.bytes", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 1, 100000000},
	{"fetch.max.bytes", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 0, INT_MAX - 512},
	{"fetch.message.max.bytes", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 1, 1000000000},
	{"queued.min.messages", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 1, 10000000},
	{"queued.max.messages.kbytes", TUNABLE, KAFKA_FOR_CONSUMER, CLASS_OPEN, TYPE_INT, 1, 2097151},

	/* producer */
	{"acks", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_ENUM, 0, 0, "all|-1"},
	{"request.timeout.ms", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, 900000},
	{"retries", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, INT_MAX},
	{"transaction.timeout.ms", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1000, INT_MAX},
	{"delivery.timeout.ms", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, INT_MAX},
	{"linger.ms", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 0, 900000},
	{"queue.buffering.max.messages", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, INT_MAX},
	{"queue.buffering.max.kbytes", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, INT_MAX},
	{"batch.size", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, INT_MAX},
	{"batch.num.messages", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 1, 1000000},
	{"compression.type", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"none|gzip|snappy|lz4|zstd"},
	{"compression.level", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, -1, 12},
	{"partitioner", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_ENUM, 0, 0,
	"random|consistent|consistent_random|murmur2|murmur2_random|fnv1a|fnv1a_random"},
	{"sticky.partitioning.linger.ms", TUNABLE, KAFKA_FOR_PRODUCER, CLASS_OPEN, TYPE_INT, 0, 900000},
	{"allow.auto.create.topics", TUNABLE, KAFKA_FOR_ALL, CLASS_OPEN, TYPE_BOOL},

	/* secrets */
	{"sasl.username", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.password", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"ssl.key.pem", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"ssl.key.password", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"ssl.keystore.password", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.config", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.client.id", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.client.secret", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.client.credentials.client.id", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.client.credentials.client.secret", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.scope", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.extensions", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.assertion.private.key.pem", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},
	{"sasl.oauthbearer.assertion.private.key.passphrase", ON_MAPPING, KAFKA_FOR_ALL, CLASS_SECRET, TYPE_STRING},

	/* files of the database server */
	{"ssl.ca.location", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"ssl.certificate.location", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"ssl.key.location", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"ssl.keystore.location", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"ssl.crl.location", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"https.ca.location", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"sasl.oauthbearer.assertion.private.key.file", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"sasl.oauthbearer.assertion.file", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},
	{"sasl.oauthbearer.assertion.jwt.template.file", ON_SERVER | ON_MAPPING, KAFKA_FOR_ALL, CLASS_FILE, TYPE_STRING},

	/* the server's own identity, and what is only for its owner's eyes */
	{"sasl.oauthbearer.method", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.token.endpoint.url", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.metadata.authentication.type", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.grant.type", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.sub.claim.name", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.assertion.algorithm", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.assertion.claim.aud", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.assertion.claim.exp.seconds", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_INT, 1, INT_MAX},
	{"sasl.oauthbearer.assertion.claim.iss", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"sasl.oauthbearer.assertion.claim.jti.include", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_BOOL},
	{"sasl.oauthbearer.assertion.claim.nbf.seconds", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_INT, 0, INT_MAX},
	{"sasl.oauthbearer.assertion.claim.sub", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"enable.sasl.oauthbearer.unsecure.jwt", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_BOOL},
	{"sasl.kerberos.service.name", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_KERBEROS},
	{"sasl.kerberos.principal", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_KERBEROS},
	{"sasl.kerberos.keytab", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_KERBEROS},
	{"sasl.kerberos.min.time.before.relogin", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_INT, 0, 86400000},
	{"ssl.providers", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"debug", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_STRING},
	{"log_level", ON_SERVER, KAFKA_FOR_ALL, CLASS_SUPERUSER, TYPE_INT, 0, 7},

	/* never: a reason is better than "unknown" */
	{"plugin.library.paths", 0, 0, CLASS_NEVER},
	{"interceptors", 0, 0, CLASS_NEVER},
	{"ssl.engine.location", 0, 0, CLASS_NEVER},
	{"ssl.engine.id", 0, 0, CLASS_NEVER},
	{"sasl.kerberos.kinit.cmd", 0, 0, CLASS_NEVER},
	{"internal.termination.signal", 0, 0, CLASS_NEVER},
	{"offset.store.method", 0, 0, CLASS_NEVER},
	{"offset.store.path", 0, 0, CLASS_NEVER},
	{"enable.auto.commit", 0, 0, CLASS_NEVER},
	{"auto.commit.enable", 0, 0, CLASS_NEVER},
	{"auto.commit.interval.ms", 0, 0, CLASS_NEVER},
	{"enable.auto.offset.store", 0, 0, CLASS_NEVER},
	{"auto.offset.reset", 0, 0, CLASS_NEVER},
	{"group.id", 0, 0, CLASS_NEVER},
	{"group.instance.id", 0, 0, CLASS_NEVER},
	{"group.protocol", 0, 0, CLASS_NEVER},
	{"group.remote.assignor", 0, 0, CLASS_NEVER},
	{"partition.assignment.strategy", 0, 0, CLASS_NEVER},
	{"session.timeout.ms", 0, 0, CLASS_NEVER},
	{"heartbeat.interval.ms", 0, 0, CLASS_NEVER},
	{"max.poll.interval.ms", 0, 0, CLASS_NEVER},
	{"transactional.id", 0, KAFKA_FOR_PRODUCER, CLASS_NEVER},
	{"enable.idempotence", 0, 0, CLASS_NEVER},
	{"enable.gapless.guarantee", 0, 0, CLASS_NEVER},
	{"enable.partition.eof", 0, 0, CLASS_NEVER},
	{"enable.metrics.push", 0, 0, CLASS_NEVER},
	{"statistics.interval.ms", 0, 0, CLASS_NEVER},
	{"delivery.report.only.error", 0, 0, CLASS_NEVER},
	{"produce.offset.report", 0, 0, CLASS_NEVER},
	{"queuing.strategy", 0, 0, CLASS_NEVER},
	{"log.queue", 0, 0, CLASS_NEVER},
	{"enabled_events", 0, 0, CLASS_NEVER},
	{"builtin.features", 0, 0, CLASS_NEVER},
	{"api.version.request", 0, 0, CLASS_NEVER},
	{"api.version.fallback.ms", 0, 0, CLASS_NEVER},
	{"broker.version.fallback", 0, 0, CLASS_NEVER},
	{"client.software.name", 0, 0, CLASS_NEVER},
	{"client.software.version", 0, 0, CLASS_NEVER},
	{"test.mock.num.brokers", 0, 0, CLASS_NEVER},
};

/* other names of the same option */
static const char *const option_aliases[][2] = {
	{"brokers", "bootstrap.servers"},
	{"metadata.broker.list", "bootstrap.servers"},
	{"sasl.mechanisms", "sasl.mechanism"},
	{"max.partition.fetch.bytes", "fetch.message.max.bytes"},
	{"request.required.acks", "acks"},
	{"message.send.max.retries", "retries"},
	{"message.timeout.ms", "delivery.timeout.ms"},
	{"queue.buffering.max.ms", "linger.ms"},
	{"compression.codec", "compression.type"},
};

static bool same_name(const char *a, const char *b);
static void check_list(List *options, int where);
static void check_rights(const KafkaOptionDef *def, const char *value);
static void check_together(List *options, int where);
static const char *value_of(List *options, const char *name);
static void check_server(List *options);
static void check_table(List *options);
static void refuse_with_format(List *options, const char *name,
							   const char *format);
static void check_number(const KafkaOptionDef *def, const char *value);
static void check_enum(const KafkaOptionDef *def, const char *value);
static void reject_value(const KafkaOptionDef *def, const char *value,
						 const char *detail);
static int	place_of(Oid catalog);
static const char *place_name(int where);

/*
 * kafka_options_validate
 *		Checks the whole option list of a server, a user mapping, a foreign
 *		table, a column or the wrapper, with the rights of the current user.
 *
 * Raises an ERROR for an option that is unknown (with the closest match),
 * misplaced, out of range, given twice or not allowed to this user.
 */
void
kafka_options_validate(List *options, Oid catalog)
{
	int			where = place_of(catalog);

	check_list(options, where);
	check_together(options, where);
}

static void
check_list(List *options, int where)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const KafkaOptionDef *def = kafka_option_find(option->defname);
		char	   *value = defGetString(option);

		if (def == NULL)
			kafka_option_reject_unknown(option->defname);
		kafka_option_check_place(def, option->defname, where);
		check_rights(def, value);
		kafka_option_check_value(def, value);

		for (int i = 0; i < foreach_current_index(lc); i++)
		{
			DefElem    *other = list_nth_node(DefElem, options, i);

			if (kafka_option_find(other->defname) == def)
				ereport(ERROR,
						(errcode(ERRCODE_SYNTAX_ERROR),
						 errmsg("options \"%s\" and \"%s\" are the same option",
								other->defname, option->defname)));
		}
	}
}

/*
 * Raises an ERROR where the option does not belong.
 */
void
kafka_option_check_place(const KafkaOptionDef *def, const char *name, int where)
{
	if (def->class == CLASS_NEVER)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" cannot be set", name),
				 errdetail("The property is set by kafka_fdw itself, or would run, load or write something on the database server.")));
	if ((def->where & where) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not allowed for a %s",
						name, place_name(where)),
				 def->class == CLASS_SECRET ?
				 errhint("Options of foreign servers and tables can be read by everybody; put it into a user mapping.") :
				 errhint("It is an option of a %s.", place_name(def->where))));
}

/*
 * Raises an ERROR where the current user may not set the option.
 */
static void
check_rights(const KafkaOptionDef *def, const char *value)
{
	bool		gssapi;

	if (superuser())
		return;
	gssapi = strcmp(def->name, "sasl.mechanism") == 0 &&
		pg_strcasecmp(value, "GSSAPI") == 0;
	if (def->class == CLASS_SUPERUSER || gssapi)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", def->name),
				 errdetail("Only a superuser may set or keep it, because it lends the database server's identity.")));
	if (def->class == CLASS_FILE &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", def->name),
				 errdetail("Only roles with privileges of \"pg_read_server_files\" may set or keep it.")));
}

void
kafka_option_check_value(const KafkaOptionDef *def, const char *value)
{
	bool		flag;

	switch (def->type)
	{
		case TYPE_ANY:
			break;
		case TYPE_STRING:
			if (value[0] == '\0')
				reject_value(def, value, "The value must not be empty.");
			break;
		case TYPE_BOOL:
			if (!parse_bool(value, &flag))
				reject_value(def, value, "The value must be true or false.");
			break;
		case TYPE_INT:
		case TYPE_TIME:
			check_number(def, value);
			break;
		case TYPE_CHAR:
			if (strlen(value) != 1 || IS_HIGHBIT_SET(value[0]) ||
				value[0] == '\n' || value[0] == '\r')
				reject_value(def, value,
							 "The value must be a single one-byte character, not a newline or carriage return.");
			break;
		case TYPE_KERBEROS:
			if (value[0] == '\0' ||
				strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@./_-") != strlen(value))
				reject_value(def, value,
							 "Only letters, digits and the characters @ . / _ - are accepted.");
			break;
		case TYPE_ENCODING:
			if (pg_char_to_encoding(value) < 0)
				reject_value(def, value,
							 "The value must be the name of an encoding.");
			break;
		case TYPE_ENUM:
			check_enum(def, value);
			break;
	}
}

static void
check_number(const KafkaOptionDef *def, const char *value)
{
	int			number;

	if (!parse_int(value, &number,
				   def->type == TYPE_TIME ? GUC_UNIT_MS : 0, NULL) ||
		number < def->min || number > def->max)
		reject_value(def, value,
					 psprintf("The value must be an integer from " INT64_FORMAT
							  " to " INT64_FORMAT "%s.", def->min, def->max,
							  def->type == TYPE_TIME ?
							  " milliseconds, or have a unit" : ""));
}

static void
check_enum(const KafkaOptionDef *def, const char *value)
{
	const char *p = def->values;
	size_t		len = strlen(value);

	while (len > 0)
	{
		size_t		word = strcspn(p, "|");

		if (word == len && (def->clients != 0 ?
							pg_strncasecmp(p, value, len) :
							strncmp(p, value, len)) == 0)
			return;
		if (p[word] == '\0')
			break;
		p += word + 1;
	}
	reject_value(def, value,
				 psprintf("Accepted values: %s.", def->values));
}

/*
 * Raises an ERROR for options that do not go together, or that are missing.
 */
static void
check_together(List *options, int where)
{
	if (where == ON_SERVER)
		check_server(options);
	if (where == ON_TABLE)
		check_table(options);
}

/*
 * Returns the value of an option, whatever it is called in the list, or NULL.
 */
static const char *
value_of(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(kafka_option_find(option->defname)->name, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

static void
check_server(List *options)
{
	const char *protocol = value_of(options, "security.protocol");
	const char *verify = value_of(options,
								  "enable.ssl.certificate.verification");
	bool		verifies;

	if (value_of(options, "bootstrap.servers") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"bootstrap_servers\" is missing"),
				 errhint("Name at least one broker as host:port.")));
	if (protocol != NULL && pg_strncasecmp(protocol, "sasl", 4) == 0 &&
		value_of(options, "sasl.mechanism") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"sasl.mechanism\" is missing"),
				 errdetail("The option \"security.protocol\" asks for it.")));
	if (verify != NULL && parse_bool(verify, &verifies) && !verifies)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("certificates of the brokers are not verified"),
				 errdetail("Whoever can redirect a connection can read and change what it carries, the password included.")));
}

static void
check_table(List *options)
{
	const char *topic = value_of(options, "topic");
	const char *format = value_of(options, "format");
	bool		csv = format != NULL && strcmp(format, "csv") == 0;
	bool		copy = csv || (format != NULL && strcmp(format, "text") == 0);
	bool		json = format == NULL || strcmp(format, "json") == 0;

	if (topic == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"topic\" is missing")));
	kafka_topics_check(topic);
	if (!json)
		refuse_with_format(options, "rows", format);
	if (!csv)
	{
		refuse_with_format(options, "quote", format);
		refuse_with_format(options, "escape", format);
	}
	if (!copy)
	{
		refuse_with_format(options, "delimiter", format);
		refuse_with_format(options, "null", format);
	}
}

static void
refuse_with_format(List *options, const char *name, const char *format)
{
	if (value_of(options, name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" cannot be used with format \"%s\"",
						name, format != NULL ? format : "json")));
}

/*
 * Raises an ERROR for an option that nobody knows, with the closest match.
 */
void
kafka_option_reject_unknown(const char *name)
{
	const char *best = NULL;
	int			best_distance = 5;	/* more is no match */
	size_t		len = strlen(name);
	char	   *dotted = pstrdup(name);

	for (char *c = dotted; *c != '\0'; c++)
		if (*c == '_')
			*c = '.';
	for (int i = 0; i < lengthof(option_defs) && len < 255; i++)
	{
		const KafkaOptionDef *def = &option_defs[i];
		int			distance;

		if (def->class == CLASS_NEVER)
			continue;
		distance = varstr_levenshtein_less_equal(def->clients != 0 ? dotted : name,
												 len, def->name,
												 strlen(def->name), 1, 1, 1,
												 best_distance - 1, true);
		if (distance < best_distance && distance <= (int) len / 2)
		{
			best = def->name;
			best_distance = distance;
		}
	}

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 best != NULL ?
			 errhint("Perhaps you meant the option \"%s\".", best) : 0));
}

/*
 * Raises an ERROR for a value; that of a secret is not repeated.
 */
static void
reject_value(const KafkaOptionDef *def, const char *value, const char *detail)
{
	if (def->class == CLASS_SECRET)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", def->name),
				 errdetail_internal("%s", detail)));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"",
					def->name, value),
			 errdetail_internal("%s", detail)));
}

const KafkaOptionDef *
kafka_option_find(const char *name)
{
	for (int i = 0; i < lengthof(option_aliases); i++)
		if (same_name(name, option_aliases[i][0]))
			name = option_aliases[i][1];
	for (int i = 0; i < lengthof(option_defs); i++)
		if (strcmp(name, option_defs[i].name) == 0)
			return &option_defs[i];
	for (int i = 0; i < lengthof(option_defs); i++)
		if (same_name(name, option_defs[i].name))
			return &option_defs[i];
	return NULL;
}

/*
 * Says whether two names are the same but for dots and underscores.
 */
static bool
same_name(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++)
		if (*a != *b && !(*a == '_' && *b == '.'))
			return false;
	return *a == *b;
}

static int
place_of(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return ON_SERVER;
		case UserMappingRelationId:
			return ON_MAPPING;
		case ForeignTableRelationId:
			return ON_TABLE;
		case AttributeRelationId:
			return ON_COLUMN;
		default:
			return 0;
	}
}

static const char *
place_name(int where)
{
	if (where & ON_SERVER)
		return "foreign server";
	if (where & ON_MAPPING)
		return "user mapping";
	if (where & ON_TABLE)
		return "foreign table";
	if (where & ON_COLUMN)
		return "column";
	return "foreign data wrapper";
}
