/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  The messages that a subscription applies together.
 *
 * NOTES
 *	  Where they come from is the maker's: a worker has them from Kafka, and
 *	  messages that were put aside come from a table.
 *
 *	  Where SQL is to see a batch, scans of its foreign table read it through
 *	  kafka_batch_view: several scans in a statement, and all of its statements,
 *	  see the same messages.
 *
 *	  A message that is known to be bad is passed by, by whoever applies the
 *	  batch, and what becomes of it is decided elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_BATCH_H
#define KAFKA_BATCH_H

#include "message.h"

/* Returns a message; it has its headers only if they are asked for. */
typedef const KafkaMessage *(*KafkaBatchMessage) (void *source, int i,
												  bool headers);

typedef struct KafkaBatch
{
	KafkaBatchMessage get;
	void	   *source;			/* its argument */
	int			count;			/* messages 0 .. count - 1; it may grow before
								 * any is known to be bad */

	/* what is wrong with them */
	MemoryContext context;		/* of what follows */
	ErrorData **errors;			/* of each message, or NULL; NULL when no
								 * message has any */
	int			nbad;

	/* told by whoever applies messages, also when that ends with an ERROR */
	int			reached;		/* messages before it have been looked at */
	bool		ended;			/* all of them have been, and are done with */
	bool		decoding;		/* the one before reached, and an ERROR says
								 * itself which one it is about */
} KafkaBatch;

/* What a scan of a table reads, in place of the table's topic. */
typedef struct KafkaBatchView
{
	Oid			relation;		/* the table */
	KafkaBatch *batch;
	int			first;			/* messages [first, last) */
	int			last;
	bool		careful;		/* those that cannot be decoded become bad */
} KafkaBatchView;

extern PGDLLIMPORT const KafkaBatchView *kafka_batch_view;	/* or NULL */

extern KafkaBatch *kafka_batch_create(KafkaBatchMessage get, void *source,
									  int count);
extern const KafkaMessage *kafka_batch_message(KafkaBatch *batch, int i,
											   bool headers);
extern ErrorData *kafka_batch_error(const KafkaBatch *batch, int i);
extern void kafka_batch_set_error(KafkaBatch *batch, int i,
								  const ErrorData *error);

#endif							/* KAFKA_BATCH_H */
