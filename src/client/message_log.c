/*-------------------------------------------------------------------------
 *
 * message_log.c
 *	  Messages one after the other, in memory and then in a temporary file.
 *
 * NOTES
 *	  The log is one sequence of bytes: first those in the file, then those in
 *	  the buffer.  When the buffer is full it is written to the file and begins
 *	  anew.  So a place in the log is a number of bytes, and cutting it there
 *	  needs nothing else.
 *
 *	  A record is a LogRecord and then, as far as its flags say so, partition,
 *	  timestamp, key, headers (their number, and for each a LogHeader, the name
 *	  and its end, and the value), and the value, which is the rest.  Topic and
 *	  target are a number, by which the log knows them.  Nothing is aligned.
 *
 *	  The file is read in large pieces into a window, where records are whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/message_log.h"
#include "common/hashfn.h"
#include "compat.h"
#include "storage/buffile.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define FIRST_SIZE 8192			/* bytes of the buffer, doubled as needed */
#define WINDOW_SIZE (256 * 1024)	/* bytes of the window, or a record's */
#define NULL_LENGTH (-1)

/* flags of a record */
#define LOG_PARTITION 0x01
#define LOG_TIMESTAMP 0x02
#define LOG_KEY 0x04
#define LOG_VALUE 0x08
#define LOG_HEADERS 0x10

typedef struct LogRecord
{
	uint32		size;			/* of the record, this struct included */
	uint32		route:24;
	uint32		flags:8;
} LogRecord;

#define MAX_ROUTES (1 << 24)

typedef struct LogHeader
{
	int32		name_len;
	int32		value_len;		/* or NULL_LENGTH */
} LogHeader;

/* Where messages go; the entry of a hash table. */
typedef struct LogRoute
{
	const char *topic;			/* the key, with target */
	int			target;
	uint32		number;
} LogRoute;

struct KafkaMessageLog
{
	/* for the life of the log */
	MemoryContext context;
	Size		memory;			/* bytes the buffer may have */

	/* what has been written */
	BufFile    *file;			/* NULL until the buffer was full once */
	int64		file_bytes;
	char	   *buffer;
	Size		buffer_size;
	Size		buffer_bytes;
	int64		messages;

	/* where it goes */
	HTAB	   *routes;			/* of LogRoute */
	LogRoute  **route;			/* by number */
	uint32		max_routes;
	uint32		nroutes;
	const LogRoute *last;		/* of what was appended last, or NULL */

	/* reading */
	int64		position;		/* bytes read */
	char	   *window;			/* what has been taken from the file */
	Size		window_size;
	Size		window_bytes;
	Size		window_next;	/* of which have been read */
	int64		window_end;		/* its place in the file */
	KafkaHeader *headers;		/* of the record */
	int			max_headers;
};

static Size record_size(const KafkaMessage *message);
static Size headers_size(const KafkaMessage *message);
static const LogRoute *find_route(KafkaMessageLog *log, int target,
								  const char *topic);
static LogRoute *add_route(KafkaMessageLog *log, int target,
						   const char *topic);
static HTAB *make_routes(MemoryContext context);
static uint32 hash_route(const void *key, Size size);
static int	compare_routes(const void *a, const void *b, Size size);
static void make_room(KafkaMessageLog *log, Size size);
static void write_buffer(KafkaMessageLog *log);
static void seek_file(KafkaMessageLog *log, int64 position);
static char *put(char *to, const void *bytes, Size len);
static char *put_number(char *to, int32 number);
static int32 length_of(const char *bytes, Size len);
static void write_record(char *to, Size size, const LogRoute *route,
						 const KafkaMessage *message);
static char *write_headers(char *to, const KafkaMessage *message);
static const char *next_record(KafkaMessageLog *log, LogRecord *record);
static void fill_window(KafkaMessageLog *log, Size wanted);
static const char *take(const char **from, int32 len);
static int32 take_number(const char **from);
static void take_headers(KafkaMessageLog *log, const char **from, int n);

/*
 * kafka_log_create
 *		Returns an empty log that holds so many bytes before it goes to disk.
 */
KafkaMessageLog *
kafka_log_create(Size memory)
{
	KafkaMessageLog *log = palloc0(sizeof(KafkaMessageLog));

	log->context = CurrentMemoryContext;
	log->memory = memory;
	return log;
}

/*
 * kafka_log_append
 *		Adds a copy of the message.
 */
