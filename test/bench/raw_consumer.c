/*-------------------------------------------------------------------------
 *
 * raw_consumer.c
 *	  Read a topic as fast as the Kafka client can.
 *
 * NOTES
 *	  This is the limit that scans of a foreign table are compared with: the
 *	  same snapshot (end offsets taken once, at the start), the same
 *	  guarantees (read_committed, checksums verified), and no work on the
 *	  messages.
 *
 *	  Partitions start at absolute offsets, since a logical offset costs the
 *	  client a 500 ms timer.  All partitions feed one queue.  The client's
 *	  queue thresholds are out of reach, since a fetcher that ran into one
 *	  looks again only after up to a second.
 *
 *	  One JSON object goes to stdout.  The seconds run from before the client
 *	  is created until the last message is counted.
 *
 *-------------------------------------------------------------------------
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define BATCH_SIZE			2000
#define POLL_MS				100
#define REQUEST_MS			10000
#define MAX_SILENT_SECONDS	30.0

/* One partition of the snapshot. */
typedef struct Partition
{
	int64_t		position;		/* next offset to read */
	int64_t		end;			/* first offset that is not part of it */
} Partition;

/* What is read, and how far it got. */
typedef struct Snapshot
{
	int			npartitions;
	Partition  *partitions;		/* indexed by partition number */
	int64_t		messages;
	int64_t		bytes;			/* of keys and values */
} Snapshot;

static rd_kafka_conf_t *default_conf(void);
static void set_property(rd_kafka_conf_t *conf, const char *assignment);
static void take_snapshot(rd_kafka_t *client, rd_kafka_topic_t *topic,
						  Snapshot *snapshot);
static void read_snapshot(rd_kafka_t *client, rd_kafka_topic_t *topic,
						  Snapshot *snapshot);
static int64_t offsets_left(const Snapshot *snapshot);
static void count_message(Snapshot *snapshot,
						  const rd_kafka_message_t *message);
static double now_seconds(void);
static void fail(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));

static void
usage(void)
{
	fprintf(stderr,
			"usage: raw_consumer [-e] [-X NAME=VALUE]... BOOTSTRAP TOPIC\n"
			"  -e  only count the offsets between the watermarks\n"
			"  -X  set a property of the client\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	double		start = now_seconds();
	rd_kafka_conf_t *conf = default_conf();
	rd_kafka_t *client;
	rd_kafka_topic_t *topic;
	Snapshot	snapshot = {0};
	bool		ends_only = false;
	char		errstr[512];
	int			opt;

	while ((opt = getopt(argc, argv, "eX:")) != -1)
	{
		if (opt == 'e')
			ends_only = true;
		else if (opt == 'X')
			set_property(conf, optarg);
		else
			usage();
	}
	if (argc - optind != 2)
		usage();

	if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[optind],
						  errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
		fail("%s", errstr);
	client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, errstr, sizeof(errstr));
	if (client == NULL)
		fail("could not create a client: %s", errstr);
	topic = rd_kafka_topic_new(client, argv[optind + 1], NULL);
	if (topic == NULL)
		fail("could not open topic \"%s\": %s", argv[optind + 1],
			 rd_kafka_err2str(rd_kafka_last_error()));

	take_snapshot(client, topic, &snapshot);
	if (ends_only)
		snapshot.messages = offsets_left(&snapshot);
	else
		read_snapshot(client, topic, &snapshot);

	printf("{\"messages\": %" PRId64 ", \"bytes\": %" PRId64
		   ", \"seconds\": %.4f, \"librdkafka\": \"%s\"}\n",
		   snapshot.messages, snapshot.bytes, now_seconds() - start,
		   rd_kafka_version_str());

	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(client);
	free(snapshot.partitions);
	return 0;
}

/* Makes the client's configuration; rd_kafka_new() takes it over. */
static rd_kafka_conf_t *
default_conf(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set_property(conf, "isolation.level=read_committed");
	set_property(conf, "check.crcs=true");
	set_property(conf, "enable.auto.commit=false");
	set_property(conf, "enable.partition.eof=true");
	set_property(conf, "fetch.wait.max.ms=10"); /* for a gap at the end */
	set_property(conf, "queued.min.messages=10000000");
	set_property(conf, "queued.max.messages.kbytes=2097151");
	return conf;
}

