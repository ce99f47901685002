/*-------------------------------------------------------------------------
 *
 * config.c
 *	  Options to a librdkafka configuration.
 *
 * NOTES
 *	  Three layers, later ones win: defaults that a user may override, the
 *	  user's properties, and what this extension owns.
 *
 *	  Fetching ahead is bounded by kafka_fdw.fetch_memory.  librdkafka stops
 *	  to ask for more at a threshold of messages or of payload bytes, which do
 *	  not count its own overhead of some 350 bytes a message, and then still
 *	  takes one response of each broker, which is unpacked as a whole.  So the
 *	  thresholds are a message for every 1024 bytes and a quarter of the memory
 *	  for payload, and a response is at most a 64th of it, as compressed; scans
 *	  ask for less where it is compressed well (scan_read.c).
 *	  How a consumer keeps the fetcher from idling at a threshold is told in
 *	  consumer.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/handle.h"

/* what a broker gives at once, of all partitions and of one: Kafka's defaults */
#define MAX_RESPONSE_BYTES (50 * 1024 * 1024)
#define MAX_PARTITION_BYTES (1024 * 1024)

typedef struct Setting
{
	int			clients;		/* KAFKA_FOR_... */
	const char *name;
	const char *value;
} Setting;

static const Setting defaults[] = {
	{KAFKA_FOR_ALL, "client.id", "kafka_fdw"},
	{KAFKA_FOR_ALL, "socket.keepalive.enable", "true"},
	{KAFKA_FOR_ALL, "socket.timeout.ms", "30000"},
	{KAFKA_FOR_ALL, "reconnect.backoff.max.ms", "5000"},
	{KAFKA_FOR_ALL, "allow.auto.create.topics", "false"},
	{KAFKA_FOR_CONSUMER, "isolation.level", "read_committed"},
	{KAFKA_FOR_CONSUMER, "check.crcs", "true"},
	{KAFKA_FOR_CONSUMER, "fetch.queue.backoff.ms", "10"},
	{KAFKA_FOR_CONSUMER, "fetch.error.backoff.ms", "100"},
	/* a broker answers in order: offsets would wait behind an idle fetch */
	{KAFKA_FOR_CONSUMER, "fetch.wait.max.ms", "100"},
	{KAFKA_FOR_PRODUCER, "queue.buffering.max.kbytes", "65536"},
	{KAFKA_FOR_PRODUCER, "topic.metadata.propagation.max.ms", "2000"},
};

static const Setting owned[] = {
	{KAFKA_FOR_ALL, "log.queue", "true"},
	{KAFKA_FOR_ALL, "enable.metrics.push", "false"},
	{KAFKA_FOR_CONSUMER, "enable.partition.eof", "true"},
	{KAFKA_FOR_CONSUMER, "enable.auto.commit", "false"},
	{KAFKA_FOR_CONSUMER, "enable.auto.offset.store", "false"},
	{KAFKA_FOR_CONSUMER, "auto.offset.reset", "error"},
	{KAFKA_FOR_PRODUCER, "enable.idempotence", "true"},
	{KAFKA_FOR_PRODUCER, "acks", "all"},
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value,
				bool required);
static void set_all(rd_kafka_conf_t *conf, const Setting *settings, int n,
					int clients);
static void set_number(rd_kafka_conf_t *conf, const char *name, int64 value);
static void set_kinit(rd_kafka_conf_t *conf, const KafkaClientOptions *options);
static void set_memory(rd_kafka_conf_t *conf,
					   const KafkaClientOptions *options);
static void set_at_most(rd_kafka_conf_t *conf,
						const KafkaClientOptions *options, const char *name,
						int64 value);
static bool is_memory(const char *name);

/*
 * kafka_config_make
 *		Returns a configuration for a client, which the caller destroys or
 *		hands to rd_kafka_new().
 *
 * Raises an ERROR for a property or value that this librdkafka does not take.
 */
