/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  Quick readings of common texts, and numbers since 1970.
 *
 * NOTES
 *	  The readers of the types' own syntax know only its plainest form.  For
 *	  anything else, which includes everything that is an error, they return
 *	  false, and the caller asks the type's input function.  What they do
 *	  read, they read exactly as the input function would.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>

#include "format/integer.h"
#include "format/parse.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* digits, and powers of ten, that a double holds exactly */
#define EXACT_DIGITS 15
#define EXACT_POWERS 22

/* an exponent beyond this leaves the range of timestamps either way */
#define MAX_EXPONENT 1000

/* A decimal number: digits * 10 ^ exponent. */
typedef struct Decimal
{
	bool		negative;
	uint64		digits;			/* the first 19, the rest is cut */
	int			exponent;
} Decimal;

static bool parse_digits(const char *str, int n, int *result);
static bool parse_zone(const char *str, int len, int *seconds);
static bool parse_fraction(const char **str, const char *end, int *usecs);
static bool parse_decimal(const char *str, int len, Decimal *decimal);
static const char *parse_exponent(const char *str, const char *end,
								  int *exponent);
static bool scale_decimal(const Decimal *decimal, int power, uint64 *result);
static KafkaEpochResult epoch_to_timestamp(bool negative, uint64 usecs,
										   Timestamp *result);
static int	unit_power(KafkaEpoch unit);

static const double exact_powers[EXACT_POWERS + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * Reads a decimal fraction whose digits and power of ten are both exact in a
 * double, so that their quotient is the double that strtod() finds.
 */
bool
kafka_parse_float8(const char *str, int len, double *result)
{
	const char *end = str + len;
	bool		negative = len > 0 && *str == '-';
	int64		digits = 0;
	int			fraction = -1;

	str += negative;
	if (FLT_EVAL_METHOD != 0 || str == end ||
		end - str > EXACT_DIGITS + 1 || *str == '.' || end[-1] == '.')
		return false;
	for (; str < end; str++)
	{
		unsigned int digit = (unsigned char) *str - '0';

		if (digit <= 9)
			digits = digits * 10 + digit;
		else if (*str != '.' || fraction >= 0)
			return false;
		if (digit > 9 || fraction >= 0)
			fraction++;
	}
	if (digits >= INT64CONST(1000000000000000))
		return false;
	*result = (double) digits / exact_powers[Max(fraction, 0)];
	if (negative)
		*result = -*result;
	return true;
}

/*
 * Reads true and false.
 */
bool
kafka_parse_bool(const char *str, int len, bool *result)
{
	if (len == 4 && memcmp(str, "true", 4) == 0)
		*result = true;
	else if (len == 5 && memcmp(str, "false", 5) == 0)
		*result = false;
	else
		return false;
	return true;
}

/*
 * Reads a timestamp of ISO 8601 in full, such as 2024-05-31T23:59:59.25+02:00,
 * with the zone as Z or an offset, or without any zone.
 */
bool
kafka_parse_timestamp(const char *str, int len, bool with_zone,
					  Timestamp *result)
{
	const char *end = str + len;
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				usecs,
				zone = 0;
	int64		days;

	if (len < 19 || str[4] != '-' || str[7] != '-' ||
		(str[10] != 'T' && str[10] != ' ') || str[13] != ':' ||
		str[16] != ':' ||
		!parse_digits(str, 4, &year) || !parse_digits(str + 5, 2, &month) ||
		!parse_digits(str + 8, 2, &day) || !parse_digits(str + 11, 2, &hour) ||
		!parse_digits(str + 14, 2, &minute) ||
		!parse_digits(str + 17, 2, &second))
		return false;
	if (year < 1 || month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year)][month - 1] ||
		hour > 23 || minute > 59 || second > 59)
		return false;
	str += 19;
	if (!parse_fraction(&str, end, &usecs))
		return false;
	if (with_zone ? !parse_zone(str, end - str, &zone) : str != end)
		return false;

	days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	*result = (days * SECS_PER_DAY + hour * SECS_PER_HOUR +
			   minute * SECS_PER_MINUTE + second - zone) * USECS_PER_SEC +
		usecs;
	return true;
}

