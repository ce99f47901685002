/*-------------------------------------------------------------------------
 *
 * tail.c
 *	  The SQL function that shows the last messages of a topic.
 *
 * NOTES
 *	  Offsets are no count of messages: compaction, aborted transactions and
 *	  transaction markers leave gaps.  So each partition is read backwards in
 *	  windows that double, each once, until there are enough messages or
 *	  nothing is left.  The ends are taken once, at the beginning.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "client/consumer.h"
#include "funcapi.h"
#include "functions/server.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(kafka_tail);

#define BATCH 1000				/* messages */
#define SLACK 16				/* offsets that the first window has more */
#define MAX_WINDOW INT64CONST(1000000000)

/* The last messages of one partition. */
typedef struct Tail
{
	int32		partition;
	int64		low;
	int64		start;			/* everything from here on has been read */
	int64		window;			/* offsets to read next */
	int			size;			/* messages that are wanted, or could exist */
	int			count;			/* that there are, at the end of: */
	KafkaMessage *messages;

	/* of the window that is being read */
	KafkaMessage *ring;			/* its last messages */
	int			ring_size;
	int64		taken;			/* messages put into the ring */
} Tail;

static int	make_tails(KafkaConsumer *consumer, const char *topic, int n,
					   ArrayType *partitions, Tail **tails);
static bool is_wanted(ArrayType *partitions, int32 partition);
static bool next_window(KafkaConsumer *consumer, const char *topic,
						Tail *tails, int ntails);
static void read_window(KafkaConsumer *consumer, Tail *tails, int ntails);
static void keep_window(Tail *tail);
static void take_message(Tail *tail, const KafkaMessage *message);
static void free_message(KafkaMessage *message);
static char *copy_bytes(const char *bytes, size_t len);
static int	gather(const Tail *tails, int ntails, const KafkaMessage ***all);
static int	compare_times(const void *a, const void *b);
static void put_message(FunctionCallInfo fcinfo, const KafkaMessage *message,
						TupleDesc header);
static Datum text_or_null(const char *bytes, size_t len, bool *isnull);
static Datum bytes_or_null(const char *bytes, size_t len, bool *isnull);
static Datum headers_array(const KafkaMessage *message, TupleDesc desc);

/*
 * kafka.tail(server text, topic text, n int, per_partition bool,
 *			  partitions int[])
 *		Shows the last n messages of a topic by time, or the last n of each of
 *		its partitions; the newest last.
 */
Datum
kafka_tail(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KafkaConsumer *consumer;
	TupleDesc	header;
	Tail	   *tails;
	const KafkaMessage **all;
	char	   *topic;
	bool		per_partition;
	int			ntails;
	int			total;
	int			n;

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("server, topic, n and per_partition must not be null")));
	topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	n = PG_GETARG_INT32(2);
	per_partition = PG_GETARG_BOOL(3);
	if (n < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of messages must be positive")));

	InitMaterializedSRF(fcinfo, 0);
	consumer = kafka_consumer_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	kafka_consumer_want_headers(consumer, true);
	ntails = make_tails(consumer, topic, n,
						PG_ARGISNULL(4) ? NULL : PG_GETARG_ARRAYTYPE_P(4),
						&tails);
	while (next_window(consumer, topic, tails, ntails))
		read_window(consumer, tails, ntails);
	kafka_consumer_close(consumer);

	total = gather(tails, ntails, &all);
	if (!per_partition)
		qsort(all, total, sizeof(all[0]), compare_times);
	header = lookup_rowtype_tupdesc(get_element_type(TupleDescAttr(result->setDesc, 5)->atttypid),
									-1);
	for (int i = per_partition ? 0 : Max(0, total - n); i < total; i++)
		put_message(fcinfo, all[i], header);
	ReleaseTupleDesc(header);

	return (Datum) 0;
}

/*
 * Takes the ends of the wanted partitions.
 */
static int
make_tails(KafkaConsumer *consumer, const char *topic, int n,
		   ArrayType *partitions, Tail **tails)
{
	KafkaPartitionOffsets *offsets;
	int			found = kafka_consumer_offsets(consumer, list_make1(unconstify(char *, topic)),
											   &offsets);
	int			ntails = 0;

	*tails = palloc0_array(Tail, found);
	for (int i = 0; i < found; i++)
	{
		Tail	   *tail = &(*tails)[ntails];

		if (!is_wanted(partitions, offsets[i].partition))
			continue;
		tail->partition = offsets[i].partition;
		tail->low = offsets[i].low;
		tail->start = offsets[i].end;
		tail->window = (int64) n + SLACK;
		tail->size = Max(0, Min((int64) n, tail->start - tail->low));
		ntails++;
	}
	if (partitions != NULL &&
		ntails < ArrayGetNItems(ARR_NDIM(partitions), ARR_DIMS(partitions)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" has not all of these partitions, or one is there twice",
						topic)));
	return ntails;
}

