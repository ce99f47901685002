/*-------------------------------------------------------------------------
 *
 * producer_error.c
 *	  What a producer says when messages are not taken or not delivered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/producer_internal.h"

pg_noreturn static void raise_fatal(KafkaProducer *producer);
static void raise_refused_transaction(KafkaProducer *producer, int64 failed,
									  int64 sent);

/*
 * kafka_producer_raise_refused
 *		Raises why the client has not taken a message.
 */
void
kafka_producer_raise_refused(KafkaProducer *producer, const KafkaMessage *message,
							 rd_kafka_resp_err_t err)
{
	char		reason[256];

	if (rd_kafka_fatal_error(producer->handle->rk, reason, sizeof(reason)) !=
		RD_KAFKA_RESP_ERR_NO_ERROR)
		raise_fatal(producer);
	if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("message for topic \"%s\" is too large",
						message->topic),
				 errdetail("Its key has %zu bytes and its value %zu.",
						   message->key_len, message->value_len),
				 errhint("The limit is the option \"message.max.bytes\" and the topic's own \"max.message.bytes\".")));
	if (message->partition != KAFKA_PARTITION_ANY)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not send to partition %d of topic \"%s\": %s",
						message->partition, message->topic,
						rd_kafka_err2str(err))));
	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not send to topic \"%s\": %s",
					message->topic, rd_kafka_err2str(err))));
}

/*
 * Raises what has made the client unusable, such as another producer with the
 * same id.
 */
static void
raise_fatal(KafkaProducer *producer)
{
	char		reason[256];
	rd_kafka_resp_err_t err = rd_kafka_fatal_error(producer->handle->rk, reason,
												   sizeof(reason));

	ereport(ERROR,
			(kafka_errcode(err),
			 errmsg("could not send to Kafka: %s", rd_kafka_err2str(err)),
			 errdetail_internal("%s", reason)));
}

/*
 * kafka_producer_raise_failed
 *		Raises how many messages were not delivered, and why the first of them.
 */
void
kafka_producer_raise_failed(KafkaProducer *producer)
{
	int64		sent = producer->sent;
	int64		delivered = producer->delivered;
	int64		failed = producer->failed;
	int64		unknown = producer->unknown;
	char		number[32] = "";
	char		partition[32] = "";
	char		doubt[256] = "";

	producer->sent = 0;
	producer->delivered = 0;
	producer->failed = 0;
	producer->unknown = 0;

	if (producer->transactional &&
		rd_kafka_fatal_error(producer->handle->rk, doubt, sizeof(doubt)) !=
		RD_KAFKA_RESP_ERR_NO_ERROR)
		raise_fatal(producer);
	if (producer->transactional)
		raise_refused_transaction(producer, failed, sent);
	if (producer->first_number > 0)
		snprintf(number, sizeof(number), " that of message " INT64_FORMAT ",",
				 producer->first_number);
	if (producer->first_partition >= 0)
		snprintf(partition, sizeof(partition), " partition %d of",
				 producer->first_partition);
	if (unknown > 0)
		snprintf(doubt, sizeof(doubt),
				 ", " INT64_FORMAT " more were sent and may have been delivered",
				 unknown);
	ereport(ERROR,
			(kafka_errcode(producer->first_error),
			 errmsg("could not deliver " INT64_FORMAT " of " INT64_FORMAT " messages to Kafka",
					failed, sent),
			 producer->transactional ?
			 errdetail("The Kafka transaction is aborted. The first failure was%s in%s topic \"%s\": %s.%s%s",
					   number, partition, producer->first_topic,
					   rd_kafka_err2str(producer->first_error),
					   producer->handle->reason[0] != '\0' ?
					   " The client's last error: " : "",
					   producer->handle->reason) :
			 errdetail(INT64_FORMAT " messages were delivered%s. The first failure was%s in%s topic \"%s\": %s.%s%s",
					   delivered, doubt, number, partition, producer->first_topic,
					   rd_kafka_err2str(producer->first_error),
					   producer->handle->reason[0] != '\0' ?
					   " The client's last error: " : "",
					   producer->handle->reason)));
}

/*
 * Raises why Kafka has refused the transaction, of which the reports of its
 * messages say no more than that they were dropped; returns if that is not so.
 */
static void
raise_refused_transaction(KafkaProducer *producer, int64 failed, int64 sent)
{
	char		reason[256];
	rd_kafka_resp_err_t err;

	if (producer->first_error != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
		producer->first_error != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		return;
	err = kafka_transaction_error(producer->handle, reason, sizeof(reason));
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		ereport(ERROR,
				(kafka_errcode(err),
				 errmsg("could not deliver " INT64_FORMAT " of " INT64_FORMAT " messages to Kafka",
						failed, sent),
				 errdetail("The Kafka transaction is aborted: %s.", reason)));
}