/*
 * Reads exactly n digits.
 */
static bool
parse_digits(const char *str, int n, int *result)
{
	int			value = 0;

	for (int i = 0; i < n; i++)
	{
		unsigned int digit = (unsigned char) str[i] - '0';

		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*result = value;
	return true;
}

/*
 * Reads a point and one to six digits, or nothing, as microseconds.
 */
static bool
parse_fraction(const char **str, const char *end, int *usecs)
{
	const char *p = *str;
	int			digits = 0;

	*usecs = 0;
	if (p == end || *p != '.')
		return true;
	for (p++; p < end && *p >= '0' && *p <= '9'; p++, digits++)
	{
		if (digits == 6)
			return false;
		*usecs = *usecs * 10 + (*p - '0');
	}
	for (int i = digits; i < 6; i++)
		*usecs *= 10;
	*str = p;
	return digits > 0;
}

/*
 * Reads Z, +hh or +hh:mm as seconds east of Greenwich.
 */
static bool
parse_zone(const char *str, int len, int *seconds)
{
	int			hours,
				minutes = 0;

	*seconds = 0;
	if (len == 1)
		return *str == 'Z';
	if ((len != 3 && len != 6) || (*str != '+' && *str != '-') ||
		!parse_digits(str + 1, 2, &hours) || hours > 14)
		return false;
	if (len == 6 && (str[3] != ':' || !parse_digits(str + 4, 2, &minutes) ||
					 minutes > 59))
		return false;
	*seconds = hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE;
	if (*str == '-')
		*seconds = -*seconds;
	return true;
}

/*
 * Reads a number since 1970, in the given unit, as a timestamp of UTC.
 *
 * Fractions are rounded to microseconds, halves away from zero; integers are
 * exact.  "infinity" and "-infinity" are timestamps of their own.
 */
KafkaEpochResult
kafka_parse_epoch(const char *str, int len, KafkaEpoch unit,
				  Timestamp *result)
{
	Decimal		decimal;
	uint64		usecs;

	if (len == 8 && memcmp(str, "infinity", 8) == 0)
	{
		*result = DT_NOEND;
		return KAFKA_EPOCH_OK;
	}
	if (len == 9 && memcmp(str, "-infinity", 9) == 0)
	{
		*result = DT_NOBEGIN;
		return KAFKA_EPOCH_OK;
	}
	if (!parse_decimal(str, len, &decimal))
		return KAFKA_EPOCH_SYNTAX;
	if (!scale_decimal(&decimal, unit_power(unit), &usecs))
		return KAFKA_EPOCH_RANGE;
	return epoch_to_timestamp(decimal.negative, usecs, result);
}

/*
 * Prints a timestamp as a number since 1970, with a fraction where the unit
 * needs one, as kafka_parse_epoch() reads it.
 */
char *
kafka_print_epoch(Timestamp timestamp, KafkaEpoch unit)
{
	const int64 epoch = KAFKA_EPOCH_SECONDS * USECS_PER_SEC;
	bool		negative = timestamp < -epoch;
	uint64		usecs;
	uint64		one = 1;
	int			digits = unit_power(unit);
	char		fraction[8];

	if (TIMESTAMP_IS_NOEND(timestamp))
		return pstrdup("infinity");
	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return pstrdup("-infinity");

	/* the sum may leave int64, but not uint64 */
	usecs = negative ? (uint64) -(timestamp + epoch) :
		(uint64) timestamp + (uint64) epoch;
	for (int i = 0; i < digits; i++)
		one *= 10;
	if (usecs % one == 0)
		return psprintf("%s" UINT64_FORMAT, negative ? "-" : "", usecs / one);

	snprintf(fraction, sizeof(fraction), "%0*d", digits, (int) (usecs % one));
	for (int i = digits - 1; fraction[i] == '0'; i--)
		fraction[i] = '\0';
	return psprintf("%s" UINT64_FORMAT ".%s", negative ? "-" : "",
					usecs / one, fraction);
}

/*
 * Returns the power of ten from the unit to microseconds.
 */
static int
unit_power(KafkaEpoch unit)
{
	return unit == KAFKA_EPOCH_S ? 6 : unit == KAFKA_EPOCH_MS ? 3 : 0;
}

/*
 * Reads a number of JSON's syntax, or a little more.
 */
static bool
parse_decimal(const char *str, int len, Decimal *decimal)
{
	const char *end = str + len;
	bool		any = false;
	bool		point = false;

	memset(decimal, 0, sizeof(Decimal));
	if (str < end && (*str == '-' || *str == '+'))
		decimal->negative = *str++ == '-';
	for (; str < end; str++)
	{
		bool		full = decimal->digits >= PG_UINT64_MAX / 10 - 1;

		if (*str == '.' && !point)
		{
			point = true;
			continue;
		}
		if (*str < '0' || *str > '9')
			break;
		any = true;
		if (!full)
			decimal->digits = decimal->digits * 10 + (*str - '0');
		if (point != full)
			decimal->exponent += full ? 1 : -1;
	}
	if (any && str < end && (*str == 'e' || *str == 'E'))
		str = parse_exponent(str + 1, end, &decimal->exponent);
	return any && str == end;
}

/*
 * Adds the exponent at str and returns where it ends, or NULL where there is
 * none.
 */
static const char *
parse_exponent(const char *str, const char *end, int *exponent)
{
	bool		negative = false;
	int			value = 0;

	if (str < end && (*str == '-' || *str == '+'))
		negative = *str++ == '-';
	if (str == end)
		return NULL;
	for (; str < end; str++)
	{
		if (*str < '0' || *str > '9')
			return NULL;
		value = Min(value * 10 + (*str - '0'), MAX_EXPONENT);
	}
	*exponent += negative ? -value : value;
	return str;
}

/*
 * Computes a decimal times a power of ten as an integer, rounded half up;
 * false where it does not fit.
 */
static bool
scale_decimal(const Decimal *decimal, int power, uint64 *result)
{
	int			exponent = decimal->exponent + power;
	uint64		value = decimal->digits;
	uint64		divisor = 1;

	for (; exponent > 0 && value != 0; exponent--)
	{
		if (value > PG_UINT64_MAX / 10)
			return false;
		value *= 10;
	}
	if (exponent < -KAFKA_SAFE_DIGITS - 1)
		value = 0;
	else if (exponent < 0)
	{
		for (; exponent < 0; exponent++)
			divisor *= 10;
		value = value / divisor + (value % divisor >= divisor / 2);
	}
	*result = value;
	return true;
}

/*
 * Moves microseconds since 1970 to PostgreSQL's epoch.
 */
static KafkaEpochResult
epoch_to_timestamp(bool negative, uint64 usecs, Timestamp *result)
{
	const uint64 epoch = KAFKA_EPOCH_SECONDS * USECS_PER_SEC;

	if (negative)
	{
		if (usecs > (uint64) -MIN_TIMESTAMP)
			return KAFKA_EPOCH_RANGE;
		*result = -(int64) usecs - (int64) epoch;
	}
	else if (usecs < epoch)
		*result = (int64) usecs - (int64) epoch;
	else if (usecs - epoch >= (uint64) END_TIMESTAMP)
		return KAFKA_EPOCH_RANGE;
	else
		*result = usecs - epoch;
	return IS_VALID_TIMESTAMP(*result) ? KAFKA_EPOCH_OK : KAFKA_EPOCH_RANGE;
}
