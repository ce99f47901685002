/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  Messages that could not be applied: how many, and the table
 *	  kafka.dead_letter.
 *
 * NOTES
 *	  The count of a partition changes in the transaction that moves its
 *	  position past the messages, and so does the table.
 *
 *	  A message that comes again, after a seek, replaces its former self.
 *
 *	  What is stored is bytes as they came.  Only the names of headers are
 *	  text, so in one that is not, bytes are written as \xHH.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "ingest/catalog_sql.h"
#include "ingest/dead_letter.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* bytes of a message, detail or context that are kept */
#define MAX_TEXT 10000

/* the part of a subscription that a count of its bad messages locks */
#define LOCK_COUNT 1

static KafkaStatement select_count = {
	"SELECT COALESCE(sum(bad_messages), 0)::int8 "
	"FROM kafka.subscription_position WHERE subscription = $1",
	1, {TEXTOID}
};
static KafkaStatement add_count = {
	"UPDATE kafka.subscription_position SET bad_messages = bad_messages + $4 "
	"WHERE subscription = $1 AND topic = $2 AND partition = $3",
	4, {TEXTOID, TEXTOID, INT4OID, INT4OID}
};
static KafkaStatement reset_count = {
	"UPDATE kafka.subscription_position SET bad_messages = 0 "
	"WHERE subscription = $1 AND bad_messages <> 0",
	1, {TEXTOID}
};
static KafkaStatement insert_letter = {
	"INSERT INTO kafka.dead_letter AS d (subscription, topic, partition, "
	"\"offset\", \"timestamp\", timestamp_type, leader_epoch, key, value, "
	"headers, sqlstate, message, detail, context) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	"ARRAY(SELECT ROW(h.name, h.value)::kafka.header "
	"FROM unnest($10, $11) WITH ORDINALITY AS h (name, value, n) "
	"ORDER BY h.n), $12, $13, $14, $15) "
	"ON CONFLICT (subscription, topic, partition, \"offset\", \"timestamp\") "
	"DO UPDATE SET key = EXCLUDED.key, value = EXCLUDED.value, "
	"headers = EXCLUDED.headers, sqlstate = EXCLUDED.sqlstate, "
	"message = EXCLUDED.message, detail = EXCLUDED.detail, "
	"context = EXCLUDED.context, tried_at = EXCLUDED.tried_at, "
	"attempts = d.attempts + 1",
	15, {TEXTOID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT4OID,
		BYTEAOID, BYTEAOID, TEXTARRAYOID, BYTEAARRAYOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID}
};
static KafkaStatement count_letters = {
	"SELECT count(*) FROM kafka.dead_letter WHERE subscription = $1",
	1, {TEXTOID}
};

static Datum bytes_or_null(const char *bytes, size_t len, bool *isnull);
static Datum clipped_or_null(const char *str, bool *isnull);
static char *header_name(const char *name);

/*
 * kafka_bad_messages_lock
 *		Returns how many messages have not been applied since the subscription
 *		was enabled, and keeps other workers from adding some until the end of
 *		the transaction.
 */
int64
kafka_bad_messages_lock(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	int64		count;

	LockDatabaseObject(kafka_catalog_relation(), (Oid) subscription->id,
					   LOCK_COUNT, ExclusiveLock);
	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_count, values, NULL);
	count = DatumGetInt64(kafka_catalog_column(0, 1));
	kafka_catalog_leave(&scope);
	return count;
}

/*
 * kafka_bad_messages_count
 *		Counts n messages of the partition that one of them is of.
 */
void
kafka_bad_messages_count(const KafkaSubscription *subscription,
						 const KafkaMessage *of, int n)
{
	KafkaCatalogScope scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		CStringGetTextDatum(of->topic),
		Int32GetDatum(of->partition),
		Int32GetDatum(n)
	};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&add_count, values, NULL);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_bad_messages_reset
 *		Begins to count anew.
 */
void
kafka_bad_messages_reset(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&reset_count, values, NULL);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_dead_letter_add
 *		Puts a message, which has its headers, into kafka.dead_letter.
 */
