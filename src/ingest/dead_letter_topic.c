/*-------------------------------------------------------------------------
 *
 * dead_letter_topic.c
 *	  Sends messages that could not be applied to a topic.
 *
 * NOTES
 *	  They go as they came, with key, value, timestamp and headers, and with
 *	  more headers that say where they came from and why.  They are sent with
 *	  the transaction that moves the position past them (commit.h), to the
 *	  cluster of the source, with the credentials of the subscription's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/commit.h"
#include "foreign/foreign.h"
#include "ingest/dead_letter.h"
#include "ingest/relations.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#define PREFIX "kafka_fdw.dead_letter."
#define OWN_HEADERS 8

static void add_header(KafkaMessage *message, KafkaHeader *headers,
					   const char *name, const char *value);

/*
 * kafka_dead_letter_target
 *		Returns where messages that cannot be applied are sent to in this
 *		transaction; raises an ERROR if the owner may not use the server.
 */
int
kafka_dead_letter_target(const KafkaSubscription *subscription,
						 Relation source)
{
	ForeignTable *table = GetForeignTable(RelationGetRelid(source));

	kafka_check_server(source, subscription->owner);
	return kafka_commit_target(kafka_options_client(table->serverid,
													subscription->owner));
}

/*
 * kafka_dead_letter_send
 *		Sends a message, which has its headers, with the transaction.
 */
void
kafka_dead_letter_send(const KafkaSubscription *subscription, int target,
					   const KafkaMessage *message, const ErrorData *error)
{
	KafkaMessage letter = *message;
	KafkaHeader *headers = palloc_array(KafkaHeader,
										message->nheaders + OWN_HEADERS);

	if (message->nheaders > 0)
		memcpy(headers, message->headers,
			   message->nheaders * sizeof(KafkaHeader));
	letter.headers = headers;
	letter.topic = subscription->dead_letter_topic;
	letter.partition = KAFKA_PARTITION_ANY;
	add_header(&letter, headers, PREFIX "subscription", subscription->name);
	add_header(&letter, headers, PREFIX "topic", message->topic);
	add_header(&letter, headers, PREFIX "partition",
			   psprintf("%d", message->partition));
	add_header(&letter, headers, PREFIX "offset",
			   psprintf(INT64_FORMAT, message->offset));
	add_header(&letter, headers, PREFIX "sqlstate",
			   unpack_sql_state(error->sqlerrcode));
	add_header(&letter, headers, PREFIX "message", error->message);
	add_header(&letter, headers, PREFIX "detail", error->detail);
	add_header(&letter, headers, PREFIX "context", error->context);
	kafka_commit_send(target, &letter);
	pfree(headers);
}

/*
 * Adds a header, in UTF-8, unless the value is NULL or empty.
 */
static void
add_header(KafkaMessage *message, KafkaHeader *headers, const char *name,
		   const char *value)
{
	KafkaHeader *header = &headers[message->nheaders];

	if (value == NULL || *value == '\0')
		return;
	header->name = name;
	header->value = pg_server_to_any(value, kafka_dead_letter_clip(value),
									 PG_UTF8);
	header->value_len = header->value == value ?
		kafka_dead_letter_clip(value) : strlen(header->value);
	message->nheaders++;
}