static bool
is_wanted(ArrayType *partitions, int32 partition)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (partitions == NULL)
		return true;
	deconstruct_array(partitions, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i] && DatumGetInt32(elements[i]) == partition)
			return true;
	return false;
}

/*
 * Begins to read the next window of those partitions that have too few
 * messages; false when there is none.
 */
static bool
next_window(KafkaConsumer *consumer, const char *topic, Tail *tails,
			int ntails)
{
	KafkaRange *ranges = palloc_array(KafkaRange, Max(ntails, 1));
	int			n = 0;

	for (int i = 0; i < ntails; i++)
	{
		Tail	   *tail = &tails[i];

		if (tail->count >= tail->size || tail->start <= tail->low)
			continue;
		ranges[n].topic = topic;
		ranges[n].partition = tail->partition;
		ranges[n].end = tail->start;
		ranges[n].start = Max(tail->low, tail->start - tail->window);
		tail->start = ranges[n++].start;
		tail->window = Min(2 * tail->window, MAX_WINDOW);
		tail->taken = 0;
		tail->ring_size = tail->size - tail->count;
		tail->ring = palloc0_array(KafkaMessage, tail->ring_size);
	}
	if (n > 0)
		kafka_consumer_start(consumer, ranges, n);
	return n > 0;
}

/*
 * Reads the windows to their ends, and puts what they have before what there
 * is already.
 */
static void
read_window(KafkaConsumer *consumer, Tail *tails, int ntails)
{
	while (!kafka_consumer_finished(consumer))
	{
		(void) kafka_consumer_poll(consumer, BATCH, -1);
		for (int i = 0; i < kafka_consumer_count(consumer); i++)
		{
			const KafkaMessage *message = kafka_consumer_message(consumer, i);

			for (int t = 0; t < ntails; t++)
				if (tails[t].partition == message->partition)
					take_message(&tails[t], message);
		}
		kafka_consumer_release(consumer);
	}
	kafka_consumer_stop(consumer);
	for (int i = 0; i < ntails; i++)
		keep_window(&tails[i]);
}

static void
keep_window(Tail *tail)
{
	int			n;

	if (tail->ring == NULL)
		return;
	n = Min(tail->taken, tail->ring_size);
	if (tail->messages == NULL)
		tail->messages = palloc_array(KafkaMessage, tail->size);
	for (int i = 0; i < n; i++)
		tail->messages[tail->size - tail->count - n + i] =
			tail->ring[(tail->taken - n + i) % tail->ring_size];
	tail->count += n;
	pfree(tail->ring);
	tail->ring = NULL;
}

/*
 * Copies a message into the ring, in place of the oldest when it is full.
 */
static void
take_message(Tail *tail, const KafkaMessage *message)
{
	KafkaMessage *copy = &tail->ring[tail->taken % tail->ring_size];
	KafkaHeader *headers = NULL;

	if (tail->taken >= tail->ring_size)
		free_message(copy);
	if (message->nheaders > 0)
		headers = palloc_array(KafkaHeader, message->nheaders);
	for (int i = 0; i < message->nheaders; i++)
	{
		const KafkaHeader *header = &message->headers[i];

		headers[i].name = pstrdup(header->name);
		headers[i].value = copy_bytes(header->value, header->value_len);
		headers[i].value_len = header->value_len;
	}
	*copy = *message;
	copy->topic = NULL;			/* the consumer's */
	copy->key = copy_bytes(message->key, message->key_len);
	copy->value = copy_bytes(message->value, message->value_len);
	copy->headers = headers;
	tail->taken++;
}

static void
free_message(KafkaMessage *message)
{
	if (message->key != NULL)
		pfree(unconstify(char *, message->key));
	if (message->value != NULL)
		pfree(unconstify(char *, message->value));
	for (int i = 0; i < message->nheaders; i++)
	{
		pfree(unconstify(char *, message->headers[i].name));
		if (message->headers[i].value != NULL)
			pfree(unconstify(char *, message->headers[i].value));
	}
	if (message->nheaders > 0)
		pfree(unconstify(KafkaHeader *, message->headers));
}

