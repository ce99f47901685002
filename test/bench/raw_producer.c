/*-------------------------------------------------------------------------
 *
 * raw_producer.c
 *	  Fill a topic, or a file, with the rows of the benchmark.
 *
 * NOTES
 *	  Row number i is the same row in every format, on every machine and in
 *	  every run: a station of a bike-sharing feed in seven fields.  In a topic,
 *	  row i goes to partition i modulo the number of partitions, so that the
 *	  partitions are equally long.
 *
 *	  The topic is created here, since a test broker's default number of
 *	  partitions is not ours to rely on.
 *
 *	  One JSON object goes to stdout.
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

#define MAX_ROW_BYTES	512
#define REQUEST_MS		10000
#define FLUSH_MS		60000
#define POLL_EVERY		1000	/* rows */
#define STATIONS		2000

/* What the command line asks for. */
typedef struct Options
{
	int64_t		rows;
	int			partitions;
	bool		csv;
	bool		one_by_one;		/* wait for each row's acknowledgement */
	bool		exists;			/* the topic is not created */
	const char *file;			/* NULL: a topic */
	const char *bootstrap;
	const char *topic;
} Options;

/* Counted by the delivery reports. */
typedef struct Reports
{
	int64_t		delivered;
	int64_t		failed;
	rd_kafka_resp_err_t first_error;
} Reports;

/* How long each row took, with -1. */
static double *latencies;

static void parse_options(int argc, char **argv, rd_kafka_conf_t *conf,
						  Options *options);
static void set_property(rd_kafka_conf_t *conf, const char *assignment);
static int64_t fill_file(const Options *options);
static int64_t fill_topic(const Options *options, rd_kafka_conf_t *conf);
static void create_topic(rd_kafka_t *client, const Options *options);
static void await_leaders(rd_kafka_t *client, const Options *options);
static int64_t produce_rows(rd_kafka_t *client, const Options *options);
static double median_latency(int64_t rows);
static int	compare_doubles(const void *a, const void *b);
static void produce_row(rd_kafka_t *client, rd_kafka_topic_t *topic,
						int32_t partition, const char *row, size_t len);
static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message,
						void *opaque);
static size_t format_row(char *row, int64_t i, bool csv);
static uint64_t mix(uint64_t x);
static double now_seconds(void);
static void fail(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));