void
kafka_log_append(KafkaMessageLog *log, int target, const KafkaMessage *message)
{
	Size		size = record_size(message);
	const LogRoute *route = find_route(log, target, message->topic);

	make_room(log, size);
	write_record(log->buffer + log->buffer_bytes, size, route, message);
	log->buffer_bytes += size;
	log->messages++;
}

/*
 * kafka_log_end
 *		Returns where the log ends, for kafka_log_truncate().
 */
KafkaLogEnd
kafka_log_end(const KafkaMessageLog *log)
{
	KafkaLogEnd end;

	end.bytes = log->file_bytes + log->buffer_bytes;
	end.messages = log->messages;
	return end;
}

/*
 * kafka_log_truncate
 *		Forgets what has been appended since the log ended there.
 */
void
kafka_log_truncate(KafkaMessageLog *log, KafkaLogEnd end)
{
	log->messages = end.messages;
	if (end.bytes >= log->file_bytes)
	{
		log->buffer_bytes = end.bytes - log->file_bytes;
		return;
	}
	log->buffer_bytes = 0;
	log->file_bytes = end.bytes;
}

/*
 * kafka_log_rewind
 *		Has the log read from its beginning.
 */
void
kafka_log_rewind(KafkaMessageLog *log)
{
	log->position = 0;
	log->window_bytes = log->window_next = 0;
	log->window_end = 0;
	if (log->file_bytes > 0)
		seek_file(log, 0);
}

/*
 * kafka_log_read
 *		Returns the next message; false at the end.
 *
 * It points into memory of the log, which holds it until the next call.
 */
bool
kafka_log_read(KafkaMessageLog *log, int *target, KafkaMessage *message)
{
	LogRecord	record;
	const char *from = next_record(log, &record);
	const char *end;

	if (from == NULL)
		return false;
	end = from + record.size;
	from += sizeof(LogRecord);
	memset(message, 0, sizeof(KafkaMessage));
	*target = log->route[record.route]->target;
	message->topic = log->route[record.route]->topic;
	message->partition = KAFKA_PARTITION_ANY;
	message->offset = KAFKA_OFFSET_UNKNOWN;
	message->timestamp = KAFKA_TIMESTAMP_UNKNOWN;
	message->leader_epoch = -1;
	if (record.flags & LOG_PARTITION)
		message->partition = take_number(&from);
	if (record.flags & LOG_TIMESTAMP)
		memcpy(&message->timestamp, take(&from, sizeof(int64)), sizeof(int64));
	if (record.flags & LOG_KEY)
	{
		message->key_len = take_number(&from);
		message->key = take(&from, message->key_len);
	}
	if (record.flags & LOG_HEADERS)
	{
		message->nheaders = take_number(&from);
		take_headers(log, &from, message->nheaders);
		message->headers = log->headers;
	}
	if (record.flags & LOG_VALUE)
	{
		message->value = from;
		message->value_len = end - from;
	}
	return true;
}

/*
 * kafka_log_keeps
 *		Says whether the next call of kafka_log_read() leaves alone what key and
 *		value of the messages before point to.
 */
bool
kafka_log_keeps(const KafkaMessageLog *log)
{
	Size		left = log->window_bytes - log->window_next;
	LogRecord	record;

	if (log->position >= log->file_bytes)
		return true;
	if (left < sizeof(LogRecord))
		return false;
	memcpy(&record, log->window + log->window_next, sizeof(LogRecord));
	return left >= record.size;
}

/*
 * kafka_log_close
 *		Removes the file; the memory goes with the log's context.
 */
void
kafka_log_close(KafkaMessageLog *log)
{
	if (log->file != NULL)
		BufFileClose(log->file);
	log->file = NULL;
}

static Size
record_size(const KafkaMessage *message)
{
	Size		size = sizeof(LogRecord);

	if (message->partition != KAFKA_PARTITION_ANY)
		size += sizeof(int32);
	if (message->timestamp != KAFKA_TIMESTAMP_UNKNOWN)
		size += sizeof(int64);
	if (message->key != NULL)
		size += sizeof(int32) + message->key_len;
	if (message->nheaders > 0)
		size += headers_size(message);
	if (message->value != NULL)
		size += message->value_len;
	if (size > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message for topic \"%s\" is too large",
						message->topic)));
	return size;
}

static Size
headers_size(const KafkaMessage *message)
{
	Size		size = sizeof(int32);

	for (int i = 0; i < message->nheaders; i++)
		size += sizeof(LogHeader) + strlen(message->headers[i].name) + 1 +
			(message->headers[i].value != NULL ? message->headers[i].value_len : 0);
	return size;
}

