/*-------------------------------------------------------------------------
 *
 * reader_chunks.c
 *	  A chain of chunks of memory, which a thread fills with entries and the
 *	  backend walks along.
 *
 * NOTES
 *	  What is filled of a chunk is published by an atomic number, and so is the
 *	  next chunk, so neither side takes a lock for an entry.  Locked are the list
 *	  of chunks to be used again and how far the thread is ahead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>

#include "client/reader_chunks.h"

#define CHUNK_SIZE (256 * 1024) /* bytes mapped; a large entry has more */
#define IDLE_CHUNKS 2			/* kept while there is nothing to read */

struct KafkaReaderChunk
{
	KafkaReaderChunk *next;		/* atomic: NULL while this one is filled */
	size_t		size;			/* bytes mapped */
	size_t		filled;			/* atomic: bytes of data that are published */
	char		data[FLEXIBLE_ARRAY_MEMBER] pg_attribute_aligned(MAXIMUM_ALIGNOF);
};

static KafkaReaderChunk *get_chunk(KafkaReaderChunks *chunks, size_t size);
static KafkaReaderChunk *take_spare(KafkaReaderChunks *chunks);
static void free_spare(KafkaReaderChunks *chunks, int keep);

/*
 * kafka_chunks_begin
 *		Makes a chain of one empty chunk; false when there is no memory.
 */
bool
kafka_chunks_begin(KafkaReaderChunks *chunks)
{
	pthread_mutex_init(&chunks->mutex, NULL);
	pthread_cond_init(&chunks->room, NULL);
	chunks->last = get_chunk(chunks, CHUNK_SIZE);
	chunks->first = chunks->current = chunks->last;
	return chunks->last != NULL;
}

/*
 * kafka_chunks_append
 *		Returns an entry with so many bytes behind it, which is not published
 *		yet; or NULL when there is no memory.  full says that a chunk has become
 *		full, and been published.
 */
KafkaEntry *
kafka_chunks_append(KafkaReaderChunks *chunks, size_t size, bool *full)
{
	KafkaReaderChunk *chunk = chunks->last;
	KafkaEntry *entry;

	*full = false;
	size = MAXALIGN(sizeof(KafkaEntry) + size);
	if (size > chunk->size - offsetof(KafkaReaderChunk, data) - chunks->end)
	{
		KafkaReaderChunk *next = get_chunk(chunks, offsetof(KafkaReaderChunk, data) + size);

		if (next == NULL)
			return NULL;
		kafka_chunks_publish(chunks);
		pthread_mutex_lock(&chunks->mutex);
		chunks->ahead += chunk->size;
		pthread_mutex_unlock(&chunks->mutex);
		__atomic_store_n(&chunk->next, next, __ATOMIC_SEQ_CST);
		chunks->last = chunk = next;
		chunks->end = 0;
		*full = true;
	}
	entry = (KafkaEntry *) (chunk->data + chunks->end);
	entry->size = size;
	chunks->end += size;
	return entry;
}

/*
 * kafka_chunks_publish
 *		Shows the backend what has been appended.
 */
void
kafka_chunks_publish(KafkaReaderChunks *chunks)
{
	__atomic_store_n(&chunks->last->filled, chunks->end, __ATOMIC_SEQ_CST);
}

/*
 * kafka_chunks_wait
 *		Waits, in the thread, when it is ahead by more than so many bytes, until
 *		it is so by half of them, so that it is not woken for every chunk; false
 *		when stop is set.
 */
bool
kafka_chunks_wait(KafkaReaderChunks *chunks, size_t limit, const int *stop)
{
	bool		stopped;

	pthread_mutex_lock(&chunks->mutex);
	chunks->resume = chunks->ahead > limit ? limit / 2 : limit;
	while (!(stopped = __atomic_load_n(stop, __ATOMIC_SEQ_CST)) &&
		   chunks->ahead > chunks->resume)
		pthread_cond_wait(&chunks->room, &chunks->mutex);
	pthread_mutex_unlock(&chunks->mutex);
	return !stopped;
}

/*
 * kafka_chunks_is_ahead
 *		Says whether the thread would wait.
 */
bool
kafka_chunks_is_ahead(KafkaReaderChunks *chunks, size_t limit)
{
	bool		ahead;

	pthread_mutex_lock(&chunks->mutex);
	ahead = chunks->ahead > limit;
	pthread_mutex_unlock(&chunks->mutex);
	return ahead;
}

