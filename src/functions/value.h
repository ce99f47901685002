/*-------------------------------------------------------------------------
 *
 * value.h
 *	  SQL values as the bytes of a message.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_VALUE_H
#define KAFKA_VALUE_H

#include "lib/stringinfo.h"

extern const char *kafka_value_bytes(Oid type, Datum value, size_t *len);

#endif							/* KAFKA_VALUE_H */
