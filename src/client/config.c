/*-------------------------------------------------------------------------
 *
 * config.c
 *	  Options to a librdkafka configuration.
 *
 * NOTES
 *	  Three layers, later ones win: defaults that a user may override, the
 *	  user's properties, and what this extension owns.
 *
 *	  Fetching ahead is bounded by kafka_fdw.fetch_memory.  librdkafka counts
 *	  messages and payload bytes but not its own overhead of some 350 bytes a
 *	  message, so both thresholds are set: a message for every 512 bytes, and
 *	  half of the memory for payload.  How a consumer keeps the fetcher from
 *	  idling at a threshold is told in consumer.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/handle.h"

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
static void set_memory(rd_kafka_conf_t *conf,
					   const KafkaClientOptions *options);

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
			strncmp(property->name, "queued.", 7) != 0)
			set(conf, property->name, property->value, true);
	}
	set_all(conf, owned, lengthof(owned), client);

	return conf;
}

static void
set_all(rd_kafka_conf_t *conf, const Setting *settings, int n, int client)
{
	for (int i = 0; i < n; i++)
		if ((settings[i].clients & client) != 0)
			set(conf, settings[i].name, settings[i].value, false);
}

/*
 * Sets how much is fetched ahead; a user's property can only lower it.
 */
static void
set_memory(rd_kafka_conf_t *conf, const KafkaClientOptions *options)
{
	const char *kbytes = kafka_options_get(options, "queued.max.messages.kbytes");
	const char *messages = kafka_options_get(options, "queued.min.messages");
	int64		max_kbytes = kafka_fetch_memory / 2;
	int64		max_messages = (int64) kafka_fetch_memory * 2;

	if (kbytes != NULL)
		max_kbytes = Min(max_kbytes, atoi(kbytes));
	if (messages != NULL)
		max_messages = Min(max_messages, atoi(messages));
	set_number(conf, "queued.max.messages.kbytes", max_kbytes);
	set_number(conf, "queued.min.messages", max_messages);
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
