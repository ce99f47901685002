/*-------------------------------------------------------------------------
 *
 * catalog_error.c
 *	  The table kafka.subscription_error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "ingest/catalog.h"
#include "ingest/catalog_sql.h"
#include "utils/builtins.h"

static KafkaStatement select_error = {
	"SELECT error FROM kafka.subscription_error WHERE subscription = $1",
	1, {TEXTOID}
};
static KafkaStatement delete_error = {
	"DELETE FROM kafka.subscription_error WHERE subscription = $1",
	1, {TEXTOID}
};
static KafkaStatement insert_error = {
	"INSERT INTO kafka.subscription_error "
	"(subscription, error, raised_at, topic, partition, \"offset\") "
	"VALUES ($1, $2, now(), $3, $4, $5)",
	5, {TEXTOID, TEXTOID, TEXTOID, INT4OID, INT8OID}
};
static KafkaStatement select_stopped_at = {
	"SELECT topic, partition, \"offset\" FROM kafka.subscription_error "
	"WHERE subscription = $1 AND topic IS NOT NULL",
	1, {TEXTOID}
};

/*
 * kafka_catalog_error
 *		Returns the error that stopped the subscription, or NULL.
 */
char *
kafka_catalog_error(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	char	   *error = NULL;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_error, values, NULL);
	if (SPI_processed > 0)
		error = MemoryContextStrdup(scope.context,
									TextDatumGetCString(kafka_catalog_column(0, 1)));
	kafka_catalog_leave(&scope);
	return error;
}

/*
 * kafka_catalog_stopped_at
 *		Returns, as a position, the message whose error has stopped the
 *		subscription; false when no message has.
 */
bool
kafka_catalog_stopped_at(const KafkaSubscription *subscription,
						 KafkaPosition *message)
{
	KafkaCatalogScope scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	bool		found;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_stopped_at, values, NULL);
	found = SPI_processed > 0;
	if (found)
	{
		message->topic = MemoryContextStrdup(scope.context,
											 TextDatumGetCString(kafka_catalog_column(0, 1)));
		message->partition = DatumGetInt32(kafka_catalog_column(0, 2));
		message->next_offset = DatumGetInt64(kafka_catalog_column(0, 3));
	}
	kafka_catalog_leave(&scope);
	return found;
}

/*
 * kafka_catalog_set_error
 *		Stores the error that stops the subscription, or, for NULL, that there
 *		is none; message, unless NULL, is the one that it is about.
 */
void
kafka_catalog_set_error(const KafkaSubscription *subscription,
						const char *error, const KafkaMessage *message)
{
	KafkaCatalogScope scope;
	bool		nulls[] = {false, false, message == NULL, message == NULL,
	message == NULL};
	Datum		values[5] = {CStringGetTextDatum(subscription->name)};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&delete_error, values, NULL);
	if (error != NULL)
	{
		values[1] = CStringGetTextDatum(error);
		if (message != NULL)
		{
			values[2] = CStringGetTextDatum(message->topic);
			values[3] = Int32GetDatum(message->partition);
			values[4] = Int64GetDatum(message->offset);
		}
		kafka_catalog_run(&insert_error, values, nulls);
	}
	kafka_catalog_leave(&scope);
}
