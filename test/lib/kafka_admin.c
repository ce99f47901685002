/*-------------------------------------------------------------------------
 *
 * kafka_admin.c
 *		What tests do to a Kafka broker, a few milliseconds a call.
 *
 * kafka_admin [-X KEY=VALUE]... BOOTSTRAP COMMAND ARGUMENT...
 *
 *	create-topic TOPIC PARTITIONS [KEY=VALUE]...
 *	delete-topic TOPIC
 *	add-partitions TOPIC TOTAL
 *	delete-records TOPIC PARTITION OFFSET
 *	watermarks TOPIC				prints: PARTITION LOW HIGH
 *	produce TOPIC					prints: PARTITION OFFSET
 *	produce-transaction TOPIC commit|abort|hang		the same
 *	fill TOPIC COUNT BYTES RANDOM	produces COUNT messages of BYTES bytes
 *	consume TOPIC					prints messages
 *
 * kafka_admin properties			prints librdkafka's table of properties
 * kafka_admin version				prints its version
 *
 * NOTES
 *	produce reads messages from standard input and consume writes them to
 *	standard output in the same form, made for programs and for any bytes:
 *
 *		PARTITION OFFSET TIMESTAMP KEYLEN VALUELEN HEADERS\n key value
 *		then for each header: NAMELEN VALUELEN\n name value
 *
 *	A length of -1 means NULL.  For produce, a partition of -1 leaves the
 *	choice to the client, a timestamp of 0 means now, and the offset does not
 *	matter.
 *
 *	fill makes messages as fast as the client can take them: {"n": 0, "t":
 *	"..."} and so on, with n counted up.  RANDOM of each message's bytes are
 *	random and the others always the same, for compression to work on.
 *
 *	A command returns when its effect can be seen by other clients.  "hang"
 *	leaves a transaction open; another transaction with the same
 *	transactional.id, or transaction.timeout.ms, ends it.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <librdkafka/rdkafka.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PARTITIONS 100
#define END_WAIT_MS 3000
/*
 * A broker that was killed may need a quarter of a minute on a busy machine, and
 * the client looks for it every ten seconds.
 */
#define TIMEOUT_MS 60000
#define POLL_MS 10
#define CHUNK_SIZE 1024

/* where a message was written; offset is -1 until it is acknowledged */
typedef struct Delivery
{
	int32_t		partition;
	int64_t		offset;
	rd_kafka_resp_err_t err;
} Delivery;

/* behind the last message that was produced to each partition, or 0 */
static int64_t last_offset[MAX_PARTITIONS];

static rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf);
static void create_topic(rd_kafka_t *client, int argc, char **argv);
static void delete_topic(rd_kafka_t *client, const char *topic);
static void add_partitions(rd_kafka_t *client, const char *topic, int total);
static void delete_records(rd_kafka_t *client, const char *topic,
						   int partition, int64_t offset);
static void watermarks(rd_kafka_t *client, const char *topic);
static void produce(rd_kafka_t *client, const char *topic);
static void produce_transaction(rd_kafka_t *client, const char *topic,
								const char *end);
static void fill(rd_kafka_t *client, const char *topic, int count, int bytes,
				 int random_bytes);
static void consume(rd_kafka_t *client, const char *topic);

static void
die(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	fputs("kafka_admin: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void *
check_alloc(void *pointer)
{
	if (pointer == NULL)
		die("out of memory");
	return pointer;
}

static void
set_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char		reason[512];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) !=
		RD_KAFKA_CONF_OK)
		die("%s", reason);
}

/* Note where a message went.  Its opaque is the Delivery. */
static void
note_delivery(rd_kafka_t *client, const rd_kafka_message_t *message,
			  void *opaque)
{
	Delivery   *delivery = message->_private;

	(void) client;
	(void) opaque;
	delivery->partition = message->partition;
	delivery->offset = message->offset;
	delivery->err = message->err;
}

