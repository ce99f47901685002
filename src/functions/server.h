/*-------------------------------------------------------------------------
 *
 * server.h
 *	  What every SQL function with a server argument does first, and what
 *	  those that return rows share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_FUNCTIONS_SERVER_H
#define KAFKA_FUNCTIONS_SERVER_H

#include "fmgr.h"
#include "options.h"
#include "utils/timestamp.h"

extern KafkaClientOptions *kafka_server_options(const text *server);
extern KafkaClientOptions *kafka_server_options_uncommitted(const text *server);
extern int64 kafka_time_of_timestamp(TimestampTz timestamp);
extern Datum kafka_timestamp_or_null(int64 time, bool *isnull);
extern void kafka_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);
extern Datum kafka_text_or_null(const char *string, bool *isnull);
extern Datum kafka_id_or_null(int32 id, bool *isnull);
extern Datum kafka_offset_or_null(int64 offset, bool *isnull);
extern Datum kafka_int_array(const int32 *elements, int n);

#endif							/* KAFKA_FUNCTIONS_SERVER_H */
