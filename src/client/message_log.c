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
 *	  A record is a LogRecord, the topic and its end, key, value, and the
 *	  headers, each a LogHeader, the name and its end, and the value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/message_log.h"
#include "compat.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define FIRST_SIZE 8192			/* bytes of the buffer, doubled as needed */
#define NULL_LENGTH (-1)

typedef struct LogRecord
{
	int64		size;			/* of the record, this struct included */
	int64		timestamp;
	int32		target;
	int32		partition;
	int32		topic_len;
	int32		key_len;		/* or NULL_LENGTH */
	int32		value_len;		/* or NULL_LENGTH */
	int32		nheaders;
} LogRecord;

typedef struct LogHeader
{
	int32		name_len;
	int32		value_len;		/* or NULL_LENGTH */
} LogHeader;

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

	/* reading */
	int64		position;		/* bytes read */
	char	   *record;			/* a record of the file */
	Size		record_size;
	KafkaHeader *headers;		/* of the record */
	int			max_headers;
};

static Size record_size(const KafkaMessage *message);
static void make_room(KafkaMessageLog *log, Size size);
static void write_buffer(KafkaMessageLog *log);
static void seek_file(KafkaMessageLog *log, int64 position);
static char *put(char *to, const char *bytes, Size len);
static int32 length_of(const char *bytes, Size len);
static char *write_record(char *to, int target, const KafkaMessage *message);
static const char *next_record(KafkaMessageLog *log);
static const char *read_file(KafkaMessageLog *log);
static const char *take(const char **from, int32 len);
static void take_headers(KafkaMessageLog *log, const char *from, int n);

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

	make_room(log, size);
	write_record(log->buffer + log->buffer_bytes, target, message);
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
	const char *from = next_record(log);
	LogRecord	record;

	if (from == NULL)
		return false;
	memcpy(&record, from, sizeof(LogRecord));
	from += sizeof(LogRecord);
	memset(message, 0, sizeof(KafkaMessage));
	*target = record.target;
	message->partition = record.partition;
	message->offset = KAFKA_OFFSET_UNKNOWN;
	message->timestamp = record.timestamp;
	message->leader_epoch = -1;
	message->topic = take(&from, record.topic_len + 1);
	message->key = take(&from, record.key_len);
	message->key_len = Max(record.key_len, 0);
	message->value = take(&from, record.value_len);
	message->value_len = Max(record.value_len, 0);
	take_headers(log, from, record.nheaders);
	message->headers = log->headers;
	message->nheaders = record.nheaders;
	return true;
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
	Size		size = sizeof(LogRecord) + strlen(message->topic) + 1 +
	message->key_len + message->value_len;

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

static char *
write_record(char *to, int target, const KafkaMessage *message)
{
	LogRecord	record;

	record.size = record_size(message);
	record.timestamp = message->timestamp;
	record.target = target;
	record.partition = message->partition;
	record.topic_len = strlen(message->topic);
	record.key_len = length_of(message->key, message->key_len);
	record.value_len = length_of(message->value, message->value_len);
	record.nheaders = message->nheaders;

	to = put(to, (char *) &record, sizeof(LogRecord));
	to = put(to, message->topic, record.topic_len + 1);
	to = put(to, message->key, message->key_len);
	to = put(to, message->value, message->value_len);
	for (int i = 0; i < message->nheaders; i++)
	{
		const KafkaHeader *header = &message->headers[i];
		LogHeader	lengths;

		lengths.name_len = strlen(header->name);
		lengths.value_len = length_of(header->value, header->value_len);
		to = put(to, (char *) &lengths, sizeof(LogHeader));
		to = put(to, header->name, lengths.name_len + 1);
		to = put(to, header->value, Max(lengths.value_len, 0));
	}
	return to;
}

static char *
put(char *to, const char *bytes, Size len)
{
	if (len > 0)
		memcpy(to, bytes, len);
	return to + len;
}

static int32
length_of(const char *bytes, Size len)
{
	return bytes == NULL ? NULL_LENGTH : (int32) len;
}

/*
 * Returns the next record's bytes, or NULL at the end.
 */
static const char *
next_record(KafkaMessageLog *log)
{
	const char *from;
	LogRecord	record;

	if (log->position < log->file_bytes)
		return read_file(log);
	if (log->position >= log->file_bytes + log->buffer_bytes)
		return NULL;
	from = log->buffer + (log->position - log->file_bytes);
	memcpy(&record, from, sizeof(LogRecord));
	log->position += record.size;
	return from;
}

/*
 * Reads a record of the file.
 */
static const char *
read_file(KafkaMessageLog *log)
{
	LogRecord	record;

	kafka_compat_buffile_read(log->file, &record, sizeof(LogRecord));
	if (record.size > log->record_size)
	{
		if (log->record != NULL)
			pfree(log->record);
		log->record_size = Max(record.size, FIRST_SIZE);
		log->record = MemoryContextAllocHuge(log->context, log->record_size);
	}
	memcpy(log->record, &record, sizeof(LogRecord));
	kafka_compat_buffile_read(log->file, log->record + sizeof(LogRecord),
							  record.size - sizeof(LogRecord));
	log->position += record.size;
	return log->record;
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

static void
take_headers(KafkaMessageLog *log, const char *from, int n)
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

		memcpy(&lengths, take(&from, sizeof(LogHeader)), sizeof(LogHeader));
		log->headers[i].name = take(&from, lengths.name_len + 1);
		log->headers[i].value = take(&from, lengths.value_len);
		log->headers[i].value_len = Max(lengths.value_len, 0);
	}
}