int
main(int argc, char **argv)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *client;
	const char *command;
	char	  **args;
	int			nargs;
	int			opt;

	if (argc == 2 && strcmp(argv[1], "properties") == 0)
	{
		rd_kafka_conf_properties_show(stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "version") == 0)
	{
		puts(rd_kafka_version_str());
		return 0;
	}
	set_property(conf, "enable.partition.eof", "true");
	set_property(conf, "fetch.wait.max.ms", "10");	/* delays every EOF */
	set_property(conf, "enable.idempotence", "true");
	set_property(conf, "linger.ms", "0");
	set_property(conf, "partitioner", "murmur2_random");
	set_property(conf, "log_level", "2");

	while ((opt = getopt(argc, argv, "+X:")) != -1)
	{
		char	   *equals = opt == 'X' ? strchr(optarg, '=') : NULL;

		if (equals == NULL)
			die("an option is -X KEY=VALUE");
		*equals = '\0';
		set_property(conf, optarg, equals + 1);
	}
	nargs = argc - optind - 2;
	if (nargs < 1)
		die("usage: kafka_admin [-X KEY=VALUE]... "
			"BOOTSTRAP COMMAND TOPIC [ARGUMENT]...");
	set_property(conf, "bootstrap.servers", argv[optind]);
	command = argv[optind + 1];
	args = argv + optind + 2;

	if (strcmp(command, "produce-transaction") == 0)
	{
		char		id[512];
		size_t		size = sizeof(id);

		if (rd_kafka_conf_get(conf, "transactional.id", id, &size) !=
			RD_KAFKA_CONF_OK || size <= 1)
		{
			snprintf(id, sizeof(id), "kafka_admin-%d", (int) getpid());
			set_property(conf, "transactional.id", id);
		}
	}
	rd_kafka_conf_set_dr_msg_cb(conf, note_delivery);
	client = open_client(strcmp(command, "consume") == 0 ?
						 RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf);

	if (strcmp(command, "create-topic") == 0 && nargs >= 2)
		create_topic(client, nargs, args);
	else if (strcmp(command, "delete-topic") == 0 && nargs == 1)
		delete_topic(client, args[0]);
	else if (strcmp(command, "add-partitions") == 0 && nargs == 2)
		add_partitions(client, args[0], atoi(args[1]));
	else if (strcmp(command, "delete-records") == 0 && nargs == 3)
		delete_records(client, args[0], atoi(args[1]), atoll(args[2]));
	else if (strcmp(command, "watermarks") == 0 && nargs == 1)
		watermarks(client, args[0]);
	else if (strcmp(command, "produce") == 0 && nargs == 1)
		produce(client, args[0]);
	else if (strcmp(command, "produce-transaction") == 0 && nargs == 2)
		produce_transaction(client, args[0], args[1]);
	else if (strcmp(command, "fill") == 0 && nargs == 4)
		fill(client, args[0], atoi(args[1]), atoi(args[2]), atoi(args[3]));
	else if (strcmp(command, "consume") == 0 && nargs == 1)
		consume(client, args[0]);
	else
		die("no such command, or not its arguments: %s", command);

	if (fflush(stdout) != 0)
		die("could not write");

	/* Tearing everything down would take longer than the work. */
	_exit(0);
}

static rd_kafka_t *
open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char		reason[512];
	rd_kafka_t *client;

	client = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (client == NULL)
		die("%s", reason);
	return client;
}

/*
 * Returns the number of partitions that have a leader, or -1 if not all have
 * one, or 0 if there is no such topic.
 */
static int
count_partitions(rd_kafka_t *client, const char *topic)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
	int			count;

	err = rd_kafka_metadata(client, 0, handle, &metadata, TIMEOUT_MS);
	rd_kafka_topic_destroy(handle);
	if (err)
		die("could not get metadata: %s", rd_kafka_err2str(err));
	count = metadata->topics[0].partition_cnt;
	err = metadata->topics[0].err;
	for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
	{
		if (metadata->topics[0].partitions[i].leader < 0)
			count = -1;
	}
	rd_kafka_metadata_destroy(metadata);
	if (err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
		return -1;
	if (err && err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		die("could not get metadata of %s: %s", topic, rd_kafka_err2str(err));
	return count;
}

/*
 * Get a partition's offsets.  A leader that was chosen a moment ago may not
 * know it yet.
 */
static void
query_watermarks(rd_kafka_t *client, const char *topic, int partition,
				 int64_t *low, int64_t *high)
{
	for (int i = 0;; i++)
	{
		rd_kafka_resp_err_t err;

		err = rd_kafka_query_watermark_offsets(client, topic, partition,
											   low, high, TIMEOUT_MS);
		if (!err)
			return;
		if (i > TIMEOUT_MS / POLL_MS ||
			(err != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION &&
			 err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE &&
			 err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
			 err != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION))
			die("%s [%d]: %s", topic, partition, rd_kafka_err2str(err));
		usleep(POLL_MS * 1000);
	}
}

/* Wait until the topic has this many partitions, and all can be read. */
static void
await_partitions(rd_kafka_t *client, const char *topic, int count)
{
	int64_t		low;
	int64_t		high;

	for (int i = 0; count_partitions(client, topic) != count; i++)
	{
		if (i > TIMEOUT_MS / POLL_MS)
			die("%s does not get to %d partitions", topic, count);
		usleep(POLL_MS * 1000);
	}
	for (int i = 0; i < count; i++)
		query_watermarks(client, topic, i, &low, &high);
}

/* Returns the number of partitions, once each has a leader. */
static int
existing_partitions(rd_kafka_t *client, const char *topic)
{
	int			count;

	for (int i = 0; (count = count_partitions(client, topic)) < 0; i++)
	{
		if (i > TIMEOUT_MS / POLL_MS)
			die("a partition of %s has no leader", topic);
		usleep(POLL_MS * 1000);
	}
	if (count == 0)
		die("there is no topic %s", topic);
	return count;
}

/* Wait for the result of an admin call, and fail if the call did. */
static rd_kafka_event_t *
await_result(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);

	if (event == NULL)
		die("no answer");
	if (rd_kafka_event_error(event))
		die("%s", rd_kafka_event_error_string(event));
	return event;
}