/*
 * Returns the number of a target and topic, which is a new one for what has
 * not been seen yet.
 */
static const LogRoute *
find_route(KafkaMessageLog *log, int target, const char *topic)
{
	LogRoute	key = {.topic = topic,.target = target};
	LogRoute   *route;

	if (log->last != NULL && log->last->target == target &&
		strcmp(log->last->topic, topic) == 0)
		return log->last;
	if (log->routes == NULL)
		log->routes = make_routes(log->context);
	route = hash_search(log->routes, &key, HASH_FIND, NULL);
	if (route == NULL)
		route = add_route(log, target, topic);
	log->last = route;
	return route;
}

static LogRoute *
add_route(KafkaMessageLog *log, int target, const char *topic)
{
	LogRoute	key = {.target = target};
	LogRoute   *route;

	if (log->nroutes == MAX_ROUTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("transaction sends messages to more than %d topics",
						MAX_ROUTES)));
	if (log->nroutes == log->max_routes)
	{
		uint32		more = Max(2 * log->max_routes, 8);
		Size		size = more * sizeof(LogRoute *);

		log->route = log->route == NULL ?
			MemoryContextAlloc(log->context, size) : repalloc(log->route, size);
		log->max_routes = more;
	}
	key.topic = MemoryContextStrdup(log->context, topic);
	route = hash_search(log->routes, &key, HASH_ENTER, NULL);
	route->number = log->nroutes;
	log->route[log->nroutes++] = route;
	return route;
}

