/*-------------------------------------------------------------------------
 *
 * consumer_offsets.c
 *	  Asks which topics and partitions there are, and for their offsets.
 *
 * NOTES
 *	  Each question is one request to every broker that has to answer it,
 *	  whatever the number of partitions; they run as calls, see call.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/consumer_internal.h"
#include "client/shown.h"
#include "compat.h"
#include "topics.h"

/* of more topics than this, the metadata of all of the cluster is asked for */
#define MAX_SINGLE_REQUESTS 4

/* Argument of a call: low and end offsets of the partitions of topics. */
typedef struct OffsetsCall
{
	char	  **topics;
	int			ntopics;
	int			failed;			/* the topic that an error is about, or -1 */
	rd_kafka_topic_partition_list_t *low;
	rd_kafka_topic_partition_list_t *end;
} OffsetsCall;

/* Argument of a call: the offsets of some partitions at a time. */
typedef struct TimesCall
{
	int64		timestamp;		/* ms since 1970 */
	rd_kafka_topic_partition_list_t *offsets;
} TimesCall;

static int	ask_for_offsets(KafkaConsumer *consumer, const List *topics,
							KafkaPartitionOffsets **offsets);
static int	compare_names(const ListCell *a, const ListCell *b);
static const char *find_name(const List *topics, const char *name);
static OffsetsCall *make_offsets_call(const List *topics);
static void raise_no_offsets(KafkaConsumer *consumer, const List *topics,
							 const OffsetsCall *call, rd_kafka_resp_err_t err);
static rd_kafka_resp_err_t run_offsets(rd_kafka_t *rk, void *arg, int timeout);
static rd_kafka_resp_err_t run_partitions(rd_kafka_t *rk, void *arg,
										  int timeout);
static rd_kafka_resp_err_t find_partitions(rd_kafka_t *rk, OffsetsCall *call,
										   int timeout);
static rd_kafka_resp_err_t find_partitions_of(rd_kafka_t *rk,
											  OffsetsCall *call, int i,
											  int timeout);
static rd_kafka_resp_err_t find_partitions_of_all(rd_kafka_t *rk,
												  OffsetsCall *call,
												  int timeout);
static void add_partitions(OffsetsCall *call,
						   const rd_kafka_metadata_topic_t *topic);
static rd_kafka_resp_err_t ask_offsets(rd_kafka_t *rk,
									   rd_kafka_topic_partition_list_t *list,
									   int64 which, int timeout);
static void release_offsets(void *arg);
static rd_kafka_resp_err_t run_times(rd_kafka_t *rk, void *arg, int timeout);
static void release_times(void *arg);

/*
 * kafka_consumer_topics
 *		Returns the topics that an option "topic" means, ordered by name, as
 *		palloc'd strings.
 *
 * Kafka is asked for a pattern only, which may match none.  Whether those that
 * are named exist comes out with their offsets.
 */
