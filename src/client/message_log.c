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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/message_log_internal.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define FIRST_SIZE 8192			/* bytes of the buffer, doubled as needed */

static Size record_size(const KafkaMessage *message);
static Size headers_size(const KafkaMessage *message);
static void make_room(KafkaMessageLog *log, Size size);
static void write_buffer(KafkaMessageLog *log);
static char *put(char *to, const void *bytes, Size len);
static char *put_number(char *to, int32 number);
static int32 length_of(const char *bytes, Size len);
static void write_record(char *to, Size size, const LogRoute *route,
						 const KafkaMessage *message);
static char *write_headers(char *to, const KafkaMessage *message);

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
	const LogRoute *route = kafka_log_route(log, target, message->topic);

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
	kafka_log_seek_file(log, log->file_bytes);
	BufFileWrite(log->file, log->buffer, log->buffer_bytes);
	log->file_bytes += log->buffer_bytes;
	log->buffer_bytes = 0;
}

/*
 * kafka_log_seek_file
 *		Goes to a place in the file.
 */
void
kafka_log_seek_file(KafkaMessageLog *log, int64 position)
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
