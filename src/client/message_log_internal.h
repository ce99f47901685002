/*-------------------------------------------------------------------------
 *
 * message_log_internal.h
 *	  What the files of the message log share: the form of its records.
 *
 * NOTES
 *	  A record is a LogRecord and then, as far as its flags say so, partition,
 *	  timestamp, key, headers (their number, and for each a LogHeader, the name
 *	  and its end, and the value), and the value, which is the rest.  Topic and
 *	  target are a number, by which the log knows them.  Nothing is aligned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_MESSAGE_LOG_INTERNAL_H
#define KAFKA_MESSAGE_LOG_INTERNAL_H

#include "client/message_log.h"
#include "storage/buffile.h"
#include "utils/hsearch.h"

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

/* message_log.c */
extern void kafka_log_seek_file(KafkaMessageLog *log, int64 position);

/* message_log_route.c */
extern const LogRoute *kafka_log_route(KafkaMessageLog *log, int target,
									   const char *topic);

#endif							/* KAFKA_MESSAGE_LOG_INTERNAL_H */
