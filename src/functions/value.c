/*-------------------------------------------------------------------------
 *
 * value.c
 *	  SQL values as the bytes of a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "functions/value.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

static const char *text_bytes(char *bytes, int size, size_t *len);
static char *value_text(Oid type, Datum value);

/*
 * kafka_value_bytes
 *		Returns the bytes of a bytea, and the text in UTF-8 of anything else;
 *		dates and times are in ISO 8601 whatever the settings.
 *
 * They are palloc'd, or the value's own.
 */
const char *
kafka_value_bytes(Oid type, Datum value, size_t *len)
{
	char	   *str;
	text	   *packed;

	type = getBaseType(type);
	switch (type)
	{
		case BYTEAOID:
			packed = DatumGetByteaPP(value);
			*len = VARSIZE_ANY_EXHDR(packed);
			return VARDATA_ANY(packed);
		case TEXTOID:
		case VARCHAROID:
		case JSONOID:
			packed = DatumGetTextPP(value);
			return text_bytes(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
							  len);
		case UNKNOWNOID:
			str = DatumGetCString(value);
			break;
		default:
			str = value_text(type, value);
			break;
	}
	return text_bytes(str, strlen(str), len);
}

static const char *
text_bytes(char *bytes, int size, size_t *len)
{
	char	   *utf8 = (char *) pg_do_encoding_conversion((unsigned char *) bytes,
														  size,
														  GetDatabaseEncoding(),
														  PG_UTF8);

	*len = utf8 == bytes ? size : strlen(utf8);
	return utf8;
}

static char *
value_text(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return JsonEncodeDateTime(palloc(MAXDATELEN + 1), value, type, NULL);
		default:
			getTypeOutputInfo(type, &output, &is_varlena);
			return OidOutputFunctionCall(output, value);
	}
}
