/*-------------------------------------------------------------------------
 *
 * integer.h
 *	  Integers of text, inline, for they are what most messages are made of.
 *
 * NOTES
 *	  Only the plainest form is read, exactly as the types' input functions
 *	  would read it.  Anything else is theirs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_INTEGER_H
#define KAFKA_INTEGER_H

#include "format/format.h"

/* digits that surely fit an int64 */
#define KAFKA_SAFE_DIGITS 18

/*
 * kafka_integer_read
 *		Reads an integer of at most KAFKA_SAFE_DIGITS digits at the beginning of
 *		a text, and returns where it ends, or NULL where there is none.
 */
static inline const char *
kafka_integer_read(const char *str, const char *end, int64 *result)
{
	bool		negative = str < end && *str == '-';
	const char *digits = str + negative;
	const char *p;
	uint64		value = 0;		/* of too many digits, a wrong one */

	for (p = digits; p < end; p++)
	{
		unsigned int digit = (unsigned char) *p - '0';

		if (digit > 9)
			break;
		value = value * 10 + digit;
	}
	if (p == digits || p - digits > KAFKA_SAFE_DIGITS)
		return NULL;
	*result = negative ? -(int64) value : (int64) value;
	return p;
}

/*
 * kafka_integer_datum
 *		Makes a Datum of an integer; false where it is out of the type's range.
 */
static inline bool
kafka_integer_datum(KafkaConversion conversion, int64 number, Datum *value)
{
	switch (conversion)
	{
		case KAFKA_CONVERT_INT8:
			*value = Int64GetDatum(number);
			return true;
		case KAFKA_CONVERT_INT4:
			*value = Int32GetDatum((int32) number);
			return number == (int32) number;
		case KAFKA_CONVERT_INT2:
			*value = Int16GetDatum((int16) number);
			return number == (int16) number;
		default:
			return false;
	}
}

#endif							/* KAFKA_INTEGER_H */