List *
kafka_consumer_topics(KafkaConsumer *consumer, const char *spec)
{
	const struct rd_kafka_metadata *metadata;
	List	   *topics = NIL;

	if (!kafka_topics_is_pattern(spec))
		return kafka_topics_listed(spec);

	metadata = kafka_call_topics(consumer->handle);
	for (int i = 0; i < metadata->topic_cnt; i++)
		if (kafka_topics_include(spec, metadata->topics[i].topic))
			topics = lappend(topics, pstrdup(metadata->topics[i].topic));
	kafka_call_end(consumer->handle);
	list_sort(topics, compare_names);
	return topics;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/*
 * kafka_consumer_offsets
 *		Asks for the offsets of all partitions of some topics, and returns
 *		their number and a palloc'd array, ordered by topic and partition.
 *
 * The array points to the names in the list.  What the session itself has
 * committed is waited for.  Raises an ERROR when one of the topics does not
 * exist, or when no answer comes within the timeout.
 */
int
kafka_consumer_offsets(KafkaConsumer *consumer, const List *topics,
					   KafkaPartitionOffsets **offsets)
{
	int			n = ask_for_offsets(consumer, topics, offsets);

	while (kafka_shown_wait(consumer->handle->serverid, *offsets, n))
	{
		pfree(*offsets);
		n = ask_for_offsets(consumer, topics, offsets);
	}
	return n;
}

static int
ask_for_offsets(KafkaConsumer *consumer, const List *topics,
				KafkaPartitionOffsets **offsets)
{
	OffsetsCall *call = make_offsets_call(topics);
	rd_kafka_resp_err_t err;
	const char *topic = NULL;
	int			n;

	err = kafka_call(consumer->handle, run_offsets, release_offsets, call);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		raise_no_offsets(consumer, topics, call, err);

	n = call->low->cnt;
	*offsets = palloc_array(KafkaPartitionOffsets, Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const rd_kafka_topic_partition_t *low = &call->low->elems[i];

		if (topic == NULL || strcmp(topic, low->topic) != 0)
			topic = find_name(topics, low->topic);
		(*offsets)[i].topic = topic;
		(*offsets)[i].partition = low->partition;
		(*offsets)[i].low = low->offset;
		(*offsets)[i].end = call->end->elems[i].offset;
	}
	kafka_call_end(consumer->handle);

	return n;
}

/*
 * kafka_consumer_has_topic
 *		Says whether there is a topic; whatever else Kafka says is an ERROR.
 */
bool
kafka_consumer_has_topic(KafkaConsumer *consumer, const char *topic)
{
	List	   *topics = list_make1(unconstify(char *, topic));
	OffsetsCall *call = make_offsets_call(topics);
	rd_kafka_resp_err_t err;

	err = kafka_call(consumer->handle, run_partitions, release_offsets, call);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR &&
		err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		raise_no_offsets(consumer, topics, call, err);
	kafka_call_end(consumer->handle);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static const char *
find_name(const List *topics, const char *name)
{
	ListCell   *lc;

	foreach(lc, topics)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

static OffsetsCall *
make_offsets_call(const List *topics)
{
	OffsetsCall *call = calloc(1, sizeof(OffsetsCall));
	int			n = list_length(topics);
	bool		enough = call != NULL &&
	(call->topics = calloc(Max(n, 1), sizeof(char *))) != NULL;

	for (int i = 0; i < n && enough; i++)
	{
		call->topics[i] = strdup(list_nth(topics, i));
		enough = call->topics[i] != NULL;
		call->ntopics = i + 1;
	}
	if (!enough)
	{
		if (call != NULL)
			release_offsets(call);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	call->failed = -1;
	return call;
}

/*
 * Raises the ERROR of a call that has not succeeded.
 */
static void
raise_no_offsets(KafkaConsumer *consumer, const List *topics,
				 const OffsetsCall *call, rd_kafka_resp_err_t err)
{
	int			failed = list_length(topics) == 1 ? 0 : call->failed;
	const char *topic = failed >= 0 ? list_nth(topics, failed) : NULL;

	if (topic != NULL && err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("topic \"%s\" does not exist", topic)));
	if (topic == NULL)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not get the offsets of %d topics: %s",
						list_length(topics), rd_kafka_err2str(err)),
				 kafka_error_reason(consumer->handle)));
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not get the offsets of topic \"%s\": %s",
					topic, rd_kafka_err2str(err)),
			 kafka_error_reason(consumer->handle)));
}

/*
 * In a thread: asks for the topics' partitions, then for their low and their
 * end offsets, each in one request to every leader.
 */
