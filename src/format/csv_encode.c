/*-------------------------------------------------------------------------
 *
 * csv_encode.c
 *	  Rows to messages of the formats csv and text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "format/csv.h"

static void encode_null(const KafkaCsv *state, const KafkaColumn *column,
						StringInfo out);
static bool is_swapped(const KafkaColumn *column);
static void encode_csv(const KafkaCsv *state, const char *str, bool alone,
					   StringInfo out);
static bool needs_quotes(const KafkaCsv *state, const char *str, bool alone);
static void encode_text(const KafkaCsv *state, const char *str,
						StringInfo out);

/*
 * Appends the payload columns as a line without its end.
 */
void
kafka_csv_encode(KafkaRowMap *map, const Datum *values, const bool *nulls,
				 StringInfo out)
{
	KafkaCsv   *state = map->state;

	for (int i = 0; i < map->npayload; i++)
	{
		KafkaColumn *column = map->payload[i];
		const char *str;

		if (i > 0)
			appendStringInfoChar(out, state->delimiter);
		if (nulls[column->index])
		{
			encode_null(state, column, out);
			continue;
		}
		if (state->plain_integers &&
			kafka_column_append_integer(column, values[column->index], out))
			continue;
		str = kafka_column_to_text(column, values[column->index]);
		if (is_swapped(column) && strcmp(str, state->null) == 0)
			appendStringInfoString(out, str);
		else if (state->csv)
			encode_csv(state, str, map->npayload == 1, out);
		else
			encode_text(state, str, out);
	}
	kafka_text_encode(out, map->encoding);
}

/*
 * Appends a field that is NULL.
 */
static void
encode_null(const KafkaCsv *state, const KafkaColumn *column, StringInfo out)
{
	if (is_swapped(column))
		appendStringInfoChar(out, state->quote);
	appendStringInfoString(out, state->null);
	if (is_swapped(column))
		appendStringInfoChar(out, state->quote);
}

/*
 * Tells whether a column has NULL in quotes, and without quotes the string
 * that otherwise stands for it: with both options, force_null and
 * force_not_null.
 */
static bool
is_swapped(const KafkaColumn *column)
{
	return column->options->force_null && column->options->force_not_null;
}

/*
 * Appends a field of csv, in quotes where it needs them.
 */
static void
encode_csv(const KafkaCsv *state, const char *str, bool alone, StringInfo out)
{
	if (!needs_quotes(state, str, alone))
	{
		appendStringInfoString(out, str);
		return;
	}
	appendStringInfoChar(out, state->quote);
	for (; *str != '\0'; str++)
	{
		if (*str == state->quote || *str == state->escape)
			appendStringInfoCharMacro(out, state->escape);
		appendStringInfoCharMacro(out, *str);
	}
	appendStringInfoChar(out, state->quote);
}

/*
 * Tells whether a field would be read as something else without quotes.
 */
static bool
needs_quotes(const KafkaCsv *state, const char *str, bool alone)
{
	if ((str[0] == state->null[0] && strcmp(str, state->null) == 0) ||
		(alone && strcmp(str, "\\.") == 0))
		return true;
	for (; *str != '\0'; str++)
		if (state->class[(unsigned char) *str] != KAFKA_CSV_PLAIN)
			return true;
	return false;
}

/*
 * Appends a field of text, with escapes.
 *
 * Where the result would be the string that stands for NULL, which COPY does
 * not care about, its first byte is escaped.
 */
static void
encode_text(const KafkaCsv *state, const char *str, StringInfo out)
{
	static const char escapes[] = "\bb\ff\nn\rr\tt\vv";
	const char *field = str;
	const char *rest;
	int			start = out->len;

	for (; *str != '\0'; str++)
	{
		const char *escape = strchr("\b\f\n\r\t\v", *str);

		if (escape != NULL || *str == '\\' || *str == state->delimiter)
			appendStringInfoCharMacro(out, '\\');
		appendStringInfoCharMacro(out, escape != NULL ?
								  strchr(escapes, *str)[1] : *str);
	}
	if (strcmp(out->data + start, state->null) != 0)
		return;
	if (*field == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write an empty string where the option \"null\" is empty"),
				 errhint("Set the option \"null\", or use format \"csv\".")));
	rest = pstrdup(out->data + start + (out->data[start] == '\\' ? 2 : 1));
	out->len = start;
	appendStringInfo(out, "\\x%02x%s", (unsigned char) *field, rest);
}
