/*-------------------------------------------------------------------------
 *
 * producer.c
 *	  Sends messages and knows what became of each.
 *
 * NOTES
 *	  Delivery reports are a queue that the backend serves itself, while it
 *	  sends (when the client's queue is full) and when it flushes.  Flushing
 *	  waits on that queue: rd_kafka_flush() looks at it only every 10 ms.
 *
 *	  Every message ends in exactly one report, a success or a failure, because
 *	  message.timeout.ms bounds its life.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/producer_internal.h"
#include "utils/memutils.h"

static void close_producer(void *arg);
static void end_producer(KafkaProducer *producer, bool keep);
static void warn_unflushed(KafkaProducer *producer, KafkaHandle *handle);
static void take_reports(void *owner, rd_kafka_event_t *event);
static void take_report(KafkaProducer *producer, const rd_kafka_message_t *raw);
static rd_kafka_resp_err_t try_send(KafkaProducer *producer,
									const KafkaMessage *message,
									KafkaDelivery *delivery);
static void add_headers(const KafkaMessage *message, rd_kafka_vu_t *vu,
						size_t *n);
pg_noreturn static void give_up(KafkaProducer *producer);
static void progress_callback(void *arg);

/*
 * kafka_producer_open
 *		Opens a producer, owned by the current memory context.
 *
 * options must live as long.  No connection is made yet.
 */
KafkaProducer *
kafka_producer_open(const KafkaClientOptions *options)
{
	KafkaProducer *producer = palloc0(sizeof(KafkaProducer));

	producer->context = CurrentMemoryContext;
	producer->handle = kafka_handle_open(RD_KAFKA_PRODUCER, options, producer,
										 close_producer);
	producer->handle->deliver = take_reports;
	producer->callback.func = close_producer;
	producer->callback.arg = producer;
	MemoryContextRegisterResetCallback(producer->context, &producer->callback);

	return producer;
}

/*
 * kafka_producer_begin
 *		The same for a transactional producer, made from options of
 *		kafka_transaction_options(), and begins a Kafka transaction.
 */
KafkaProducer *
kafka_producer_begin(const KafkaClientOptions *options)
{
	KafkaProducer *producer = kafka_producer_open(options);

	producer->transactional = true;
	producer->places = palloc_array(KafkaShownOffset, KAFKA_SHOWN_OFFSETS);
	kafka_transaction_begin(producer->handle);
	return producer;
}

/*
 * kafka_producer_commit
 *		Commits the Kafka transaction, after a flush.
 */
void
kafka_producer_commit(KafkaProducer *producer)
{
	kafka_transaction_commit(producer->handle);
	kafka_shown_expect(producer->handle->serverid, producer->places,
					   producer->nplaces);
}

/*
 * kafka_producer_be_patient
 *		Has flush() serve an interrupt only after a moment in which the
 *		acknowledgement may come: who cancels would not know what became of
 *		the message.
 */
void
kafka_producer_be_patient(KafkaProducer *producer)
{
	producer->patient = true;
}

/*
 * kafka_producer_close
 *		Closes the producer; what is not yet acknowledged may or may not arrive.
 */
void
kafka_producer_close(KafkaProducer *producer)
{
	end_producer(producer, producer->sent == 0);
}

static void
close_producer(void *arg)
{
	end_producer(arg, false);
}

/*
 * Closes, whoever asks for it; an ERROR does not leave a connection behind.
 *
 * A transaction that is still open is aborted by the handle, which needs the
 * reports of its messages for that.
 */
static void
end_producer(KafkaProducer *producer, bool keep)
{
	KafkaHandle *handle = producer->handle;

	if (handle == NULL || kafka_handle_is_forked())
		return;
	producer->handle = NULL;
	if (handle->transaction == KAFKA_TRANSACTION_IN_DOUBT)
		ereport(WARNING,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("it is not known whether Kafka has committed the messages of the transaction"),
				 errdetail("Kafka was asked to commit them and has not confirmed it; the transaction is rolled back here.")));
	else if (producer->sent > 0 && !producer->transactional)
		warn_unflushed(producer, handle);
	if (!keep && handle->transaction != KAFKA_TRANSACTION_OPEN)
		rd_kafka_purge(handle->rk,
					   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
					   RD_KAFKA_PURGE_F_NON_BLOCKING);
	kafka_handle_close(handle, keep);
}

/*
 * Tells what became of messages whose statement has failed before its end.
 */
