/*-------------------------------------------------------------------------
 *
 * csv.c
 *	  The formats csv and text: what COPY reads and writes.
 *
 * NOTES
 *	  A message is one or more lines, each a row; a newline at its end is
 *	  ignored.  A field may hold newlines where COPY allows it, but no field
 *	  reaches over the end of its message: an unterminated quote is an error
 *	  of the message where it stands.
 *
 *	  Fields belong to the payload columns in table order.  Missing fields are
 *	  NULL and extra ones are ignored, unless the option strict makes errors
 *	  of both.
 *
 *	  A field without quotes and escapes is converted where it stands, so that
 *	  the plain case copies nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "format/format.h"
#include "mb/pg_wchar.h"

/* what a byte is in a field outside of quotes */
#define PLAIN		0
#define DELIMITER	1
#define NEWLINE		2			/* \n or \r */
#define SPECIAL		3			/* csv: the quote, text: the backslash */

typedef struct CsvState
{
	/* for the life of the map */
	bool		csv;			/* else text */
	char		delimiter;
	char		quote;			/* csv */
	char		escape;			/* csv */
	const char *null;
	int			null_len;
	uint8		class[256];		/* of bytes outside of quotes */
	int			last;			/* fields after this one are not converted */
	bool		plain_integers; /* they need neither quotes nor escapes */
	StringInfoData buffer;		/* a field without its quotes and escapes */

	/* the message under decode */
	const char *next;			/* where the next field begins */
	const char *end;
	bool		more;			/* there is another line */
	const char *line;			/* where the line begins that was begun last */
	int			row;			/* its number */
	bool		ended;			/* and its end has been found */
} CsvState;

/* One field of a line. */
typedef struct CsvField
{
	const char *str;			/* in the message or the buffer */
	int			len;
	bool		is_null;
	bool		ends_line;
} CsvField;

static void csv_check(const KafkaRowMap *map);
static void check_delimiter(const CsvState *state, const char *delimiter);
static void check_csv(const CsvState *state, const KafkaTableOptions *options);
static void check_byte(const char *name, const char *value);
static void *csv_begin(KafkaRowMap *map);
static void set_options(CsvState *state, const KafkaRowMap *map);
static void csv_start(KafkaRowMap *map, const KafkaMessage *message);
static bool csv_next(KafkaRowMap *map, Datum *values, bool *nulls);
static bool begin_line(CsvState *state, int row);
static bool is_single_line(const CsvState *state);
static void force_null(const CsvState *state, const KafkaColumn *column,
					   CsvField *field);
static void convert_field(KafkaRowMap *map, KafkaColumn *column,
						  const CsvField *field, Datum *values, bool *nulls);
static void finish_line(KafkaRowMap *map, CsvState *state, int fields,
						CsvField *field);
static void read_field(CsvState *state, CsvField *field);
static const char *scan_plain(const CsvState *state, const char *p);
static void end_field(CsvState *state, CsvField *field, const char *p);
static void read_special(CsvState *state, CsvField *field);
static const char *read_quoted(CsvState *state, const char *p);
static const char *read_escape(CsvState *state, const char *p,
							   bool *non_ascii);
static const char *read_octal(const char *p, const char *end, int *value);
static const char *read_hex(const char *p, const char *end, int *value);
static void csv_encode(KafkaRowMap *map, const Datum *values,
					   const bool *nulls, StringInfo out);
static void encode_null(const CsvState *state, const KafkaColumn *column,
						StringInfo out);
static bool is_swapped(const KafkaColumn *column);
static void encode_csv(const CsvState *state, const char *str, bool alone,
					   StringInfo out);
static bool needs_quotes(const CsvState *state, const char *str, bool alone);
static void encode_text(const CsvState *state, const char *str,
						StringInfo out);

const KafkaFormat kafka_format_csv = {
	.name = "csv",
	.many_rows = true,
	.check = csv_check,
	.begin = csv_begin,
	.start = csv_start,
	.next = csv_next,
	.encode = csv_encode
};

const KafkaFormat kafka_format_text = {
	.name = "text",
	.many_rows = true,
	.check = csv_check,
	.begin = csv_begin,
	.start = csv_start,
	.next = csv_next,
	.encode = csv_encode
};

