/*-------------------------------------------------------------------------
 *
 * column.c
 *	  One column's value: text or bytes to a Datum and back.
 *
 * NOTES
 *	  The type's input function decides what a text means and raises the
 *	  error where it means nothing.  The conversions beside it are for common
 *	  types, and take what they know to read exactly as it would.
 *
 *	  While a value is under conversion map->column names its column for the
 *	  error context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "format/format.h"
#include "format/integer.h"
#include "format/parse.h"
#include "mb/pg_wchar.h"
#include "utils/ascii.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* bytes of which is_valid_ascii() takes a multiple, in any version */
#define ASCII_CHUNK 16

static KafkaConversion choose_conversion(const KafkaColumn *column);
static bool convert_fast(const KafkaColumn *column, const char *str, int len,
						 Datum *value);
static bool convert_integer(const KafkaColumn *column, const char *str,
							int len, Datum *value);
static bool convert_timestamp(const KafkaColumn *column, const char *str,
							  int len, Datum *value);
static Datum convert_epoch(KafkaRowMap *map, KafkaColumn *column,
						   const char *str, int len);
static bool is_ascii(const char *bytes, int len);
static Datum convert_input(KafkaRowMap *map, KafkaColumn *column,
						   const char *str, int len);

/*
 * Looks up what converting the column's values needs.
 */
void
kafka_column_lookup(KafkaColumn *column)
{
	Oid			function;
	bool		is_varlena;

	column->base = getBaseType(column->type);
	column->conversion = choose_conversion(column);
	getTypeInputInfo(column->type, &function, &column->ioparam);
	fmgr_info(function, &column->input);
	getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info(function, &column->output);
}

/*
 * Chooses the quickest conversion that gives what the input function gives.
 */
static KafkaConversion
choose_conversion(const KafkaColumn *column)
{
	if (column->options->epoch != KAFKA_EPOCH_NONE)
		return KAFKA_CONVERT_EPOCH;
	if (column->typmod >= 0)
		return KAFKA_CONVERT_INPUT;
	switch (column->type)
	{
		case TEXTOID:
		case VARCHAROID:
			return KAFKA_CONVERT_TEXT;
		case BOOLOID:
			return KAFKA_CONVERT_BOOL;
		case INT2OID:
			return KAFKA_CONVERT_INT2;
		case INT4OID:
			return KAFKA_CONVERT_INT4;
		case INT8OID:
			return KAFKA_CONVERT_INT8;
		case FLOAT8OID:
			return KAFKA_CONVERT_FLOAT8;
		case TIMESTAMPOID:
			return KAFKA_CONVERT_TIMESTAMP;
		case TIMESTAMPTZOID:
			return KAFKA_CONVERT_TIMESTAMPTZ;
		default:
			return KAFKA_CONVERT_INPUT;
	}
}

/*
 * Converts text, which need not be NUL-terminated, to the column's type.
 *
 * The Datum is in the current memory context.
 */
Datum
kafka_column_from_text(KafkaRowMap *map, KafkaColumn *column,
					   const char *str, int len)
{
	Datum		value;

	if (column->conversion != KAFKA_CONVERT_INPUT &&
		convert_fast(column, str, len, &value))
		return value;

	map->column = column;
	if (column->conversion == KAFKA_CONVERT_EPOCH)
		value = convert_epoch(map, column, str, len);
	else
		value = convert_input(map, column, str, len);
	map->column = NULL;
	return value;
}

/*
 * Converts without the input function, or returns false.
 */
