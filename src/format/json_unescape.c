/*-------------------------------------------------------------------------
 *
 * json_unescape.c
 *	  Contents of JSON strings that have escapes.
 *
 * NOTES
 *	  A value that a column wants is read by the in-core lexer, which raises
 *	  the errors of the type json.  A key is read here: an escape that stands
 *	  for no text of the database is an error only where somebody wants it,
 *	  and no column has such a key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "compat.h"
#include "format/json.h"
#include "mb/pg_wchar.h"

static const char *append_escape(StringInfo key, const char *p,
								 const char *end);
static const char *read_unicode(const char *p, const char *end,
								pg_wchar *result);
static bool read_hex4(const char *p, const char *end, pg_wchar *result);
static bool append_unicode(StringInfo key, pg_wchar c);

/*
 * Returns the content of a string, which is given with its quotes, by the
 * in-core lexer; palloc'd.
 */
char *
kafka_json_unescape(const char *start, int len, int *result_len)
{
	JsonLexContext lex;
	JsonParseErrorType error;

	kafka_compat_json_lexer(&lex, start, len, true);
	error = json_lex(&lex);
	if (error != JSON_SUCCESS)
		kafka_compat_json_error(error, &lex);
	*result_len = lex.strval->len;
	return lex.strval->data;
}

/*
 * Puts the content of a key, which is valid JSON and given without its quotes,
 * into key; false where that is no text of the database.
 */
bool
kafka_json_unescape_key(StringInfo key, const char *start, int len)
{
	const char *p = start;
	const char *end = start + len;

	resetStringInfo(key);
	while (p < end)
	{
		const char *plain = p;

		while (p < end && *p != '\\')
			p++;
		appendBinaryStringInfo(key, plain, p - plain);
		if (p == end)
			break;
		p = append_escape(key, p + 1, end);
		if (p == NULL)
			return false;
	}
	return true;
}

/*
 * Appends what an escape stands for, and returns where it ends, or NULL.
 */
static const char *
append_escape(StringInfo key, const char *p, const char *end)
{
	static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	pg_wchar	c;

	if (p == end)
		return NULL;
	if (*p == 'u')
	{
		p = read_unicode(p + 1, end, &c);
		return p != NULL && append_unicode(key, c) ? p : NULL;
	}
	for (int i = 0; escapes[i] != '\0'; i += 2)
		if (escapes[i] == *p)
		{
			appendStringInfoChar(key, escapes[i + 1]);
			return p + 1;
		}
	return NULL;
}

/*
 * Reads what follows \u, and the second one of a surrogate pair.
 */
static const char *
read_unicode(const char *p, const char *end, pg_wchar *result)
{
	pg_wchar	second;

	if (!read_hex4(p, end, result))
		return NULL;
	p += 4;
	if (!is_utf16_surrogate_first(*result))
		return *result == 0 || is_utf16_surrogate_second(*result) ? NULL : p;
	if (end - p < 2 || p[0] != '\\' || p[1] != 'u' ||
		!read_hex4(p + 2, end, &second) || !is_utf16_surrogate_second(second))
		return NULL;
	*result = surrogate_pair_to_codepoint(*result, second);
	return p + 6;
}

static bool
read_hex4(const char *p, const char *end, pg_wchar *result)
{
	*result = 0;
	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		int			c = pg_tolower((unsigned char) p[i]);

		if (c >= '0' && c <= '9')
			*result = *result * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			*result = *result * 16 + (c - 'a' + 10);
		else
			return false;
	}
	return true;
}

/*
 * Appends a character in the server's encoding, or, where that is SQL_ASCII,
 * in UTF-8 as the message has it; false where the encoding has no such
 * character.
 */
static bool
append_unicode(StringInfo key, pg_wchar c)
{
	unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1] = {0};
	unsigned char converted[MAX_UNICODE_EQUIVALENT_STRING + 1];
	int			encoding = GetDatabaseEncoding();
	int			len;
	Oid			function;

	unicode_to_utf8(c, utf8);
	len = pg_utf_mblen(utf8);
	if (c < 0x80 || encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
	{
		appendBinaryStringInfo(key, (char *) utf8, len);
		return true;
	}
	function = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(function) ||
		pg_do_encoding_conversion_buf(function, PG_UTF8, encoding, utf8, len,
									  converted, sizeof(converted),
									  true) < len)
		return false;
	appendStringInfoString(key, (char *) converted);
	return true;
}
