/*-------------------------------------------------------------------------
 *
 * parse.h
 *	  Quick readings of common texts, see parse.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_PARSE_H
#define KAFKA_PARSE_H

#include "datatype/timestamp.h"
#include "options.h"

/* seconds from 1970 to PostgreSQL's epoch, 2000 */
#define KAFKA_EPOCH_SECONDS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

typedef enum KafkaEpochResult
{
	KAFKA_EPOCH_OK,
	KAFKA_EPOCH_SYNTAX,			/* not a number */
	KAFKA_EPOCH_RANGE			/* no timestamp of PostgreSQL */
} KafkaEpochResult;

extern bool kafka_parse_float8(const char *str, int len, double *result);
extern bool kafka_parse_bool(const char *str, int len, bool *result);
extern bool kafka_parse_timestamp(const char *str, int len, bool with_zone,
								  Timestamp *result);
extern KafkaEpochResult kafka_parse_epoch(const char *str, int len,
										  KafkaEpoch unit, Timestamp *result);
extern char *kafka_print_epoch(Timestamp timestamp, KafkaEpoch unit);

#endif							/* KAFKA_PARSE_H */