/* Sets one property from "name=value". */
static void
set_property(rd_kafka_conf_t *conf, const char *assignment)
{
	const char *value = strchr(assignment, '=');
	char		name[128];
	char		errstr[512];

	if (value == NULL || (size_t) (value - assignment) >= sizeof(name))
		usage();
	memcpy(name, assignment, value - assignment);
	name[value - assignment] = '\0';
	if (rd_kafka_conf_set(conf, name, value + 1,
						  errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
		fail("%s", errstr);
}

/*
 * Fixes what is read: the offsets of all partitions as of now.
 *
 * Under read_committed the end is the last stable offset.  The caller frees
 * snapshot->partitions.
 */
static void
take_snapshot(rd_kafka_t *client, rd_kafka_topic_t *topic, Snapshot *snapshot)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	err = rd_kafka_metadata(client, 0, topic, &metadata, REQUEST_MS);
	if (err)
		fail("could not get metadata: %s", rd_kafka_err2str(err));
	if (metadata->topic_cnt != 1 || metadata->topics[0].err)
		fail("topic \"%s\": %s", rd_kafka_topic_name(topic),
			 rd_kafka_err2str(metadata->topics[0].err));
	snapshot->npartitions = metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);

	snapshot->partitions = calloc(snapshot->npartitions, sizeof(Partition));
	if (snapshot->partitions == NULL)
		fail("out of memory");
	for (int i = 0; i < snapshot->npartitions; i++)
	{
		Partition  *partition = &snapshot->partitions[i];

		err = rd_kafka_query_watermark_offsets(client,
											   rd_kafka_topic_name(topic), i,
											   &partition->position,
											   &partition->end, REQUEST_MS);
		if (err)
			fail("could not get the watermarks of partition %d: %s", i,
				 rd_kafka_err2str(err));
	}
}

/* Reads every partition up to its end and counts what comes. */
static void
read_snapshot(rd_kafka_t *client, rd_kafka_topic_t *topic, Snapshot *snapshot)
{
	static rd_kafka_message_t *batch[BATCH_SIZE];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	double		last_message = now_seconds();
	int64_t		left;

	for (int i = 0; i < snapshot->npartitions; i++)
	{
		if (rd_kafka_consume_start_queue(topic, i,
										 snapshot->partitions[i].position,
										 queue) != 0)
			fail("could not start partition %d: %s", i,
				 rd_kafka_err2str(rd_kafka_last_error()));
	}

	/* The client waits for a full batch, so never ask for more than is left. */
	while ((left = offsets_left(snapshot)) > 0)
	{
		ssize_t		n;

		n = rd_kafka_consume_batch_queue(queue, POLL_MS, batch,
										 left < BATCH_SIZE ? left : BATCH_SIZE);
		if (n < 0)
			fail("could not read: %s",
				 rd_kafka_err2str(rd_kafka_last_error()));
		for (ssize_t i = 0; i < n; i++)
		{
			count_message(snapshot, batch[i]);
			rd_kafka_message_destroy(batch[i]);
		}

		rd_kafka_poll(client, 0);
		if (n > 0)
			last_message = now_seconds();
		else if (now_seconds() - last_message > MAX_SILENT_SECONDS)
			fail("no message within %.0f seconds, %" PRId64 " offsets left",
				 MAX_SILENT_SECONDS, left);
	}

	for (int i = 0; i < snapshot->npartitions; i++)
		rd_kafka_consume_stop(topic, i);
	rd_kafka_queue_destroy(queue);
}

/* Tells how many offsets are still to be passed, messages or gaps. */
static int64_t
offsets_left(const Snapshot *snapshot)
{
	int64_t		left = 0;

	for (int i = 0; i < snapshot->npartitions; i++)
	{
		const Partition *partition = &snapshot->partitions[i];

		if (partition->position < partition->end)
			left += partition->end - partition->position;
	}
	return left;
}

/*
 * Counts one message and moves its partition's position behind it.
 *
 * The event at the end of a partition moves the position too: it passes the
 * gaps that compaction and transactions leave before the end.
 */
static void
count_message(Snapshot *snapshot, const rd_kafka_message_t *message)
{
	Partition  *partition;

	if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
		fail("could not read: %s", rd_kafka_message_errstr(message));

	partition = &snapshot->partitions[message->partition];
	if (message->err)
	{
		partition->position = message->offset;
		return;
	}
	if (message->offset < partition->end)
	{
		snapshot->messages++;
		snapshot->bytes += message->key_len + message->len;
	}
	partition->position = message->offset + 1;
}

/* Reads the monotonic clock. */
static double
now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Prints why the program cannot go on, and ends it. */
static void
fail(const char *fmt,...)
{
	va_list		args;

	fputs("raw_consumer: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}