/*
 * Refuses options that make fields ambiguous, as COPY does.
 */
static void
csv_check(const KafkaRowMap *map)
{
	const KafkaTableOptions *options = map->options;
	CsvState	state;

	if (options->rows != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("format \"%s\" does not know the option \"rows\"",
						map->format->name)));
	set_options(&state, map);
	check_delimiter(&state, options->delimiter);
	if (strpbrk(state.null, "\r\n") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"null\" cannot use newline or carriage return")));
	if (strchr(state.null, state.delimiter) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the delimiter must not appear in the option \"null\"")));
	if (state.csv)
		check_csv(&state, options);
	else if (options->quote != NULL || options->escape != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("options \"quote\" and \"escape\" are for format \"csv\" only")));
}

/*
 * Checks the delimiter.
 */
static void
check_delimiter(const CsvState *state, const char *delimiter)
{
	check_byte("delimiter", delimiter);
	if (!state->csv && strchr("\\.abcdefghijklmnopqrstuvwxyz0123456789",
							  state->delimiter) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"delimiter\" cannot be \"%s\"", delimiter)));
}

/*
 * Checks what only csv has.
 */
static void
check_csv(const CsvState *state, const KafkaTableOptions *options)
{
	check_byte("quote", options->quote);
	check_byte("escape", options->escape);
	if (state->delimiter == state->quote)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"delimiter\" and \"quote\" must be different")));
	if (strchr(state->null, state->quote) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the quote must not appear in the option \"null\"")));
}

/*
 * Checks that an option, where it is given, is one byte within a line.
 */
static void
check_byte(const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (strlen(value) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a single one-byte character",
						name)));
	if (*value == '\n' || *value == '\r')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" cannot be newline or carriage return",
						name)));
}

/*
 * Makes the state from the table's options.
 */
static void *
csv_begin(KafkaRowMap *map)
{
	CsvState   *state = palloc0(sizeof(CsvState));

	set_options(state, map);
	state->class[(unsigned char) '\n'] = NEWLINE;
	state->class[(unsigned char) '\r'] = NEWLINE;
	state->class[(unsigned char) (state->csv ? state->quote : '\\')] = SPECIAL;
	state->class[(unsigned char) state->delimiter] = DELIMITER;
	state->last = -1;
	for (int i = 0; i < map->npayload; i++)
		if (map->payload[i]->needed)
			state->last = i;
	initStringInfo(&state->buffer);
	state->plain_integers = strchr("-0123456789", state->null[0]) == NULL ||
		state->null[0] == '\0';
	for (const char *c = "-0123456789"; *c != '\0'; c++)
		state->plain_integers &= state->class[(unsigned char) *c] == PLAIN;
	return state;
}

/*
 * Sets the options, or their defaults.
 */
static void
set_options(CsvState *state, const KafkaRowMap *map)
{
	const KafkaTableOptions *options = map->options;

	state->csv = map->format == &kafka_format_csv;
	state->delimiter = options->delimiter ? *options->delimiter :
		state->csv ? ',' : '\t';
	state->quote = options->quote ? *options->quote : '"';
	state->escape = options->escape ? *options->escape : state->quote;
	state->null = options->null ? options->null : state->csv ? "" : "\\N";
	state->null_len = strlen(state->null);
}

/*
 * Takes a message.
 */
static void
csv_start(KafkaRowMap *map, const KafkaMessage *message)
{
	CsvState   *state = map->state;
	int			len;

	state->next = kafka_text_decode(message->value, message->value_len,
									map->encoding, &len);
	state->end = state->next + len;
	state->more = true;
	state->row = -1;
	state->ended = true;
}

/*
 * Decodes the next line.
 */