static bool
convert_fast(const KafkaColumn *column, const char *str, int len,
			 Datum *value)
{
	bool		boolean;
	double		number;

	switch (column->conversion)
	{
		case KAFKA_CONVERT_TEXT:
			*value = PointerGetDatum(cstring_to_text_with_len(str, len));
			return true;
		case KAFKA_CONVERT_INT2:
		case KAFKA_CONVERT_INT4:
		case KAFKA_CONVERT_INT8:
			return convert_integer(column, str, len, value);
		case KAFKA_CONVERT_TIMESTAMP:
		case KAFKA_CONVERT_TIMESTAMPTZ:
			return convert_timestamp(column, str, len, value);
		case KAFKA_CONVERT_FLOAT8:
			if (!kafka_parse_float8(str, len, &number))
				return false;
			*value = Float8GetDatum(number);
			return true;
		case KAFKA_CONVERT_BOOL:
			if (!kafka_parse_bool(str, len, &boolean))
				return false;
			*value = BoolGetDatum(boolean);
			return true;
		default:
			return false;
	}
}

/*
 * Converts an integer that is in the range of its type.
 */
static bool
convert_integer(const KafkaColumn *column, const char *str, int len,
				Datum *value)
{
	int64		number = 0;

	return kafka_integer_read(str, str + len, &number) == str + len &&
		kafka_integer_datum(column->conversion, number, value);
}

/*
 * Converts a timestamp of ISO 8601 in full.
 */
static bool
convert_timestamp(const KafkaColumn *column, const char *str, int len,
				  Datum *value)
{
	Timestamp	timestamp;

	if (!kafka_parse_timestamp(str, len,
							   column->conversion == KAFKA_CONVERT_TIMESTAMPTZ,
							   &timestamp))
		return false;
	*value = TimestampGetDatum(timestamp);
	return true;
}

/*
 * Converts a number since 1970 to a timestamp with or, as UTC, without time
 * zone.
 */
static Datum
convert_epoch(KafkaRowMap *map, KafkaColumn *column, const char *str, int len)
{
	Timestamp	timestamp = 0;

	switch (kafka_parse_epoch(str, len, column->options->epoch, &timestamp))
	{
		case KAFKA_EPOCH_OK:
			break;
		case KAFKA_EPOCH_SYNTAX:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid number since 1970: \"%.*s\"",
							pg_mbcliplen(str, len, 64), str)));
			break;
		case KAFKA_EPOCH_RANGE:
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("timestamp out of range: \"%.*s\"",
							pg_mbcliplen(str, len, 64), str)));
	}
	kafka_compat_adjust_timestamp(&timestamp, column->typmod);
	return kafka_column_check_domain(map, column,
									 TimestampGetDatum(timestamp));
}

/*
 * Converts by the type's input function.
 */
static Datum
convert_input(KafkaRowMap *map, KafkaColumn *column, const char *str, int len)
{
	resetStringInfo(&map->scratch);
	appendBinaryStringInfo(&map->scratch, str, len);
	return InputFunctionCall(&column->input, map->scratch.data,
							 column->ioparam, column->typmod);
}

/*
 * Raises an error where the column's type, a domain, does not allow NULL.
 */
void
kafka_column_from_null(KafkaRowMap *map, KafkaColumn *column)
{
	if (column->input.fn_strict)
		return;
	map->column = column;
	(void) InputFunctionCall(&column->input, NULL, column->ioparam,
							 column->typmod);
	map->column = NULL;
}

/*
 * Converts a message's bytes: as they are to bytea, as UTF-8 text to any
 * other type.
 */
Datum
kafka_column_from_bytes(KafkaRowMap *map, KafkaColumn *column,
						const char *bytes, size_t len)
{
	Datum		value;
	const char *str;
	int			str_len;

	map->column = column;
	if (column->base == BYTEAOID)
	{
		if (len > MaxAllocSize - VARHDRSZ)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("message is too large")));
		value = PointerGetDatum(cstring_to_text_with_len(bytes, len));
		value = kafka_column_check_domain(map, column, value);
	}
	else
	{
		str = kafka_text_decode(bytes, len, column->encoding, &str_len);
		value = kafka_column_from_text(map, column, str, str_len);
	}
	map->column = NULL;
	return value;
}

/*
 * Checks a value of the base type against the column's type, where that is a
 * domain, and returns it.
 */
