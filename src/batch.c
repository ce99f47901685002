/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  The messages that a subscription applies together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "batch.h"
#include "utils/memutils.h"

const KafkaBatchView *kafka_batch_view;

static char *copy_or_null(const char *str);

/*
 * kafka_batch_create
 *		Makes a batch, in the current memory context, none of whose messages is
 *		known to be bad.
 */
KafkaBatch *
kafka_batch_create(KafkaBatchMessage get, void *source, int count)
{
	KafkaBatch *batch = palloc0(sizeof(KafkaBatch));

	batch->get = get;
	batch->source = source;
	batch->count = count;
	batch->context = CurrentMemoryContext;
	return batch;
}

/*
 * kafka_batch_message
 *		Returns a message, which is valid as long as the batch.
 */
const KafkaMessage *
kafka_batch_message(KafkaBatch *batch, int i, bool headers)
{
	Assert(i >= 0 && i < batch->count);
	return batch->get(batch->source, i, headers);
}

/*
 * kafka_batch_error
 *		Returns what is wrong with a message, as far as it is known, or NULL.
 */
ErrorData *
kafka_batch_error(const KafkaBatch *batch, int i)
{
	return batch->errors == NULL ? NULL : batch->errors[i];
}

/*
 * kafka_batch_set_error
 *		Notes that a message is bad, with a copy of what is told about it; NULL
 *		forgets that.
 */
void
kafka_batch_set_error(KafkaBatch *batch, int i, const ErrorData *error)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	ErrorData  *copy;

	if (batch->errors == NULL)
		batch->errors = palloc0(mul_size(sizeof(ErrorData *), batch->count));
	if (batch->errors[i] != NULL)
	{
		FreeErrorData(batch->errors[i]);
		batch->errors[i] = NULL;
		batch->nbad--;
	}
	if (error != NULL)
	{
		copy = palloc0(sizeof(ErrorData));
		copy->elevel = error->elevel;
		copy->output_to_server = error->output_to_server;
		copy->sqlerrcode = error->sqlerrcode;
		copy->assoc_context = batch->context;
		copy->message = copy_or_null(error->message);
		copy->detail = copy_or_null(error->detail);
		copy->hint = copy_or_null(error->hint);
		copy->context = copy_or_null(error->context);
		batch->errors[i] = copy;
		batch->nbad++;
	}
	MemoryContextSwitchTo(old);
}

static char *
copy_or_null(const char *str)
{
	return str == NULL ? NULL : pstrdup(str);
}