static void
warn_unflushed(KafkaProducer *producer, KafkaHandle *handle)
{
	kafka_handle_serve(handle);
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg(INT64_FORMAT " messages of the failed statement were delivered to topic \"%s\"",
					producer->delivered, producer->topic),
			 errdetail(INT64_FORMAT " more were sent or queued and may have been delivered.",
					   producer->sent - producer->delivered - producer->failed)));
	producer->sent = 0;
}

/*
 * kafka_producer_send
 *		Hands a message, which is copied, to the client.
 *
 * delivery, if not NULL, must live until the next flush, which fills it.  A
 * full queue is waited for.  Raises an ERROR when the client refuses the
 * message (unknown partition, too large), or when one sent before has failed;
 * messages sent before are not undone.
 */
void
kafka_producer_send(KafkaProducer *producer, const KafkaMessage *message,
					KafkaDelivery *delivery)
{
	rd_kafka_resp_err_t err;

	if (kafka_handle_is_forked())
		kafka_handle_check_process();
	kafka_producer_use_topic(producer, message->topic);
	while ((err = try_send(producer, message, delivery)) !=
		   RD_KAFKA_RESP_ERR_NO_ERROR)
		kafka_producer_refused(producer, message, err);

	producer->sent++;
	if ((producer->sent & 0x3ff) == 0 || producer->failed > 0)
		kafka_producer_serve(producer);
}

/*
 * kafka_producer_serve
 *		Takes the reports that have come, and raises an ERROR when a message has
 *		failed.
 */
void
kafka_producer_serve(KafkaProducer *producer)
{
	kafka_handle_serve(producer->handle);
	if (producer->failed > 0)
		give_up(producer);
}

/*
 * kafka_producer_refused
 *		Returns when a message that the client has not taken can be tried again,
 *		and raises an ERROR when it cannot.
 */
void
kafka_producer_refused(KafkaProducer *producer, const KafkaMessage *message,
					   rd_kafka_resp_err_t err)
{
	if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
	{
		kafka_producer_await_reports(producer);
		if (producer->failed > 0)
			give_up(producer);
		return;
	}
	/* one before may be why the transaction takes no more */
	kafka_handle_serve(producer->handle);
	if (producer->transactional && producer->failed > 0)
		give_up(producer);
	kafka_producer_raise_refused(producer, message, err);
}

/*
 * kafka_producer_flush
 *		Waits until there is a report for every message sent, and raises an
 *		ERROR that counts them when any was not delivered.
 */
void
kafka_producer_flush(KafkaProducer *producer)
{
	kafka_handle_check_process();
	kafka_handle_serve(producer->handle);
	while (producer->delivered + producer->failed < producer->sent)
		kafka_producer_await_reports(producer);

	if (producer->failed > 0)
		kafka_producer_raise_failed(producer);
	producer->sent = 0;
	producer->delivered = 0;
}

/*
 * Raises the failure of a message before all have been sent.
 *
 * What the client has not yet put on the wire fails at once; the rest is
 * waited for, so that what is said of it is true.  Of a transaction there is
 * nothing more to say: none of it will be seen.
 */
static void
give_up(KafkaProducer *producer)
{
	if (producer->transactional)
		kafka_producer_raise_failed(producer);
	rd_kafka_purge(producer->handle->rk,
				   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	kafka_producer_flush(producer);
	pg_unreachable();
}

/*
 * kafka_producer_await_reports
 *		Waits for a slice and takes the reports that have come; an ERROR
 *		meanwhile, a cancel above all, says how far it went.
 */
void
kafka_producer_await_reports(KafkaProducer *producer)
{
	ErrorContextCallback context;

	context.callback = progress_callback;
	context.arg = producer;
	context.previous = error_context_stack;
	error_context_stack = &context;

	if (producer->patient)
		kafka_handle_wait_patiently(producer->handle);
	else
		kafka_handle_wait(producer->handle, -1);
	kafka_handle_serve(producer->handle);

	error_context_stack = context.previous;
}

static void
progress_callback(void *arg)
{
	KafkaProducer *producer = arg;

	errcontext("sending to topic \"%s\": " INT64_FORMAT " messages delivered, "
			   INT64_FORMAT " failed, " INT64_FORMAT " not yet acknowledged",
			   producer->topic, producer->delivered, producer->failed,
			   producer->sent - producer->delivered - producer->failed);
}

static void
take_reports(void *owner, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *raw;

	while ((raw = rd_kafka_event_message_next(event)) != NULL)
		take_report(owner, raw);
}

static void
take_report(KafkaProducer *producer, const rd_kafka_message_t *raw)
{
	uintptr_t	opaque = (uintptr_t) raw->_private;
	KafkaDelivery *delivery = (opaque & 1) ? NULL : raw->_private;

	if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		if (rd_kafka_message_status(raw) ==
			RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED)
			producer->unknown++;
		if (producer->handle != NULL)	/* not while it is closed */
			producer->handle->spoilt = true;
		if (producer->failed++ == 0)
		{
			producer->first_error = raw->err;
			producer->first_number = (opaque & 1) ? opaque >> 1 : 0;
			producer->first_partition = raw->partition;
			strlcpy(producer->first_topic, rd_kafka_topic_name(raw->rkt),
					sizeof(producer->first_topic));
		}
		return;
	}
	producer->delivered++;
	if (producer->transactional)
		kafka_shown_note(producer->places, &producer->nplaces,
						 &producer->last_place, rd_kafka_topic_name(raw->rkt),
						 raw->partition, raw->offset);
	if (delivery != NULL)
	{
		delivery->partition = raw->partition;
		delivery->offset = raw->offset;
		delivery->timestamp = rd_kafka_message_timestamp(raw, NULL);
	}
}