static void
check_topic_result(const rd_kafka_topic_result_t *result)
{
	if (rd_kafka_topic_result_error(result))
		die("%s: %s", rd_kafka_topic_result_name(result),
			rd_kafka_topic_result_error_string(result) ?
			rd_kafka_topic_result_error_string(result) :
			rd_kafka_err2str(rd_kafka_topic_result_error(result)));
}

static void
create_topic(rd_kafka_t *client, int argc, char **argv)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_NewTopic_t *topic;
	const rd_kafka_CreateTopics_result_t *result;
	rd_kafka_event_t *event;
	char		reason[512];
	size_t		count;

	topic = rd_kafka_NewTopic_new(argv[0], atoi(argv[1]), -1,
								  reason, sizeof(reason));
	if (topic == NULL)
		die("%s", reason);
	for (int i = 2; i < argc; i++)
	{
		char	   *equals = strchr(argv[i], '=');

		if (equals == NULL)
			die("not KEY=VALUE: %s", argv[i]);
		*equals = '\0';
		rd_kafka_NewTopic_set_config(topic, argv[i], equals + 1);
	}
	rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
	event = await_result(queue);
	result = rd_kafka_event_CreateTopics_result(event);
	check_topic_result(rd_kafka_CreateTopics_result_topics(result, &count)[0]);
	await_partitions(client, argv[0], atoi(argv[1]));
}

static void
delete_topic(rd_kafka_t *client, const char *name)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
	const rd_kafka_DeleteTopics_result_t *result;
	rd_kafka_event_t *event;
	size_t		count;

	rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
	event = await_result(queue);
	result = rd_kafka_event_DeleteTopics_result(event);
	check_topic_result(rd_kafka_DeleteTopics_result_topics(result, &count)[0]);
	await_partitions(client, name, 0);
}

static void
add_partitions(rd_kafka_t *client, const char *topic, int total)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_NewPartitions_t *partitions;
	const rd_kafka_CreatePartitions_result_t *result;
	const rd_kafka_topic_result_t **topics;
	rd_kafka_event_t *event;
	char		reason[512];
	size_t		count;

	partitions = rd_kafka_NewPartitions_new(topic, total, reason,
											sizeof(reason));
	if (partitions == NULL)
		die("%s", reason);
	rd_kafka_CreatePartitions(client, &partitions, 1, NULL, queue);
	event = await_result(queue);
	result = rd_kafka_event_CreatePartitions_result(event);
	topics = rd_kafka_CreatePartitions_result_topics(result, &count);
	check_topic_result(topics[0]);
	await_partitions(client, topic, total);
}

static void
delete_records(rd_kafka_t *client, const char *topic, int partition,
			   int64_t offset)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_DeleteRecords_t *records;
	const rd_kafka_DeleteRecords_result_t *result;
	const rd_kafka_topic_partition_list_t *offsets;
	rd_kafka_event_t *event;

	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	records = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(client, &records, 1, NULL, queue);
	event = await_result(queue);
	result = rd_kafka_event_DeleteRecords_result(event);
	offsets = rd_kafka_DeleteRecords_result_offsets(result);
	if (offsets->elems[0].err)
		die("%s: %s", topic, rd_kafka_err2str(offsets->elems[0].err));
}

static void
watermarks(rd_kafka_t *client, const char *topic)
{
	int			count = existing_partitions(client, topic);

	for (int i = 0; i < count; i++)
	{
		int64_t		low;
		int64_t		high;

		query_watermarks(client, topic, i, &low, &high);
		printf("%d %lld %lld\n", i, (long long) low, (long long) high);
	}
}

/*
 * Read so many bytes, or none for -1, in memory of our own.  The result is
 * NULL only for -1.
 */