Datum
kafka_column_check_domain(KafkaRowMap *map, KafkaColumn *column, Datum value)
{
	if (column->type != column->base)
	{
		map->column = column;
		domain_check(value, false, column->type, &column->domain, map->owner);
		map->column = NULL;
	}
	return value;
}

/*
 * Prints a value as text, palloc'd.
 */
char *
kafka_column_to_text(KafkaColumn *column, Datum value)
{
	if (column->options->epoch != KAFKA_EPOCH_NONE)
		return kafka_print_epoch(DatumGetTimestamp(value),
								 column->options->epoch);
	return OutputFunctionCall(&column->output, value);
}

/*
 * Appends the digits of an integer without a detour through its output
 * function; false where the value is none.
 */
bool
kafka_column_append_integer(const KafkaColumn *column, Datum value,
							StringInfo out)
{
	if (column->options->epoch != KAFKA_EPOCH_NONE)
		return false;
	enlargeStringInfo(out, MAXINT8LEN);
	switch (column->base)
	{
		case INT2OID:
			out->len += pg_itoa(DatumGetInt16(value), out->data + out->len);
			return true;
		case INT4OID:
			out->len += pg_ltoa(DatumGetInt32(value), out->data + out->len);
			return true;
		case INT8OID:
			out->len += pg_lltoa(DatumGetInt64(value), out->data + out->len);
			return true;
		default:
			return false;
	}
}

/*
 * Returns a value as a message's bytes, palloc'd: the inverse of
 * kafka_column_from_bytes().
 */
const char *
kafka_column_to_bytes(KafkaColumn *column, Datum value, size_t *len)
{
	StringInfoData text;

	if (column->base == BYTEAOID)
	{
		bytea	   *bytes = DatumGetByteaPCopy(value);

		*len = VARSIZE(bytes) - VARHDRSZ;
		return VARDATA(bytes);
	}
	initStringInfo(&text);
	appendStringInfoString(&text, kafka_column_to_text(column, value));
	kafka_text_encode(&text, column->encoding);
	*len = text.len;
	return text.data;
}

/*
 * Says whether all bytes are ASCII and none is NUL.
 */
static bool
is_ascii(const char *bytes, int len)
{
	int			whole = len - len % ASCII_CHUNK;

	for (int i = whole; i < len; i++)
		if (bytes[i] == '\0' || IS_HIGHBIT_SET(bytes[i]))
			return false;
	return is_valid_ascii((const unsigned char *) bytes, whole);
}

/*
 * Verifies text of an encoding and converts it to the server's.
 *
 * Returns the bytes themselves where nothing is to be converted, and is
 * palloc'd otherwise.  The result has no NUL byte and no NUL terminator.
 */
const char *
kafka_text_decode(const char *bytes, size_t len, int encoding, int *text_len)
{
	const char *text;

	if (len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large")));
	if ((encoding == PG_UTF8 || encoding == GetDatabaseEncoding()) &&
		is_ascii(bytes, len))
	{
		*text_len = len;
		return bytes;
	}
	text = pg_any_to_server(bytes, (int) len, encoding);
	*text_len = text == bytes ? (int) len : strlen(text);
	return text;
}

/*
 * Converts text of the server's encoding to another one in place.
 */
void
kafka_text_encode(StringInfo text, int encoding)
{
	char	   *converted;

	converted = pg_server_to_any(text->data, text->len, encoding);
	if (converted == text->data)
		return;
	resetStringInfo(text);
	appendStringInfoString(text, converted);
	pfree(converted);
}

/*
 * Verifies UTF-8 and converts it to the server's encoding.
 */
const char *
kafka_text_from_utf8(const char *bytes, size_t len, int *text_len)
{
	return kafka_text_decode(bytes, len, PG_UTF8, text_len);
}

/*
 * Converts text of the server's encoding to UTF-8 in place.
 */
void
kafka_text_to_utf8(StringInfo text)
{
	kafka_text_encode(text, PG_UTF8);
}
