/*-------------------------------------------------------------------------
 *
 * reader_chunks.h
 *	  A chain of chunks of memory, which a thread fills with entries and the
 *	  backend walks along.
 *
 * NOTES
 *	  One thread appends and publishes; the backend takes and releases.
 *
 *	  For reader.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_READER_CHUNKS_H
#define KAFKA_READER_CHUNKS_H

#include "client/handle.h"
#include "message.h"

/* Something that was in the queue. */
typedef struct KafkaEntry
{
	KafkaMessage message;		/* where event is NULL */
	rd_kafka_message_t *event;	/* an error, or the end of a partition:
								 * whoever takes the entry destroys it */
	int			range;			/* of the message */
	size_t		size;			/* bytes of the entry and all that is in it */
} KafkaEntry;

typedef struct KafkaReaderChunk KafkaReaderChunk;

typedef struct KafkaReaderChunks
{
	/* of the thread */
	KafkaReaderChunk *last;		/* chunk being filled */
	size_t		end;			/* bytes of its data in use */

	/* of the backend */
	KafkaReaderChunk *first;	/* chunk that is not released */
	KafkaReaderChunk *current;	/* chunk being read */
	size_t		at;				/* bytes of its data that were read */

	pthread_mutex_t mutex;		/* of what follows */
	pthread_cond_t room;		/* ahead is less, or the thread is to end */
	size_t		ahead;			/* bytes of full chunks from current on */
	size_t		resume;			/* of them, with which the thread goes on */
	KafkaReaderChunk *spare;	/* chunks to be used again */
	int			nspare;
} KafkaReaderChunks;

extern bool kafka_chunks_begin(KafkaReaderChunks *chunks);
extern KafkaEntry *kafka_chunks_append(KafkaReaderChunks *chunks, size_t size,
									   bool *full);
extern void kafka_chunks_publish(KafkaReaderChunks *chunks);
extern bool kafka_chunks_wait(KafkaReaderChunks *chunks, size_t limit,
							  const int *stop);
extern bool kafka_chunks_is_ahead(KafkaReaderChunks *chunks, size_t limit);
extern void kafka_chunks_stop(KafkaReaderChunks *chunks, int *stop);
extern void kafka_chunks_trim(KafkaReaderChunks *chunks);
extern KafkaEntry *kafka_chunks_next(KafkaReaderChunks *chunks);
extern void kafka_chunks_release(KafkaReaderChunks *chunks);
extern void kafka_chunks_end(KafkaReaderChunks *chunks);

#endif							/* KAFKA_READER_CHUNKS_H */