static char *
read_bytes(int length)
{
	char	   *bytes;

	if (length < 0)
		return NULL;
	bytes = check_alloc(malloc(length + 1));
	if (fread(bytes, 1, length, stdin) != (size_t) length)
		die("input ends within a message");
	bytes[length] = '\0';
	return bytes;
}

/* Read count headers. */
static rd_kafka_headers_t *
read_headers(int count)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(count);

	for (int i = 0; i < count; i++)
	{
		int			name_length;
		int			value_length;
		char	   *name;
		char	   *value;

		if (scanf("%d %d", &name_length, &value_length) != 2 ||
			getchar() != '\n')
			die("malformed header");
		name = read_bytes(name_length);
		value = read_bytes(value_length);
		rd_kafka_header_add(headers, name, name_length, value, value_length);
		free(name);
		free(value);
	}
	return headers;
}

/* Read one message and hand it to the client.  False at the end of input. */
static bool
produce_next(rd_kafka_t *client, const char *topic, Delivery *delivery)
{
	int			partition;
	long long	offset;
	long long	timestamp;
	int			key_length;
	int			value_length;
	int			header_count;
	char	   *key;
	char	   *value;
	rd_kafka_headers_t *headers;
	int			found;

	found = scanf("%d %lld %lld %d %d %d", &partition, &offset, &timestamp,
				  &key_length, &value_length, &header_count);
	if (found == EOF)
		return false;
	if (found != 6 || getchar() != '\n')
		die("malformed message");
	key = read_bytes(key_length);
	value = read_bytes(value_length);
	headers = read_headers(header_count);
	delivery->offset = -1;
	for (;;)
	{
		rd_kafka_resp_err_t err;

		err = rd_kafka_producev(client,
								RD_KAFKA_V_TOPIC(topic),
								RD_KAFKA_V_PARTITION(partition),
								RD_KAFKA_V_TIMESTAMP(timestamp),
								RD_KAFKA_V_KEY(key, key ? key_length : 0),
								RD_KAFKA_V_VALUE(value,
												 value ? value_length : 0),
								RD_KAFKA_V_HEADERS(headers),
								RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								RD_KAFKA_V_OPAQUE(delivery),
								RD_KAFKA_V_END);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			break;
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die("%s: %s", topic, rd_kafka_err2str(err));
		rd_kafka_poll(client, POLL_MS);
	}
	free(key);
	free(value);
	return true;
}

/* Produce all of standard input and print where the messages went. */
static void
produce(rd_kafka_t *client, const char *topic)
{
	Delivery  **chunks = NULL;
	int			count = 0;

	for (;; count++)
	{
		/* a Delivery must not move, the client points to it */
		if (count % CHUNK_SIZE == 0)
		{
			chunks = realloc(chunks,
							 (count / CHUNK_SIZE + 1) * sizeof(Delivery *));
			check_alloc(chunks);
			chunks[count / CHUNK_SIZE] =
				check_alloc(malloc(CHUNK_SIZE * sizeof(Delivery)));
		}
		if (!produce_next(client, topic,
						  &chunks[count / CHUNK_SIZE][count % CHUNK_SIZE]))
			break;
	}
	if (rd_kafka_flush(client, TIMEOUT_MS))
		die("%s: not all messages were acknowledged", topic);
	for (int i = 0; i < count; i++)
	{
		Delivery   *delivery;

		delivery = &chunks[i / CHUNK_SIZE][i % CHUNK_SIZE];
		if (delivery->err)
			die("%s: %s", topic, rd_kafka_err2str(delivery->err));
		printf("%d %lld\n", delivery->partition, (long long) delivery->offset);
		if (delivery->partition < MAX_PARTITIONS)
			last_offset[delivery->partition] = delivery->offset + 1;
	}
}

static void
check_error(rd_kafka_error_t *error)
{
	if (error != NULL)
		die("%s", rd_kafka_error_string(error));
}

/*
 * Wait until readers see the end of the transaction, which is a moment after
 * the coordinator has said so; or not for ever, if another one is open.
 */
static void
await_end(rd_kafka_t *client, const char *topic)
{
	int			left = END_WAIT_MS;

	for (int i = 0; i < MAX_PARTITIONS; i++)
	{
		int64_t		low = 0;
		int64_t		stable = 0;

		while (last_offset[i] > 0 && left > 0 &&
			   rd_kafka_query_watermark_offsets(client, topic, i, &low, &stable,
												TIMEOUT_MS) == 0 &&
			   stable <= last_offset[i])
		{
			(void) poll(NULL, 0, 5);
			left -= 5;
		}
	}
}

