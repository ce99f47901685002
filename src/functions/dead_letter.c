/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  SQL functions on messages that were put aside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "functions/subscription.h"
#include "ingest/dead_letter.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kafka_retry_dead_letters);

/*
 * kafka.retry_dead_letters(subscription text, "limit" int, ids int8[])
 *		Tries messages of kafka.dead_letter again; returns how many have
 *		succeeded, and are no longer there, and how many have failed again.
 */
Datum
kafka_retry_dead_letters(PG_FUNCTION_ARGS)
{
	KafkaSubscription *subscription;
	ArrayType  *ids = PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2);
	int64		limit = PG_ARGISNULL(1) ? PG_INT64_MAX : PG_GETARG_INT32(1);
	int64		succeeded;
	int64		failed;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false};

	PreventCommandIfReadOnly("kafka.retry_dead_letters()");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	subscription = kafka_subscription_share(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	kafka_dead_letters_retry(subscription, limit, ids, &succeeded, &failed);
	values[0] = Int64GetDatum(succeeded);
	values[1] = Int64GetDatum(failed);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
