/*-------------------------------------------------------------------------
 *
 * csv_decode.c
 *	  Messages of the formats csv and text to rows.
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

#include "format/csv.h"
#include "format/integer.h"
#include "mb/pg_wchar.h"

/* One field of a line. */
typedef struct CsvField
{
	const char *str;			/* in the message or the buffer */
	int			len;
	bool		is_null;
	bool		ends_line;
} CsvField;

static inline bool read_integer(KafkaCsv *state, const KafkaColumn *column,
								CsvField *field, Datum *value);
static bool begin_line(KafkaCsv *state, int row);
static bool is_single_line(const KafkaCsv *state);
static void force_null(const KafkaCsv *state, const KafkaColumn *column,
					   CsvField *field);
static void finish_line(KafkaRowMap *map, KafkaCsv *state, int fields,
						CsvField *field);
static void read_field(KafkaCsv *state, CsvField *field);
static const char *scan_plain(const KafkaCsv *state, const char *p);
static void end_field(KafkaCsv *state, CsvField *field, const char *p);
static void read_special(KafkaCsv *state, CsvField *field);
static const char *read_quoted(KafkaCsv *state, const char *p);
static const char *read_escape(KafkaCsv *state, const char *p,
							   bool *non_ascii);
static const char *read_octal(const char *p, const char *end, int *value);
static const char *read_hex(const char *p, const char *end, int *value);

/*
 * Takes a message.
 */
void
kafka_csv_start(KafkaRowMap *map, const KafkaMessage *message)
{
	KafkaCsv   *state = map->state;
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
bool
kafka_csv_next(KafkaRowMap *map, Datum *values, bool *nulls)
{
	KafkaCsv   *state = map->state;
	CsvField	field = {0};
	int			i;

	if (!begin_line(state, map->row))
		return false;
	if (state->last < 0 && is_single_line(state))
	{
		state->more = false;
		map->done = true;
		return true;
	}
	for (i = 0; i <= state->last && !field.ends_line; i++)
	{
		KafkaColumn *column = map->payload[i];

		if (state->quick[i] && !column->bad &&
			read_integer(state, column, &field, &values[column->index]))
		{
			nulls[column->index] = false;
			continue;
		}
		map->column = column;
		read_field(state, &field);
		if (column->options->force_null || column->options->force_not_null)
			force_null(state, column, &field);
		if (!column->needed || field.is_null || column->bad)
			continue;
		values[column->index] = kafka_column_from_text(map, column, field.str,
													   field.len);
		nulls[column->index] = false;
	}
	map->column = NULL;
	finish_line(map, state, i, &field);
	map->done = !state->more;
	return true;
}

/*
 * Goes to the line of a row: the next one, or the last one again.
 *
 * False behind the last line, and behind one whose end was not found.
 */
static bool
begin_line(KafkaCsv *state, int row)
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
is_single_line(const KafkaCsv *state)
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
force_null(const KafkaCsv *state, const KafkaColumn *column, CsvField *field)
{
	if (field->is_null)
		field->is_null = !column->options->force_not_null;
	else if (column->options->force_null && field->len == state->null_len &&
			 memcmp(field->str, state->null, state->null_len) == 0)
		field->is_null = true;
}

/*
 * Reads a field that is a plain integer to its delimiter or the end of the
 * message; false, having done nothing, where it is anything else.
 */
static inline bool
read_integer(KafkaCsv *state, const KafkaColumn *column, CsvField *field,
			 Datum *value)
{
	const char *end = state->end;
	int64		number;
	const char *p = kafka_integer_read(state->next, end, &number);

	if (p == NULL || (p < end && *p != state->delimiter) ||
		!kafka_integer_datum(column->conversion, number, value))
		return false;
	field->ends_line = p == end;
	state->more = state->more && p < end;
	state->next = p + (p < end);
	return true;
}

/*
 * Reads the rest of a line after its first fields, and finds out whether
 * another line follows.
 */
static void
finish_line(KafkaRowMap *map, KafkaCsv *state, int fields, CsvField *field)
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
read_field(KafkaCsv *state, CsvField *field)
{
	const char *start = state->next;
	const char *p = scan_plain(state, start);

	field->str = start;
	field->len = p - start;
	if (p < state->end && state->class[(unsigned char) *p] == KAFKA_CSV_SPECIAL)
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
scan_plain(const KafkaCsv *state, const char *p)
{
	while (p < state->end && state->class[(unsigned char) *p] == KAFKA_CSV_PLAIN)
		p++;
	return p;
}

/*
 * Steps over what ends a field at p.
 */
static void
end_field(KafkaCsv *state, CsvField *field, const char *p)
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
read_special(KafkaCsv *state, CsvField *field)
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
		if (p == state->end || state->class[(unsigned char) *p] != KAFKA_CSV_SPECIAL)
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
read_quoted(KafkaCsv *state, const char *p)
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
read_escape(KafkaCsv *state, const char *p, bool *non_ascii)
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