static void
produce_transaction(rd_kafka_t *client, const char *topic, const char *end)
{
	check_error(rd_kafka_init_transactions(client, TIMEOUT_MS));
	check_error(rd_kafka_begin_transaction(client));
	produce(client, topic);
	if (strcmp(end, "commit") == 0)
		check_error(rd_kafka_commit_transaction(client, TIMEOUT_MS));
	else if (strcmp(end, "abort") == 0)
		check_error(rd_kafka_abort_transaction(client, TIMEOUT_MS));
	else if (strcmp(end, "hang") != 0)
		die("a transaction ends with commit, abort or hang, not %s", end);
	if (strcmp(end, "hang") != 0)
		await_end(client, topic);
}

/* Write a message of so many bytes, without an end of its own. */
static void
make_message(char *message, int n, int bytes, int random_bytes)
{
	static uint32_t state = 1;
	int			len = sprintf(message, "{\"n\": %d, \"t\": \"", n);

	if (bytes < len + random_bytes + 2)
		die("messages of %d bytes have no room for %d random ones", bytes,
			random_bytes);
	memset(message + len, 'x', bytes - len);
	for (int i = len; i < len + random_bytes; i++)
	{
		state = state * 1664525 + 1013904223;
		message[i] = 'a' + (state >> 24) % 26;
	}
	memcpy(message + bytes - 2, "\"}", 2);
}

/* Produce messages that are made here. */
static void
fill(rd_kafka_t *client, const char *topic, int count, int bytes,
	 int random_bytes)
{
	int			partitions = existing_partitions(client, topic);
	Delivery	delivery = {0};
	char	   *message = check_alloc(malloc(bytes + 64));

	for (int i = 0; i < count; i++)
	{
		rd_kafka_resp_err_t err;

		make_message(message, i, bytes, random_bytes);
		while ((err = rd_kafka_producev(client,
										RD_KAFKA_V_TOPIC(topic),
										RD_KAFKA_V_PARTITION(i % partitions),
										RD_KAFKA_V_VALUE(message, bytes),
										RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
										RD_KAFKA_V_OPAQUE(&delivery),
										RD_KAFKA_V_END)) ==
			   RD_KAFKA_RESP_ERR__QUEUE_FULL)
			rd_kafka_poll(client, POLL_MS);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			rd_kafka_poll(client, 0);
		else
			die("%s: %s", topic, rd_kafka_err2str(err));
		if (delivery.err)
			die("%s: %s", topic, rd_kafka_err2str(delivery.err));
	}
	if (rd_kafka_flush(client, TIMEOUT_MS) || delivery.err)
		die("%s: not all messages were acknowledged", topic);
	free(message);
}

static void
write_message(const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers = NULL;
	rd_kafka_timestamp_type_t type;
	const char *name;
	const void *value;
	size_t		size;

	rd_kafka_message_headers(message, &headers);
	printf("%d %lld %lld %d %d %d\n", message->partition,
		   (long long) message->offset,
		   (long long) rd_kafka_message_timestamp(message, &type),
		   message->key ? (int) message->key_len : -1,
		   message->payload ? (int) message->len : -1,
		   headers ? (int) rd_kafka_header_cnt(headers) : 0);
	fwrite(message->key, 1, message->key_len, stdout);
	fwrite(message->payload, 1, message->len, stdout);
	if (headers == NULL)
		return;
	for (size_t i = 0;
		 rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++)
	{
		printf("%d %d\n", (int) strlen(name), value ? (int) size : -1);
		fputs(name, stdout);
		fwrite(value, 1, size, stdout);
	}
}

/* Write all messages of all partitions, up to the end as it is then. */
static void
consume(rd_kafka_t *client, const char *topic)
{
	int			count = existing_partitions(client, topic);
	rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);

	for (int i = 0; i < count; i++)
	{
		int64_t		low;
		int64_t		high;

		/* an absolute offset, because a logical one costs half a second */
		query_watermarks(client, topic, i, &low, &high);
		if (rd_kafka_consume_start_queue(handle, i, low, queue) != 0)
			die("%s [%d]: %s", topic, i,
				rd_kafka_err2str(rd_kafka_last_error()));
	}
	for (int ends = 0; ends < count;)
	{
		rd_kafka_message_t *message;

		message = rd_kafka_consume_queue(queue, TIMEOUT_MS);
		if (message == NULL)
			die("%s: no answer", topic);
		if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			ends++;
		else if (message->err)
			die("%s: %s", topic, rd_kafka_message_errstr(message));
		else
			write_message(message);
		rd_kafka_message_destroy(message);
	}
}