/*
 * kafka_producer_use_topic
 *		Keeps the topic that is sent to, so that it is not looked up every time.
 */
void
kafka_producer_use_topic(KafkaProducer *producer, const char *topic)
{
	if (producer->rkt != NULL && strcmp(producer->topic, topic) == 0)
		return;
	producer->rkt = NULL;
	strlcpy(producer->topic, topic, sizeof(producer->topic));
	producer->rkt = kafka_topic_use(producer->handle, topic);
}

static rd_kafka_resp_err_t
try_send(KafkaProducer *producer, const KafkaMessage *message,
		 KafkaDelivery *delivery)
{
	void	   *opaque = kafka_producer_opaque(producer->sent + 1, delivery);
	rd_kafka_vu_t fixed[8];
	rd_kafka_vu_t *vu = fixed;
	size_t		n = 0;
	rd_kafka_error_t *error;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	/*
	 * The older function is a little faster, but knows less: it does not say
	 * that the transaction has failed.
	 */
	if (message->nheaders == 0 &&
		message->timestamp == KAFKA_TIMESTAMP_UNKNOWN)
	{
		if (rd_kafka_produce(producer->rkt, message->partition,
							 RD_KAFKA_MSG_F_COPY,
							 unconstify(char *, message->value),
							 message->value_len, message->key, message->key_len,
							 opaque) == 0)
			return err;
		if (!producer->transactional)
			return rd_kafka_last_error();
	}
	if (message->nheaders > 0)
		vu = palloc_array(rd_kafka_vu_t, lengthof(fixed) + message->nheaders);

	vu[n].vtype = RD_KAFKA_VTYPE_RKT;
	vu[n++].u.rkt = producer->rkt;
	vu[n].vtype = RD_KAFKA_VTYPE_PARTITION;
	vu[n++].u.i32 = message->partition;
	vu[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
	vu[n++].u.i = RD_KAFKA_MSG_F_COPY;
	vu[n].vtype = RD_KAFKA_VTYPE_VALUE;
	vu[n].u.mem.ptr = unconstify(char *, message->value);
	vu[n++].u.mem.size = message->value_len;
	vu[n].vtype = RD_KAFKA_VTYPE_KEY;
	vu[n].u.mem.ptr = unconstify(char *, message->key);
	vu[n++].u.mem.size = message->key_len;
	vu[n].vtype = RD_KAFKA_VTYPE_OPAQUE;
	vu[n++].u.ptr = opaque;
	if (message->timestamp != KAFKA_TIMESTAMP_UNKNOWN)
	{
		vu[n].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
		vu[n++].u.i64 = message->timestamp;
	}
	add_headers(message, vu, &n);

	error = rd_kafka_produceva(producer->handle->rk, vu, n);
	if (error != NULL)
	{
		err = rd_kafka_error_code(error);
		rd_kafka_error_destroy(error);
	}
	if (vu != fixed)
		pfree(vu);
	return err;
}

static void
add_headers(const KafkaMessage *message, rd_kafka_vu_t *vu, size_t *n)
{
	for (int i = 0; i < message->nheaders; i++)
	{
		const KafkaHeader *header = &message->headers[i];

		vu[*n].vtype = RD_KAFKA_VTYPE_HEADER;
		vu[*n].u.header.name = header->name;
		vu[*n].u.header.val = header->value;
		vu[*n].u.header.size = header->value == NULL ? 0 :
			(ssize_t) header->value_len;
		(*n)++;
	}
}