void
kafka_dead_letter_add(const KafkaSubscription *subscription,
					  const KafkaMessage *message, const ErrorData *error)
{
	KafkaCatalogScope scope;
	TimestampTz time = 0;
	Datum	   *names = palloc_array(Datum, message->nheaders);
	Datum	   *contents = palloc_array(Datum, message->nheaders);
	bool	   *empty = palloc_array(bool, message->nheaders);
	int			n = message->nheaders;
	int			lower = 1;
	Datum		values[15];
	bool		nulls[15] = {false};

	for (int i = 0; i < n; i++)
	{
		const KafkaHeader *header = &message->headers[i];

		names[i] = CStringGetTextDatum(header_name(header->name));
		contents[i] = bytes_or_null(header->value, header->value_len,
									&empty[i]);
	}
	values[0] = CStringGetTextDatum(subscription->name);
	values[1] = CStringGetTextDatum(message->topic);
	values[2] = Int32GetDatum(message->partition);
	values[3] = Int64GetDatum(message->offset);
	nulls[4] = !kafka_message_time(message, &time);
	values[4] = TimestampTzGetDatum(time);
	nulls[5] = message->timestamp_type == KAFKA_TIMESTAMP_NONE;
	values[5] = CStringGetTextDatum(message->timestamp_type ==
									KAFKA_TIMESTAMP_LOG_APPEND_TIME ?
									"LogAppendTime" : "CreateTime");
	nulls[6] = message->leader_epoch < 0;
	values[6] = Int32GetDatum(message->leader_epoch);
	values[7] = bytes_or_null(message->key, message->key_len, &nulls[7]);
	values[8] = bytes_or_null(message->value, message->value_len, &nulls[8]);
	values[9] = PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
												TYPALIGN_INT));
	values[10] = PointerGetDatum(construct_md_array(contents, empty, 1, &n,
													&lower, BYTEAOID, -1,
													false, TYPALIGN_INT));
	values[11] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[12] = clipped_or_null(error->message, &nulls[12]);
	values[13] = clipped_or_null(error->detail, &nulls[13]);
	values[14] = clipped_or_null(error->context, &nulls[14]);

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&insert_letter, values, nulls);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_dead_letter_check_none
 *		Raises an ERROR where the table has messages of the subscription.
 */
void
kafka_dead_letter_check_none(const KafkaSubscription *subscription)
{
	KafkaCatalogScope scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	int64		count;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&count_letters, values, NULL);
	count = DatumGetInt64(kafka_catalog_column(0, 1));
	kafka_catalog_leave(&scope);
	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop subscription \"%s\" because kafka.dead_letter has messages of it",
						subscription->name),
				 errdetail_plural("It has %lld message.",
								  "It has %lld messages.",
								  count, (long long) count),
				 errhint("Use kafka.retry_dead_letters(), or delete them from kafka.dead_letter.")));
}

static Datum
bytes_or_null(const char *bytes, size_t len, bool *isnull)
{
	*isnull = bytes == NULL;
	return *isnull ? (Datum) 0 :
		PointerGetDatum(cstring_to_text_with_len(bytes, len));
}

static Datum
clipped_or_null(const char *str, bool *isnull)
{
	int			len = str == NULL ? 0 : strlen(str);

	*isnull = str == NULL || *str == '\0';
	if (*isnull)
		return (Datum) 0;
	if (len > MAX_TEXT)
		len = pg_mbcliplen(str, len, MAX_TEXT);
	return PointerGetDatum(cstring_to_text_with_len(str, len));
}

/*
 * Returns the name of a header in the server's encoding, or, where it cannot
 * be, with its bytes beyond ASCII as \xHH.
 */
static char *
header_name(const char *name)
{
	StringInfoData out;

	if (pg_verify_mbstr(PG_UTF8, name, strlen(name), true) &&
		GetDatabaseEncoding() == PG_UTF8)
		return pstrdup(name);
	initStringInfo(&out);
	for (const char *c = name; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			appendStringInfo(&out, "\\x%02X", (unsigned char) *c);
		else
			appendStringInfoChar(&out, *c);
	}
	return out.data;
}
