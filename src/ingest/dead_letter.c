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

#include "catalog/namespace.h"
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
static KafkaStatement lock_letters = {
	"SELECT id, topic, partition, \"offset\", \"timestamp\", timestamp_type, "
	"leader_epoch, key, value, "
	"ARRAY(SELECT h.name FROM unnest(headers) WITH ORDINALITY "
	"AS h (name, value, n) ORDER BY h.n), "
	"ARRAY(SELECT h.value FROM unnest(headers) WITH ORDINALITY "
	"AS h (name, value, n) ORDER BY h.n) "
	"FROM kafka.dead_letter WHERE subscription = $1 AND id > $2 "
	"AND ($3 IS NULL OR id = ANY ($3)) ORDER BY id LIMIT $4 FOR UPDATE",
	4, {TEXTOID, INT8OID, INT8ARRAYOID, INT4OID}
};
static KafkaStatement update_letter = {
	"UPDATE kafka.dead_letter SET sqlstate = $2, message = $3, detail = $4, "
	"context = $5, attempts = attempts + 1, tried_at = now() WHERE id = $1",
	5, {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};
static KafkaStatement delete_letters = {
	"DELETE FROM kafka.dead_letter WHERE id = ANY ($1)",
	1, {INT8ARRAYOID}
};
static KafkaStatement count_letters = {
	"SELECT count(*) FROM kafka.dead_letter WHERE subscription = $1",
	1, {TEXTOID}
};

static void put_error(const ErrorData *error, Datum *values, bool *nulls);
static void read_letter(KafkaMessage *message, int row);
static void read_headers(KafkaMessage *message, int row);
static const char *get_bytes(int row, int column, size_t *len);
static const char *copy_bytes(Datum value, size_t *len);
static Datum bytes_or_null(const char *bytes, size_t len, bool *isnull);
static Datum clipped_or_null(const char *str, bool *isnull);
static char *header_name(const char *name);
static char *from_utf8(const char *str, int len);

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
	put_error(error, &values[11], &nulls[11]);

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

/*
 * kafka_dead_letters_lock
 *		Reads messages whose id is greater than after, and, unless ids is NULL,
 *		one of those, and keeps them from other sessions.
 */
void
kafka_dead_letters_lock(const KafkaSubscription *subscription, int64 after,
						ArrayType *ids, int limit, KafkaDeadLetters *letters)
{
	KafkaCatalogScope scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name), Int64GetDatum(after),
		PointerGetDatum(ids), Int32GetDatum(limit)
	};
	bool		nulls[] = {false, false, ids == NULL, false};
	MemoryContext old;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&lock_letters, values, nulls);
	old = MemoryContextSwitchTo(scope.context);
	letters->count = (int) SPI_processed;
	letters->ids = palloc_array(int64, letters->count);
	letters->messages = palloc0_array(KafkaMessage, letters->count);
	for (int i = 0; i < letters->count; i++)
	{
		letters->ids[i] = DatumGetInt64(kafka_catalog_column(i, 1));
		read_letter(&letters->messages[i], i);
	}
	MemoryContextSwitchTo(old);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_dead_letter_set_error
 *		Stores why a message could not be applied again.
 */
void
kafka_dead_letter_set_error(int64 id, const ErrorData *error)
{
	KafkaCatalogScope scope;
	Datum		values[5] = {Int64GetDatum(id)};
	bool		nulls[5] = {false};

	put_error(error, &values[1], &nulls[1]);
	kafka_catalog_enter(&scope);
	kafka_catalog_run(&update_letter, values, nulls);
	kafka_catalog_leave(&scope);
}