static bool
csv_next(KafkaRowMap *map, Datum *values, bool *nulls)
{
	CsvState   *state = map->state;
	CsvField	field = {0};
	int			i;

	if (!begin_line(state, map->row))
		return false;
	if (state->last < 0 && is_single_line(state))
	{
		state->more = false;
		return true;
	}
	for (i = 0; i <= state->last && !field.ends_line; i++)
	{
		KafkaColumn *column = map->payload[i];

		map->column = column;
		read_field(state, &field);
		if (column->options->force_null || column->options->force_not_null)
			force_null(state, column, &field);
		if (column->needed && !field.is_null && !column->bad)
			convert_field(map, column, &field, values, nulls);
	}
	map->column = NULL;
	finish_line(map, state, i, &field);
	return true;
}

/*
 * Goes to the line of a row: the next one, or the last one again.
 *
 * False behind the last line, and behind one whose end was not found.
 */
static bool
begin_line(CsvState *state, int row)
{
	if (state->row == row)
		state->next = state->line;
	else if (!state->more || !state->ended)
		return false;
	state->line = state->next;
	state->row = row;
	state->ended = false;
	return true;
}

/*
 * Tells whether the rest of the message can only be one line.
 */
static bool
is_single_line(const CsvState *state)
{
	const char *newline;

	newline = memchr(state->next, '\n', state->end - state->next);
	return newline == NULL || newline == state->end - 1;
}

/*
 * Makes a field NULL that is so only without quotes, or one that is NULL not
 * so, as the column's options say.
 */
static void
force_null(const CsvState *state, const KafkaColumn *column, CsvField *field)
{
	if (field->is_null)
		field->is_null = !column->options->force_not_null;
	else if (column->options->force_null && field->len == state->null_len &&
			 memcmp(field->str, state->null, state->null_len) == 0)
		field->is_null = true;
}

/*
 * Converts one field.
 */
static void
convert_field(KafkaRowMap *map, KafkaColumn *column, const CsvField *field,
			  Datum *values, bool *nulls)
{
	values[column->index] = kafka_column_from_text(map, column, field->str,
												   field->len);
	nulls[column->index] = false;
}

/*
 * Reads the rest of a line after its first fields, and finds out whether
 * another line follows.
 */
static void
finish_line(KafkaRowMap *map, CsvState *state, int fields, CsvField *field)
{
	while (!field->ends_line)
	{
		read_field(state, field);
		fields++;
	}
	state->ended = true;
	if (!map->options->strict)
		return;
	if (fields < map->npayload)
	{
		map->column = map->payload[fields];
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("missing data for column \"%s\"",
						map->column->name)));
	}
	if (fields > Max(map->npayload, 1))
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("extra data after last expected column")));
}

/*
 * Reads the next field, up to its delimiter or the end of its line.
 */
static void
read_field(CsvState *state, CsvField *field)
{
	const char *start = state->next;
	const char *p = scan_plain(state, start);

	field->str = start;
	field->len = p - start;
	if (p < state->end && state->class[(unsigned char) *p] == SPECIAL)
		read_special(state, field);
	else
	{
		field->is_null = field->len == state->null_len &&
			memcmp(start, state->null, state->null_len) == 0;
		end_field(state, field, p);
	}
}

/*
 * Returns the first byte at or after p that is not plain, or the end.
 */
static const char *
scan_plain(const CsvState *state, const char *p)
{
	while (p < state->end && state->class[(unsigned char) *p] == PLAIN)
		p++;
	return p;
}

/*
 * Steps over what ends a field at p.
 */
static void
end_field(CsvState *state, CsvField *field, const char *p)
{
	field->ends_line = true;
	if (p == state->end)
		state->more = false;
	else if (*p == state->delimiter)
	{
		field->ends_line = false;
		p++;
	}
	else
	{
		if (*p == '\r' && p + 1 < state->end && p[1] == '\n')
			p++;
		else if (*p == '\r' && p + 1 < state->end)
			ereport(ERROR,
					(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					 state->csv ?
					 errmsg("unquoted carriage return found in data") :
					 errmsg("literal carriage return found in data"),
					 state->csv ?
					 errhint("Use quoted CSV field to represent carriage return.") :
					 errhint("Use \"\\r\" to represent carriage return.")));
		p++;
		state->more = p < state->end;
	}
	state->next = p;
}

/*
 * Reads a field that has quotes or escapes into the buffer.
 */
