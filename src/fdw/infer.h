/*-------------------------------------------------------------------------
 *
 * infer.h
 *	  Infers columns from messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_INFER_H
#define KAFKA_INFER_H

#include "message.h"
#include "nodes/pg_list.h"

/* A top-level key of the JSON objects. */
typedef struct KafkaInferredField
{
	char	   *key;
	int			kinds;			/* what its values were, see infer.c */
} KafkaInferredField;

typedef struct KafkaInference
{
	MemoryContext context;		/* of all that is kept */
	bool		keys_are_text;	/* no key is anything else */
	bool		values_are_text;
	bool		values_are_objects;
	List	   *fields;			/* of KafkaInferredField, as first seen */
} KafkaInference;

extern KafkaInference *kafka_infer_begin(void);
extern void kafka_infer_message(KafkaInference *inference,
								const KafkaMessage *message);
extern const char *kafka_infer_type(const KafkaInferredField *field);

#endif							/* KAFKA_INFER_H */