static char *
copy_bytes(const char *bytes, size_t len)
{
	char	   *copy;

	if (bytes == NULL)
		return NULL;
	copy = palloc(Max(len, 1));
	memcpy(copy, bytes, len);
	return copy;
}

/*
 * Returns the messages of all partitions, by partition and offset.
 */
static int
gather(const Tail *tails, int ntails, const KafkaMessage ***all)
{
	int			n = 0;

	for (int i = 0; i < ntails; i++)
		n += tails[i].count;
	*all = palloc_array(const KafkaMessage *, Max(n, 1));
	n = 0;
	for (int i = 0; i < ntails; i++)
		for (int m = tails[i].size - tails[i].count; m < tails[i].size; m++)
			(*all)[n++] = &tails[i].messages[m];
	return n;
}

static int
compare_times(const void *a, const void *b)
{
	const KafkaMessage *x = *(const KafkaMessage *const *) a;
	const KafkaMessage *y = *(const KafkaMessage *const *) b;

	if (x->timestamp != y->timestamp)
		return x->timestamp < y->timestamp ? -1 : 1;
	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static void
put_message(FunctionCallInfo fcinfo, const KafkaMessage *message,
			TupleDesc header)
{
	Datum		values[8];
	bool		nulls[8] = {false};

	values[0] = Int32GetDatum(message->partition);
	values[1] = Int64GetDatum(message->offset);
	values[2] = kafka_timestamp_or_null(message->timestamp, &nulls[2]);
	values[3] = text_or_null(message->key, message->key_len, &nulls[3]);
	values[4] = text_or_null(message->value, message->value_len, &nulls[4]);
	values[5] = headers_array(message, header);
	values[6] = bytes_or_null(message->key, message->key_len, &nulls[6]);
	values[7] = bytes_or_null(message->value, message->value_len, &nulls[7]);
	kafka_put_row(fcinfo, values, nulls);
}

/*
 * Returns bytes as text; NULL also where they are no UTF-8, or nothing that
 * the database can hold.
 */
static Datum
text_or_null(const char *bytes, size_t len, bool *isnull)
{
	int			encoding = GetDatabaseEncoding();
	Oid			proc = InvalidOid;
	char	   *converted;

	*isnull = true;
	if (bytes == NULL || len > MaxAllocSize / MAX_CONVERSION_GROWTH - 1 ||
		!pg_verify_mbstr(PG_UTF8, bytes, (int) len, true))
		return (Datum) 0;
	if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
	{
		proc = FindDefaultConversionProc(PG_UTF8, encoding);
		if (!OidIsValid(proc))
			return (Datum) 0;
	}
	if (!OidIsValid(proc) || len == 0)
	{
		*isnull = false;
		return PointerGetDatum(cstring_to_text_with_len(bytes, (int) len));
	}
	converted = palloc(len * MAX_CONVERSION_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
									  unconstify(unsigned char *, (const unsigned char *) bytes),
									  (int) len, (unsigned char *) converted,
									  (int) (len * MAX_CONVERSION_GROWTH + 1),
									  true) != (int) len)
		return (Datum) 0;
	*isnull = false;
	return CStringGetTextDatum(converted);
}

static Datum
bytes_or_null(const char *bytes, size_t len, bool *isnull)
{
	*isnull = bytes == NULL;
	if (*isnull)
		return (Datum) 0;
	if (len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large")));
	return PointerGetDatum(cstring_to_text_with_len(bytes, (int) len));
}

/*
 * Returns the headers as kafka.header[].
 */
static Datum
headers_array(const KafkaMessage *message, TupleDesc desc)
{
	Datum	   *elements = palloc_array(Datum, Max(message->nheaders, 1));

	for (int i = 0; i < message->nheaders; i++)
	{
		const KafkaHeader *header = &message->headers[i];
		Datum		values[2];
		bool		nulls[2];

		values[0] = text_or_null(header->name, strlen(header->name), &nulls[0]);
		values[1] = bytes_or_null(header->value, header->value_len, &nulls[1]);
		elements[i] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	return PointerGetDatum(construct_array(elements, message->nheaders,
										   desc->tdtypeid, -1, false,
										   TYPALIGN_DOUBLE));
}