static HTAB *
make_routes(MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = offsetof(LogRoute, number);
	control.entrysize = sizeof(LogRoute);
	control.hash = hash_route;
	control.match = compare_routes;
	control.hcxt = context;
	return hash_create("topics of a message log", 16, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static uint32
hash_route(const void *key, Size size)
{
	const LogRoute *route = key;

	return hash_bytes((const unsigned char *) route->topic,
					  strlen(route->topic)) + route->target;
}

static int
compare_routes(const void *a, const void *b, Size size)
{
	const LogRoute *ra = a;
	const LogRoute *rb = b;

	return ra->target != rb->target || strcmp(ra->topic, rb->topic) != 0;
}

/*
 * Makes room for a record in the buffer, which grows to the memory that the
 * log may have, or to the size of a single record that is larger.
 */
static void
make_room(KafkaMessageLog *log, Size size)
{
	Size		wanted = Max(log->buffer_size, FIRST_SIZE);

	if (log->buffer_bytes + size <= log->buffer_size)
		return;
	if (log->buffer_bytes > 0 && log->buffer_bytes + size > log->memory)
		write_buffer(log);
	while (wanted < log->buffer_bytes + size)
		wanted *= 2;
	if (wanted <= log->buffer_size)
		return;
	if (log->buffer == NULL)
		log->buffer = MemoryContextAllocHuge(log->context, wanted);
	else
		log->buffer = repalloc_huge(log->buffer, wanted);
	log->buffer_size = wanted;
}

/*
 * Moves the buffer's bytes to the file.
 *
 * The file belongs to the transaction, not to the subtransaction or portal
 * that happens to run.
 */
static void
write_buffer(KafkaMessageLog *log)
{
	if (log->file == NULL)
	{
		ResourceOwner owner = CurrentResourceOwner;
		MemoryContext old = MemoryContextSwitchTo(log->context);

		CurrentResourceOwner = TopTransactionResourceOwner;
		log->file = BufFileCreateTemp(false);
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(old);
	}
	/* not where the last write ended, if it failed or was cut off */
	seek_file(log, log->file_bytes);
	BufFileWrite(log->file, log->buffer, log->buffer_bytes);
	log->file_bytes += log->buffer_bytes;
	log->buffer_bytes = 0;
}

static void
seek_file(KafkaMessageLog *log, int64 position)
{
	if (BufFileSeek(log->file, 0, position, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in temporary file of Kafka messages: %m")));
}

static void
write_record(char *to, Size size, const LogRoute *route,
			 const KafkaMessage *message)
{
	LogRecord	record = {.size = size,.route = route->number};
	char	   *start = to;

	to += sizeof(LogRecord);
	if (message->partition != KAFKA_PARTITION_ANY)
	{
		record.flags |= LOG_PARTITION;
		to = put_number(to, message->partition);
	}
	if (message->timestamp != KAFKA_TIMESTAMP_UNKNOWN)
	{
		record.flags |= LOG_TIMESTAMP;
		to = put(to, &message->timestamp, sizeof(int64));
	}
	if (message->key != NULL)
	{
		record.flags |= LOG_KEY;
		to = put_number(to, message->key_len);
		to = put(to, message->key, message->key_len);
	}
	if (message->nheaders > 0)
	{
		record.flags |= LOG_HEADERS;
		to = write_headers(to, message);
	}
	if (message->value != NULL)
	{
		record.flags |= LOG_VALUE;
		to = put(to, message->value, message->value_len);
	}
	memcpy(start, &record, sizeof(LogRecord));
	Assert(to == start + size);
}

static char *
write_headers(char *to, const KafkaMessage *message)
{
	to = put_number(to, message->nheaders);
	for (int i = 0; i < message->nheaders; i++)
	{
		const KafkaHeader *header = &message->headers[i];
		LogHeader	lengths;

		lengths.name_len = strlen(header->name);
		lengths.value_len = length_of(header->value, header->value_len);
		to = put(to, &lengths, sizeof(LogHeader));
		to = put(to, header->name, lengths.name_len + 1);
		to = put(to, header->value, Max(lengths.value_len, 0));
	}
	return to;
}

static char *
put(char *to, const void *bytes, Size len)
{
	if (len > 0)
		memcpy(to, bytes, len);
	return to + len;
}

static char *
put_number(char *to, int32 number)
{
	return put(to, &number, sizeof(int32));
}

static int32
length_of(const char *bytes, Size len)
{
	return bytes == NULL ? NULL_LENGTH : (int32) len;
}

/*
 * Returns the next record's bytes and what it begins with, or NULL at the end.
 */
static const char *
next_record(KafkaMessageLog *log, LogRecord *record)
{
	const char *from;

	if (log->position >= log->file_bytes + log->buffer_bytes)
		return NULL;
	if (log->position >= log->file_bytes)
	{
		from = log->buffer + (log->position - log->file_bytes);
		memcpy(record, from, sizeof(LogRecord));
	}
	else
	{
		fill_window(log, sizeof(LogRecord));
		memcpy(record, log->window + log->window_next, sizeof(LogRecord));
		fill_window(log, record->size);
		from = log->window + log->window_next;
		log->window_next += record->size;
	}
	log->position += record->size;
	return from;
}

/*
 * Has the window hold so many bytes of the file that have not yet been read.
 */
static void
fill_window(KafkaMessageLog *log, Size wanted)
{
	Size		left = log->window_bytes - log->window_next;
	Size		size = Max(wanted, WINDOW_SIZE);
	Size		more;

	if (left >= wanted)
		return;
	if (log->window_size < size)
	{
		char	   *window = MemoryContextAllocHuge(log->context, size);

		if (log->window != NULL)
		{
			memcpy(window, log->window + log->window_next, left);
			pfree(log->window);
		}
		log->window = window;
		log->window_size = size;
	}
	else
		memmove(log->window, log->window + log->window_next, left);
	log->window_next = 0;
	more = Min(log->window_size - left, log->file_bytes - log->window_end);
	kafka_compat_buffile_read(log->file, log->window + left, more);
	log->window_end += more;
	log->window_bytes = left + more;
	Assert(log->window_bytes >= wanted);
}

/*
 * Takes len bytes; NULL for NULL_LENGTH.
 */
static const char *
take(const char **from, int32 len)
{
	const char *bytes = *from;

	if (len == NULL_LENGTH)
		return NULL;
	*from += len;
	return bytes;
}

static int32
take_number(const char **from)
{
	int32		number;

	memcpy(&number, take(from, sizeof(int32)), sizeof(int32));
	return number;
}

static void
take_headers(KafkaMessageLog *log, const char **from, int n)
{
	if (n > log->max_headers)
	{
		log->headers = MemoryContextAllocZero(log->context,
											  n * sizeof(KafkaHeader));
		log->max_headers = n;
	}
	for (int i = 0; i < n; i++)
	{
		LogHeader	lengths;

		memcpy(&lengths, take(from, sizeof(LogHeader)), sizeof(LogHeader));
		log->headers[i].name = take(from, lengths.name_len + 1);
		log->headers[i].value = take(from, lengths.value_len);
		log->headers[i].value_len = Max(lengths.value_len, 0);
	}
}