void
kafka_dead_letters_delete(const int64 *ids, int n)
{
	KafkaCatalogScope scope;
	Datum	   *elements = palloc_array(Datum, n);
	Datum		values[1];

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	values[0] = PointerGetDatum(construct_array(elements, n, INT8OID,
												sizeof(int64),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	kafka_catalog_enter(&scope);
	kafka_catalog_run(&delete_letters, values, NULL);
	kafka_catalog_leave(&scope);
}

/*
 * Fills SQLSTATE, message, detail and context.
 */
static void
put_error(const ErrorData *error, Datum *values, bool *nulls)
{
	values[0] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[1] = clipped_or_null(error->message, &nulls[1]);
	values[2] = clipped_or_null(error->detail, &nulls[2]);
	values[3] = clipped_or_null(error->context, &nulls[3]);
}

/*
 * Makes a message, in the current memory context, of a row of the last
 * result.
 */
static void
read_letter(KafkaMessage *message, int row)
{
	bool		isnull;
	Datum		value;

	message->topic = TextDatumGetCString(kafka_catalog_column(row, 2));
	message->partition = DatumGetInt32(kafka_catalog_column(row, 3));
	message->offset = DatumGetInt64(kafka_catalog_column(row, 4));
	message->timestamp = KAFKA_TIMESTAMP_UNKNOWN;
	value = kafka_catalog_column_or_null(row, 5, &isnull);
	if (!isnull)
		kafka_message_set_time(message, DatumGetTimestampTz(value));
	value = kafka_catalog_column_or_null(row, 6, &isnull);
	message->timestamp_type = isnull ? KAFKA_TIMESTAMP_NONE :
		strcmp(TextDatumGetCString(value), "CreateTime") == 0 ?
		KAFKA_TIMESTAMP_CREATE_TIME : KAFKA_TIMESTAMP_LOG_APPEND_TIME;
	value = kafka_catalog_column_or_null(row, 7, &isnull);
	message->leader_epoch = isnull ? -1 : DatumGetInt32(value);
	message->key = get_bytes(row, 8, &message->key_len);
	message->value = get_bytes(row, 9, &message->value_len);
	read_headers(message, row);
}

static void
read_headers(KafkaMessage *message, int row)
{
	Datum	   *names;
	Datum	   *contents;
	bool	   *nulls;
	int			n;
	KafkaHeader *headers;

	deconstruct_array(DatumGetArrayTypeP(kafka_catalog_column(row, 10)),
					  TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	deconstruct_array(DatumGetArrayTypeP(kafka_catalog_column(row, 11)),
					  BYTEAOID, -1, false, TYPALIGN_INT, &contents, &nulls,
					  &n);
	headers = palloc0_array(KafkaHeader, n);
	for (int i = 0; i < n; i++)
	{
		char	   *name = TextDatumGetCString(names[i]);

		headers[i].name = pg_server_to_any(name, strlen(name), PG_UTF8);
		if (!nulls[i])
			headers[i].value = copy_bytes(contents[i], &headers[i].value_len);
	}
	message->headers = headers;
	message->nheaders = n;
}

/*
 * Returns a copy of a bytea of the last result, or NULL.
 */
static const char *
get_bytes(int row, int column, size_t *len)
{
	bool		isnull;
	Datum		value = kafka_catalog_column_or_null(row, column, &isnull);

	return isnull ? NULL : copy_bytes(value, len);
}

/*
 * Returns a copy that a zero byte follows, as one does in what librdkafka
 * returns.
 */
static const char *
copy_bytes(Datum value, size_t *len)
{
	bytea	   *bytes = DatumGetByteaPP(value);
	char	   *copy;

	*len = VARSIZE_ANY_EXHDR(bytes);
	copy = palloc(*len + 1);
	memcpy(copy, VARDATA_ANY(bytes), *len);
	copy[*len] = '\0';
	return copy;
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
	*isnull = str == NULL || *str == '\0';
	return *isnull ? (Datum) 0 :
		PointerGetDatum(cstring_to_text_with_len(str,
												 kafka_dead_letter_clip(str)));
}

/*
 * kafka_dead_letter_clip
 *		Returns how many bytes are kept of what an error says.
 */
int
kafka_dead_letter_clip(const char *text)
{
	int			len = strlen(text);

	return len > MAX_TEXT ? pg_mbcliplen(text, len, MAX_TEXT) : len;
}

/*
 * Returns the name of a header in the server's encoding, or, where it cannot
 * be, with its bytes beyond ASCII as \xHH.
 */
static char *
header_name(const char *name)
{
	int			len = strlen(name);
	char	   *converted;
	StringInfoData out;

	if (pg_verify_mbstr(PG_UTF8, name, len, true))
	{
		converted = from_utf8(name, len);
		if (converted != NULL)
			return converted;
	}
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

/*
 * Returns a copy in the server's encoding, or NULL where it has not all the
 * characters.
 */
static char *
from_utf8(const char *str, int len)
{
	int			encoding = GetDatabaseEncoding();
	int			size = len * MAX_CONVERSION_GROWTH + 1;
	Oid			proc;
	char	   *converted;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return pstrdup(str);
	proc = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(proc))
		return NULL;
	converted = palloc(size);
	if (pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
									  (unsigned char *) unconstify(char *, str),
									  len, (unsigned char *) converted, size,
									  true) < len)
		return NULL;
	return converted;
}