static void
usage(void)
{
	fprintf(stderr,
			"usage: raw_producer [OPTION]... BOOTSTRAP TOPIC\n"
			"       raw_producer [OPTION]... -o FILE\n"
			"  -n ROWS        number of rows (0: only create the topic)\n"
			"  -p PARTITIONS  number of partitions of the topic\n"
			"  -f FORMAT      json or csv\n"
			"  -1             one row after the other, each acknowledged before the next\n"
			"  -e             the topic exists\n"
			"  -X NAME=VALUE  set a property of the client\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	double		start = now_seconds();
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	Options		options = {.rows = 2000000,.partitions = 4};
	int64_t		bytes;

	parse_options(argc, argv, conf, &options);
	latencies = calloc(options.rows + 1, sizeof(double));
	if (latencies == NULL)
		fail("out of memory");
	if (options.file != NULL)
	{
		rd_kafka_conf_destroy(conf);
		bytes = fill_file(&options);
	}
	else
		bytes = fill_topic(&options, conf);

	printf("{\"messages\": %" PRId64 ", \"bytes\": %" PRId64
		   ", \"seconds\": %.4f, \"median\": %.6f}\n",
		   options.rows, bytes, now_seconds() - start,
		   options.one_by_one ? median_latency(options.rows) : 0);
	return 0;
}

static void
parse_options(int argc, char **argv, rd_kafka_conf_t *conf, Options *options)
{
	int			opt;

	while ((opt = getopt(argc, argv, "n:p:f:o:X:1e")) != -1)
	{
		if (opt == 'n')
			options->rows = atoll(optarg);
		else if (opt == 'p')
			options->partitions = atoi(optarg);
		else if (opt == 'f' && strcmp(optarg, "csv") == 0)
			options->csv = true;
		else if (opt == 'f' && strcmp(optarg, "json") == 0)
			options->csv = false;
		else if (opt == '1')
			options->one_by_one = true;
		else if (opt == 'e')
			options->exists = true;
		else if (opt == 'o')
			options->file = optarg;
		else if (opt == 'X')
			set_property(conf, optarg);
		else
			usage();
	}
	if (options->rows < 0 || options->partitions < 1 ||
		argc - optind != (options->file ? 0 : 2))
		usage();
	if (options->file == NULL)
	{
		options->bootstrap = argv[optind];
		options->topic = argv[optind + 1];
	}
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

/* Writes the rows as lines and returns their bytes without the newlines. */
static int64_t
fill_file(const Options *options)
{
	FILE	   *file = fopen(options->file, "w");
	int64_t		bytes = 0;
	char		row[MAX_ROW_BYTES];

	if (file == NULL)
		fail("could not open \"%s\"", options->file);
	for (int64_t i = 0; i < options->rows; i++)
	{
		size_t		len = format_row(row, i, options->csv);

		bytes += len;
		row[len] = '\n';
		fwrite(row, 1, len + 1, file);
	}
	if (ferror(file) || fclose(file) != 0)
		fail("could not write \"%s\"", options->file);
	return bytes;
}

/*
 * Creates the topic, if it is to, produces the rows and returns the bytes of their values.
 *
 * Returns only when the broker has acknowledged every row.
 */
static int64_t
fill_topic(const Options *options, rd_kafka_conf_t *conf)
{
	Reports		reports = {0};
	rd_kafka_t *client;
	int64_t		bytes;
	char		errstr[512];

	if (rd_kafka_conf_set(conf, "bootstrap.servers", options->bootstrap,
						  errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
		fail("%s", errstr);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, &reports);
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
	if (client == NULL)
		fail("could not create a client: %s", errstr);

	if (!options->exists)
	{
		create_topic(client, options);
		await_leaders(client, options);
	}
	bytes = produce_rows(client, options);
	if (rd_kafka_flush(client, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("%d messages were not acknowledged within %d seconds",
			 rd_kafka_outq_len(client), FLUSH_MS / 1000);
	if (reports.failed > 0 || reports.delivered != options->rows)
		fail("%" PRId64 " of %" PRId64 " messages were delivered: %s",
			 reports.delivered, options->rows,
			 rd_kafka_err2str(reports.first_error));

	rd_kafka_destroy(client);
	return bytes;
}

/* Creates the topic and waits for the broker's answer. */
static void
create_topic(rd_kafka_t *client, const Options *options)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_NewTopic_t *topic;
	rd_kafka_event_t *event;
	const rd_kafka_topic_result_t **results;
	size_t		nresults;
	char		errstr[512];

	topic = rd_kafka_NewTopic_new(options->topic, options->partitions, 1,
								  errstr, sizeof(errstr));
	if (topic == NULL)
		fail("could not create topic \"%s\": %s", options->topic, errstr);
	rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, REQUEST_MS);
	if (event == NULL)
		fail("could not create topic \"%s\": no answer", options->topic);
	if (rd_kafka_event_error(event))
		fail("could not create topic \"%s\": %s", options->topic,
			 rd_kafka_event_error_string(event));
	results =
		rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
											&nresults);
	if (nresults != 1 || rd_kafka_topic_result_error(results[0]))
		fail("could not create topic \"%s\": %s", options->topic,
			 rd_kafka_topic_result_error_string(results[0]));

	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
}

/* Waits until every partition of the new topic can be read. */
static void
await_leaders(rd_kafka_t *client, const Options *options)
{
	double		start = now_seconds();
	int			ready = 0;

	while (ready < options->partitions)
	{
		rd_kafka_resp_err_t err;
		int64_t		low;
		int64_t		high;

		err = rd_kafka_query_watermark_offsets(client, options->topic, ready,
											   &low, &high, REQUEST_MS);
		if (!err)
			ready++;
		else if (now_seconds() - start > REQUEST_MS / 1000.0)
			fail("partition %d has no leader: %s", ready,
				 rd_kafka_err2str(err));
		else
			rd_kafka_poll(client, 10);
	}
}

/* Enqueues all rows and returns the bytes of their values. */
static int64_t
produce_rows(rd_kafka_t *client, const Options *options)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(client, options->topic, NULL);
	int64_t		bytes = 0;
	char		row[MAX_ROW_BYTES];

	if (topic == NULL)
		fail("could not open topic \"%s\": %s", options->topic,
			 rd_kafka_err2str(rd_kafka_last_error()));
	for (int64_t i = 0; i < options->rows; i++)
	{
		size_t		len = format_row(row, i, options->csv);
		double		start = now_seconds();

		produce_row(client, topic, i % options->partitions, row, len);
		bytes += len;
		if (options->one_by_one)
		{
			while (rd_kafka_outq_len(client) > 0)
				rd_kafka_poll(client, REQUEST_MS);
			latencies[i] = now_seconds() - start;
		}
		else if (i % POLL_EVERY == 0)
			rd_kafka_poll(client, 0);
	}
	rd_kafka_topic_destroy(topic);
	return bytes;
}

/* Returns the median of the rows' latencies. */
static double
median_latency(int64_t rows)
{
	if (rows == 0)
		return 0;
	qsort(latencies, rows, sizeof(double), compare_doubles);
	return latencies[rows / 2];
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Enqueues one row; serves delivery reports while the queue is full. */
static void
produce_row(rd_kafka_t *client, rd_kafka_topic_t *topic, int32_t partition,
			const char *row, size_t len)
{
	double		start = now_seconds();

	while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY,
							(void *) row, len, NULL, 0, NULL) != 0)
	{
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL ||
			now_seconds() - start > FLUSH_MS / 1000.0)
			fail("could not produce: %s", rd_kafka_err2str(err));
		rd_kafka_poll(client, 10);
	}
}

/* Counts one delivery report; called by rd_kafka_poll(). */
static void
on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message,
			void *opaque)
{
	Reports    *reports = opaque;

	(void) client;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		reports->delivered++;
	else if (reports->failed++ == 0)
		reports->first_error = message->err;
}

/* Writes row i into the buffer and returns its length. */
static size_t
format_row(char *row, int64_t i, bool csv)
{
	static const char json_format[] =
	"{\"station_id\": \"%d\", \"is_installed\": %d, \"is_renting\": %d, "
	"\"is_returning\": %d, \"num_bikes_available\": %d, "
	"\"num_docks_available\": %d, \"last_reported\": %" PRId64 "}";
	static const char csv_format[] = "%d,%d,%d,%d,%d,%d,%" PRId64;
	uint64_t	random = mix(i);
	int			capacity = 15 + random % 31;
	int			bikes = (random >> 8) % (capacity + 1);

	return snprintf(row, MAX_ROW_BYTES, csv ? csv_format : json_format,
					(int) (i % STATIONS) + 1,
					(random >> 16) % 100 != 0,
					(random >> 24) % 50 != 0,
					(random >> 32) % 50 != 0,
					bikes,
					capacity - bikes,
					INT64_C(1700000000) + i / STATIONS * 60 +
					(int64_t) ((random >> 40) % 60));
}

/* Scrambles a number (the finalizer of splitmix64). */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
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

	fputs("raw_producer: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}