static void
read_special(CsvState *state, CsvField *field)
{
	const char *start = state->next;
	const char *p = start;
	bool		non_ascii = false;

	resetStringInfo(&state->buffer);
	for (;;)
	{
		const char *plain = p;

		p = scan_plain(state, p);
		appendBinaryStringInfo(&state->buffer, plain, p - plain);
		if (p == state->end || state->class[(unsigned char) *p] != SPECIAL)
			break;
		if (state->csv)
			p = read_quoted(state, p + 1);
		else
			p = read_escape(state, p + 1, &non_ascii);
	}
	field->is_null = !state->csv && p - start == state->null_len &&
		memcmp(start, state->null, state->null_len) == 0;
	if (non_ascii && !field->is_null)
		pg_verifymbstr(state->buffer.data, state->buffer.len, false);
	field->str = state->buffer.data;
	field->len = state->buffer.len;
	end_field(state, field, p);
}

/*
 * Reads from after a quote to after the closing one.
 */
static const char *
read_quoted(CsvState *state, const char *p)
{
	for (;;)
	{
		const char *plain = p;

		while (p < state->end && *p != state->quote && *p != state->escape)
			p++;
		appendBinaryStringInfo(&state->buffer, plain, p - plain);
		if (p == state->end)
			ereport(ERROR,
					(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					 errmsg("unterminated CSV quoted field")));
		if (*p == state->escape && p + 1 < state->end &&
			(p[1] == state->escape || p[1] == state->quote))
			p++;
		else if (*p == state->quote)
			return p + 1;
		appendStringInfoCharMacro(&state->buffer, *p);
		p++;
	}
}

/*
 * Reads what follows a backslash, and returns where that ends.
 *
 * A backslash at the end of the message is dropped, as COPY does.
 */
static const char *
read_escape(CsvState *state, const char *p, bool *non_ascii)
{
	static const char letters[] = "b\bf\fn\nr\rt\tv\v";
	const char *letter;
	int			c;

	if (p == state->end)
		return p;
	c = (unsigned char) *p;
	if (c >= '0' && c <= '7')
		p = read_octal(p, state->end, &c);
	else if (c == 'x' && p + 1 < state->end &&
			 isxdigit((unsigned char) p[1]))
		p = read_hex(p + 1, state->end, &c);
	else
	{
		letter = strchr("bfnrtv", c);
		if (letter != NULL)
			c = strchr(letters, c)[1];
		appendStringInfoCharMacro(&state->buffer, c);
		return p + 1;
	}
	if (c == '\0' || IS_HIGHBIT_SET(c))
		*non_ascii = true;
	appendStringInfoCharMacro(&state->buffer, c);
	return p;
}

/*
 * Reads one to three octal digits as a byte.
 */
static const char *
read_octal(const char *p, const char *end, int *value)
{
	*value = 0;
	for (int i = 0; i < 3 && p < end && *p >= '0' && *p <= '7'; i++)
		*value = *value * 8 + (*p++ - '0');
	*value &= 0377;
	return p;
}

/*
 * Reads one or two hexadecimal digits as a byte.
 */
static const char *
read_hex(const char *p, const char *end, int *value)
{
	*value = 0;
	for (int i = 0; i < 2 && p < end && isxdigit((unsigned char) *p); i++)
	{
		int			c = tolower((unsigned char) *p++);

		*value = *value * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return p;
}

/*
 * Appends the payload columns as a line without its end.
 */
static void
csv_encode(KafkaRowMap *map, const Datum *values, const bool *nulls,
		   StringInfo out)
{
	CsvState   *state = map->state;

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
encode_null(const CsvState *state, const KafkaColumn *column, StringInfo out)
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
encode_csv(const CsvState *state, const char *str, bool alone, StringInfo out)
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
needs_quotes(const CsvState *state, const char *str, bool alone)
{
	if ((str[0] == state->null[0] && strcmp(str, state->null) == 0) ||
		(alone && strcmp(str, "\\.") == 0))
		return true;
	for (; *str != '\0'; str++)
		if (state->class[(unsigned char) *str] != PLAIN)
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
encode_text(const CsvState *state, const char *str, StringInfo out)
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