rd_kafka_conf_t *
kafka_config_make(rd_kafka_type_t type, const KafkaClientOptions *options)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int			client;
	ListCell   *lc;

	client = type == RD_KAFKA_CONSUMER ? KAFKA_FOR_CONSUMER : KAFKA_FOR_PRODUCER;
	if (conf == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));

	set_all(conf, defaults, lengthof(defaults), client);
	if (type == RD_KAFKA_CONSUMER)
		set_memory(conf, options);
	else
		set_number(conf, "delivery.timeout.ms", options->timeout);
	foreach(lc, options->properties)
	{
		KafkaProperty *property = lfirst(lc);

		if ((property->clients & client) != 0 &&
			!(client == KAFKA_FOR_CONSUMER && is_memory(property->name)))
			set(conf, property->name, property->value, true);
	}
	set_all(conf, owned, lengthof(owned), client);
	set_kinit(conf, options);

	return conf;
}

/*
 * Tells whether a property is one of those that set_memory() looks at.
 */
static bool
is_memory(const char *name)
{
	return strncmp(name, "queued.", 7) == 0 ||
		strcmp(name, "fetch.max.bytes") == 0 ||
		strcmp(name, "message.max.bytes") == 0;
}

/*
 * Sets what librdkafka has a shell do for a ticket: nothing, unless the
 * configuration file says so.
 */
static void
set_kinit(rd_kafka_conf_t *conf, const KafkaClientOptions *options)
{
	const char *mechanism = kafka_options_get(options, "sasl.mechanism");

	if (mechanism == NULL || pg_strcasecmp(mechanism, "GSSAPI") != 0)
		return;
	if (kafka_kinit_command[0] == '\0')
		set(conf, "sasl.kerberos.min.time.before.relogin", "0", true);
	else
		set(conf, "sasl.kerberos.kinit.cmd", kafka_kinit_command, true);
}

static void
set_all(rd_kafka_conf_t *conf, const Setting *settings, int n, int client)
{
	for (int i = 0; i < n; i++)
		if ((settings[i].clients & client) != 0)
			set(conf, settings[i].name, settings[i].value, false);
}

/*
 * Sets how much is fetched ahead and at once; a user's properties can only
 * lower it, but for what a response has of one partition.
 */
static void
set_memory(rd_kafka_conf_t *conf, const KafkaClientOptions *options)
{
	int64		memory = (int64) kafka_fetch_memory * 1024;

	set_at_most(conf, options, "queued.max.messages.kbytes", memory / 4096);
	set_at_most(conf, options, "queued.min.messages", memory / 1024);
	set_at_most(conf, options, "fetch.max.bytes",
				Min(memory / 64, MAX_RESPONSE_BYTES));
	set_number(conf, "fetch.message.max.bytes",
			   Min(memory / 64, MAX_PARTITION_BYTES));

	/* of a consumer it is nothing but the least that fetch.max.bytes may be */
	set_number(conf, "message.max.bytes", 1000);
}

/*
 * Sets a number, or the user's where that is less.
 */
static void
set_at_most(rd_kafka_conf_t *conf, const KafkaClientOptions *options,
			const char *name, int64 value)
{
	const char *user = kafka_options_get(options, name);

	if (user != NULL)
		value = Min(value, strtoll(user, NULL, 10));
	set_number(conf, name, Max(value, 1));
}

static void
set_number(rd_kafka_conf_t *conf, const char *name, int64 value)
{
	char		buf[32];

	snprintf(buf, sizeof(buf), INT64_FORMAT, value);
	set(conf, name, buf, true);
}

/*
 * Sets one property.  A property that is not required may be unknown to this
 * version of librdkafka.
 */
static void
set(rd_kafka_conf_t *conf, const char *name, const char *value, bool required)
{
	char		errstr[512];
	rd_kafka_conf_res_t res;

	res = rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr));
	if (res == RD_KAFKA_CONF_OK ||
		(res == RD_KAFKA_CONF_UNKNOWN && !required))
		return;

	rd_kafka_conf_destroy(conf);
	if (res == RD_KAFKA_CONF_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not known to librdkafka %s",
						name, rd_kafka_version_str())));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", name),
			 errdetail_internal("%s", errstr)));
}
