/*-------------------------------------------------------------------------
 *
 * server.c
 *	  What every SQL function with a server argument does first, and what
 *	  those that return rows share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "functions/server.h"
#include "nodes/execnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

/* ms from 1970 to 2000, where PostgreSQL's timestamps begin */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400000)

/*
 * kafka_server_options
 *		Returns the client options of a foreign server for the current user.
 *
 * Raises an ERROR when there is no such server, when it is another wrapper's,
 * or when the user has no USAGE on it.
 */
KafkaClientOptions *
kafka_server_options(const text *server)
{
	char	   *name = text_to_cstring(server);
	ForeignServer *fs = GetForeignServerByName(name, false);
	AclResult	acl = kafka_compat_server_aclcheck(fs->serverid, GetUserId(),
												   ACL_USAGE);

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_SERVER, name);
	if (!kafka_options_is_ours(fs->fdwid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a Kafka server", name)));
	return kafka_options_client(fs->serverid, GetUserId());
}

/*
 * kafka_server_options_uncommitted
 *		The same, for a client to which the end of a partition is the high
 *		watermark.
 */
KafkaClientOptions *
kafka_server_options_uncommitted(const text *server)
{
	KafkaClientOptions *options = kafka_server_options(server);

	kafka_options_set(options, "isolation.level", "read_uncommitted");
	return options;
}

/*
 * kafka_time_of_timestamp
 *		Returns the first ms since 1970, which has no earlier one in Kafka,
 *		that is not before a timestamp.
 */
int64
kafka_time_of_timestamp(TimestampTz timestamp)
{
	if (TIMESTAMP_NOT_FINITE(timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp must be finite")));
	return Max(0, timestamp / 1000 + (timestamp % 1000 > 0 ? 1 : 0) + EPOCH_MS);
}

/*
 * kafka_timestamp_or_null
 *		Returns ms since 1970 as timestamptz; NULL where there are none, or
 *		none that PostgreSQL can hold.
 */
Datum
kafka_timestamp_or_null(int64 time, bool *isnull)
{
	*isnull = time < 0 || time > END_TIMESTAMP / 1000 + EPOCH_MS - 1;
	return *isnull ? (Datum) 0 : TimestampTzGetDatum((time - EPOCH_MS) * 1000);
}

/*
 * kafka_put_row
 *		Adds a row to what a function returns that has called
 *		InitMaterializedSRF().
 */
void
kafka_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * kafka_text_or_null, kafka_id_or_null, kafka_offset_or_null
 *		Return a Datum and say whether it is NULL: a NULL string, a negative
 *		id of a broker, an unknown offset.
 */
Datum
kafka_text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return *isnull ? (Datum) 0 : CStringGetTextDatum(string);
}

Datum
kafka_id_or_null(int32 id, bool *isnull)
{
	*isnull = id < 0;
	return Int32GetDatum(id);
}

Datum
kafka_offset_or_null(int64 offset, bool *isnull)
{
	*isnull = offset < 0;
	return Int64GetDatum(offset);
}

/*
 * kafka_int_array
 *		Returns an int[].
 */
Datum
kafka_int_array(const int32 *elements, int n)
{
	Datum	   *datums = palloc_array(Datum, Max(n, 1));

	for (int i = 0; i < n; i++)
		datums[i] = Int32GetDatum(elements[i]);
	return PointerGetDatum(construct_array(datums, n, INT4OID, sizeof(int32),
										   true, TYPALIGN_INT));
}