/*
 * kafka_chunks_stop
 *		Sets stop, and wakes the thread if it waits.
 */
void
kafka_chunks_stop(KafkaReaderChunks *chunks, int *stop)
{
	pthread_mutex_lock(&chunks->mutex);
	__atomic_store_n(stop, 1, __ATOMIC_SEQ_CST);
	pthread_cond_signal(&chunks->room);
	pthread_mutex_unlock(&chunks->mutex);
}

/*
 * kafka_chunks_trim
 *		Gives memory back that is not in use.
 */
void
kafka_chunks_trim(KafkaReaderChunks *chunks)
{
	pthread_mutex_lock(&chunks->mutex);
	free_spare(chunks, IDLE_CHUNKS);
	pthread_mutex_unlock(&chunks->mutex);
}

/*
 * kafka_chunks_next
 *		Returns the next entry that is published, or NULL.
 */
KafkaEntry *
kafka_chunks_next(KafkaReaderChunks *chunks)
{
	for (;;)
	{
		KafkaReaderChunk *chunk = chunks->current;
		KafkaReaderChunk *next = __atomic_load_n(&chunk->next, __ATOMIC_SEQ_CST);

		/* what is filled is final when there is a next one */
		if (chunks->at < __atomic_load_n(&chunk->filled, __ATOMIC_SEQ_CST))
		{
			KafkaEntry *entry = (KafkaEntry *) (chunk->data + chunks->at);

			chunks->at += entry->size;
			return entry;
		}
		if (next == NULL)
			return NULL;
		chunks->current = next;
		chunks->at = 0;
		pthread_mutex_lock(&chunks->mutex);
		chunks->ahead -= chunk->size;
		if (chunks->ahead <= chunks->resume)
			pthread_cond_signal(&chunks->room);
		pthread_mutex_unlock(&chunks->mutex);
	}
}

/*
 * kafka_chunks_release
 *		Frees the chunks whose entries have all been returned.
 */
void
kafka_chunks_release(KafkaReaderChunks *chunks)
{
	if (chunks->first == chunks->current)
		return;
	pthread_mutex_lock(&chunks->mutex);
	while (chunks->first != chunks->current)
	{
		KafkaReaderChunk *chunk = chunks->first;

		chunks->first = chunk->next;
		if (chunk->size == CHUNK_SIZE)
		{
			chunk->next = chunks->spare;
			chunks->spare = chunk;
			chunks->nspare++;
		}
		else
			munmap(chunk, chunk->size);
	}
	pthread_mutex_unlock(&chunks->mutex);
}

/*
 * kafka_chunks_end
 *		Frees all chunks; the thread has ended.
 */
void
kafka_chunks_end(KafkaReaderChunks *chunks)
{
	while (chunks->first != NULL)
	{
		KafkaReaderChunk *chunk = chunks->first;

		chunks->first = chunk->next;
		munmap(chunk, chunk->size);
	}
	free_spare(chunks, 0);
	pthread_cond_destroy(&chunks->room);
	pthread_mutex_destroy(&chunks->mutex);
}

/*
 * Returns an empty chunk of at least this size, or NULL when there is no
 * memory.
 */
static KafkaReaderChunk *
get_chunk(KafkaReaderChunks *chunks, size_t size)
{
	KafkaReaderChunk *chunk = NULL;

	if (size <= CHUNK_SIZE)
	{
		size = CHUNK_SIZE;
		chunk = take_spare(chunks);
	}
	if (chunk == NULL)
	{
		chunk = mmap(NULL, size, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (chunk == MAP_FAILED)
			return NULL;
		chunk->size = size;
	}
	chunk->next = NULL;
	chunk->filled = 0;
	return chunk;
}

static KafkaReaderChunk *
take_spare(KafkaReaderChunks *chunks)
{
	KafkaReaderChunk *chunk;

	pthread_mutex_lock(&chunks->mutex);
	chunk = chunks->spare;
	if (chunk != NULL)
	{
		chunks->spare = chunk->next;
		chunks->nspare--;
	}
	pthread_mutex_unlock(&chunks->mutex);
	return chunk;
}

/*
 * Gives memory back, but for so many chunks.  With the lock held, or by who is
 * alone.
 */
static void
free_spare(KafkaReaderChunks *chunks, int keep)
{
	while (chunks->nspare > keep)
	{
		KafkaReaderChunk *chunk = chunks->spare;

		chunks->spare = chunk->next;
		chunks->nspare--;
		munmap(chunk, chunk->size);
	}
}
