/*-------------------------------------------------------------------------
 *
 * csv.c
 *	  The formats csv and text, what COPY reads and writes: their options.
 *
 * NOTES
 *	  csv_decode.c reads messages, and csv_encode.c writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "format/csv.h"

static void csv_check(const KafkaRowMap *map);
static void check_delimiter(const KafkaCsv *state, const char *delimiter);
static void check_csv(const KafkaCsv *state, const KafkaTableOptions *options);
static void check_byte(const char *name, const char *value);
static void *csv_begin(KafkaRowMap *map);
static void set_integers(KafkaCsv *state, const KafkaRowMap *map);
static void set_options(KafkaCsv *state, const KafkaRowMap *map);

const KafkaFormat kafka_format_csv = {
	.name = "csv",
	.many_rows = true,
	.check = csv_check,
	.begin = csv_begin,
	.start = kafka_csv_start,
	.next = kafka_csv_next,
	.encode = kafka_csv_encode
};

const KafkaFormat kafka_format_text = {
	.name = "text",
	.many_rows = true,
	.check = csv_check,
	.begin = csv_begin,
	.start = kafka_csv_start,
	.next = kafka_csv_next,
	.encode = kafka_csv_encode
};

/*
 * Refuses options that make fields ambiguous, as COPY does.
 */
static void
csv_check(const KafkaRowMap *map)
{
	const KafkaTableOptions *options = map->options;
	KafkaCsv	state;

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
check_delimiter(const KafkaCsv *state, const char *delimiter)
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
check_csv(const KafkaCsv *state, const KafkaTableOptions *options)
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
	KafkaCsv   *state = palloc0(sizeof(KafkaCsv));

	set_options(state, map);
	state->class[(unsigned char) '\n'] = KAFKA_CSV_NEWLINE;
	state->class[(unsigned char) '\r'] = KAFKA_CSV_NEWLINE;
	state->class[(unsigned char) (state->csv ? state->quote : '\\')] = KAFKA_CSV_SPECIAL;
	state->class[(unsigned char) state->delimiter] = KAFKA_CSV_DELIMITER;
	initStringInfo(&state->buffer);
	set_integers(state, map);
	return state;
}

/*
 * Sets what is known about integers, and which columns are read.
 */
static void
set_integers(KafkaCsv *state, const KafkaRowMap *map)
{
	state->plain_integers = strchr("-0123456789", state->null[0]) == NULL ||
		state->null[0] == '\0';
	for (const char *c = "-0123456789"; *c != '\0'; c++)
		state->plain_integers &=
			state->class[(unsigned char) *c] == KAFKA_CSV_PLAIN;

	state->last = -1;
	state->quick = palloc0_array(bool, Max(map->npayload, 1));
	for (int i = 0; i < map->npayload; i++)
	{
		const KafkaColumn *column = map->payload[i];

		if (column->needed)
			state->last = i;
		state->quick[i] = state->plain_integers && column->needed &&
			(column->conversion == KAFKA_CONVERT_INT2 ||
			 column->conversion == KAFKA_CONVERT_INT4 ||
			 column->conversion == KAFKA_CONVERT_INT8);
	}
}

/*
 * Sets the options, or their defaults.
 */
static void
set_options(KafkaCsv *state, const KafkaRowMap *map)
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