static rd_kafka_resp_err_t
run_offsets(rd_kafka_t *rk, void *arg, int timeout)
{
	OffsetsCall *call = arg;
	rd_kafka_resp_err_t err;

	if (call->end == NULL)
	{
		err = find_partitions(rk, call, timeout);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
			return err;
	}
	if (call->low->cnt == 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	err = ask_offsets(rk, call->low, RD_KAFKA_OFFSET_BEGINNING, timeout);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = ask_offsets(rk, call->end, RD_KAFKA_OFFSET_END, timeout);
	if (err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
	{
		/* Kafka has just named it, but the client has not heard of its leader */
		rd_kafka_topic_partition_list_destroy(call->end);
		call->end = NULL;		/* look for the partitions again */
		err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	}
	return err;
}

/*
 * In a thread: asks for the topics' partitions only.
 */
static rd_kafka_resp_err_t
run_partitions(rd_kafka_t *rk, void *arg, int timeout)
{
	return find_partitions(rk, arg, timeout);
}

static rd_kafka_resp_err_t
find_partitions(rd_kafka_t *rk, OffsetsCall *call, int timeout)
{
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	call->failed = -1;
	if (call->low != NULL)
		rd_kafka_topic_partition_list_destroy(call->low);
	call->low = rd_kafka_topic_partition_list_new(call->ntopics);
	if (call->ntopics > MAX_SINGLE_REQUESTS)
		err = find_partitions_of_all(rk, call, timeout);
	else
		for (int i = 0; i < call->ntopics &&
			 err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
			err = find_partitions_of(rk, call, i, timeout);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	rd_kafka_topic_partition_list_sort(call->low, NULL, NULL);
	call->end = rd_kafka_topic_partition_list_copy(call->low);
	return err;
}

static rd_kafka_resp_err_t
find_partitions_of(rd_kafka_t *rk, OffsetsCall *call, int i, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	err = kafka_topic_metadata(rk, call->topics[i], &metadata, timeout);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		call->failed = i;
		return err;
	}
	add_partitions(call, &metadata->topics[0]);
	rd_kafka_metadata_destroy(metadata);
	return err;
}

/*
 * Finds the partitions of many topics.
 */
static rd_kafka_resp_err_t
find_partitions_of_all(rd_kafka_t *rk, OffsetsCall *call, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	for (int i = 0; i < call->ntopics && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		const rd_kafka_metadata_topic_t *topic = NULL;

		for (int j = 0; j < metadata->topic_cnt && topic == NULL; j++)
			if (strcmp(metadata->topics[j].topic, call->topics[i]) == 0)
				topic = &metadata->topics[j];
		err = topic == NULL ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART :
			kafka_topic_error(topic);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
			call->failed = i;
		else
			add_partitions(call, topic);
	}
	rd_kafka_metadata_destroy(metadata);
	return err;
}

static void
add_partitions(OffsetsCall *call, const rd_kafka_metadata_topic_t *topic)
{
	for (int i = 0; i < topic->partition_cnt; i++)
		rd_kafka_topic_partition_list_add(call->low, topic->topic,
										  topic->partitions[i].id);
}

/*
 * In a thread: asks for a logical offset of all partitions at once.
 *
 * rd_kafka_offsets_for_times() passes -1 and -2 on, which mean in Kafka's
 * protocol what they mean here.  Under read_committed the end is the last
 * stable offset.
 */
static rd_kafka_resp_err_t
ask_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
			int64 which, int timeout)
{
	rd_kafka_resp_err_t err;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = which;
	err = rd_kafka_offsets_for_times(rk, list, timeout);
	for (int i = 0; i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		err = list->elems[i].err;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset < 0)
			err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	}
	return err;
}

static void
release_offsets(void *arg)
{
	OffsetsCall *call = arg;

	if (call->low != NULL)
		rd_kafka_topic_partition_list_destroy(call->low);
	if (call->end != NULL)
		rd_kafka_topic_partition_list_destroy(call->end);
	for (int i = 0; i < call->ntopics; i++)
		free(call->topics[i]);
	free(call->topics);
	free(call);
}

/*
 * kafka_consumer_offsets_for_time
 *		Asks for the first offset of each partition whose message is not older
 *		than the timestamp (ms since 1970), and puts it into offsets[];
 *		KAFKA_OFFSET_MAX where there is none.
 *
 * Raises an ERROR when no answer comes within the timeout.
 */
void
kafka_consumer_offsets_for_time(KafkaConsumer *consumer, int64 timestamp,
								const KafkaPartitionOffsets *partitions,
								int n, int64 *offsets)
{
	TimesCall  *call;
	rd_kafka_resp_err_t err;

	if (n == 0)
		return;
	call = calloc(1, sizeof(TimesCall));
	if (call == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	call->timestamp = timestamp;
	call->offsets = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(call->offsets, partitions[i].topic,
										  partitions[i].partition);
	err = kafka_call(consumer->handle, run_times, release_times, call);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not get the offsets of topic \"%s\" for a time: %s",
						partitions[0].topic, rd_kafka_err2str(err)),
				 kafka_error_reason(consumer->handle)));
	for (int i = 0; i < n; i++)
	{
		offsets[i] = call->offsets->elems[i].offset;
		if (offsets[i] < 0)
			offsets[i] = KAFKA_OFFSET_MAX;
	}
	kafka_call_end(consumer->handle);
}

/*
 * In a thread: asks for the offsets at a time, in one request to every leader.
 */
static rd_kafka_resp_err_t
run_times(rd_kafka_t *rk, void *arg, int timeout)
{
	TimesCall  *call = arg;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < call->offsets->cnt; i++)
		call->offsets->elems[i].offset = call->timestamp;
	err = rd_kafka_offsets_for_times(rk, call->offsets, timeout);
	for (int i = 0; i < call->offsets->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		err = call->offsets->elems[i].err;
	return err;
}

static void
release_times(void *arg)
{
	TimesCall  *call = arg;

	if (call->offsets != NULL)
		rd_kafka_topic_partition_list_destroy(call->offsets);
	free(call);
}
