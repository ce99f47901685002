/*-------------------------------------------------------------------------
 *
 * message_log_read.c
 *	  Reads a message log from its beginning.
 *
 * NOTES
 *	  The file is read in large pieces into a window, where records are whole.
 *	  What is behind it is read where it is, in the buffer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/message_log_internal.h"
#include "compat.h"
#include "utils/memutils.h"

#define WINDOW_SIZE (256 * 1024)	/* bytes of the window, or a record's */

static const char *next_record(KafkaMessageLog *log, LogRecord *record);
static void fill_window(KafkaMessageLog *log, Size wanted);
static const char *take(const char **from, int32 len);
static int32 take_number(const char **from);
static void take_headers(KafkaMessageLog *log, const char **from, int n);

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
		kafka_log_seek_file(log, 0);
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
