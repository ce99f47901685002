/*-------------------------------------------------------------------------
 *
 * kafka_fuzz.c
 *	  Decodes mutated messages, for tools/fuzz; "make FUZZ=1" links it into
 *	  the extension's library.
 *
 * NOTES
 *	  kafka_fuzz(relation, corpus, inputs, seed) makes messages of a corpus by
 *	  random changes and has the row map of the foreign table decode them.
 *	  Sanitizers see what goes wrong in memory; the rest is checked here:
 *
 *	  - an error is one about data, and with on_error other than error there
 *		is none;
 *	  - a part of the columns has the rows and values that all columns have;
 *	  - a row that can be written is read back as it was;
 *	  - a field of a JSON object is what the operators -> and ->> find.
 *
 *	  Bytes of messages are malloc'd in their exact length, for the sanitizer
 *	  to notice who reads past them.  The message under work stands in the file
 *	  kafka_fuzz.last of the data directory, and outlives a crash there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "format/format.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "mutate.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#define MAX_ROWS 64				/* that are compared */
#define MAX_HEADERS 4
#define LAST_BYTES (1024 * 1024)
#define MAX_FAILURES 10

/* The rows of a message. */
typedef struct Rows
{
	int64		n;
	Datum	   *values[MAX_ROWS];
	bool	   *nulls[MAX_ROWS];
} Rows;

typedef struct Fuzz
{
	/* for the life of the call */
	Relation	rel;
	KafkaRowMap *map;			/* all columns */
	KafkaRowMap *some;			/* some of them */
	KafkaRows  *ahead;			/* with on_error, else NULL */
	bool		writable;
	bool		has_fields;		/* columns are fields of a JSON object */
	Mutator		mutator;
	char	   *last;			/* mapped file */

	/* of the input */
	MemoryContext context;
	Bytes		value;
	Bytes		key;
	Bytes		names[MAX_HEADERS];
	Bytes		headers[MAX_HEADERS];
	KafkaHeader header_array[MAX_HEADERS];
	KafkaMessage message;
	KafkaMessage written;
	Rows		rows;
	Rows		other;
	KafkaColumn *wrong;

	/* counted */
	int64		inputs;
	int64		nrows;
	int64		errors;
	int64		round_trips;
	int64		failures;
} Fuzz;

typedef void (*FuzzWork) (Fuzz *fuzz);

extern PGDLLEXPORT Datum kafka_fuzz(PG_FUNCTION_ARGS);

static void open_fuzz(Fuzz *fuzz, Oid relid, ArrayType *corpus);
static void open_last(Fuzz *fuzz);
static Bitmapset *some_columns(Fuzz *fuzz);
static void run_input(Fuzz *fuzz, int64 number);
static void make_message(Fuzz *fuzz, int64 number);
static void make_headers(Fuzz *fuzz);
static void free_message(Fuzz *fuzz);
static void note_last(Fuzz *fuzz);
static ErrorData *try(Fuzz *fuzz, FuzzWork work);
static void check_error(Fuzz *fuzz, const ErrorData *error);
static void fail(Fuzz *fuzz, const char *what, const char *detail);
static void decode(Fuzz *fuzz);
static void decode_ahead(Fuzz *fuzz);
static void decode_some(Fuzz *fuzz);
static void write_row(Fuzz *fuzz);
static void read_row(Fuzz *fuzz);
static void check_writable(Fuzz *fuzz);
static void find_fields(Fuzz *fuzz);
static bool is_field(Fuzz *fuzz, KafkaColumn *column, Datum json);
static void decode_rows(KafkaRowMap *map, const KafkaMessage *message,
						Rows *rows);
static void compare(Fuzz *fuzz, KafkaRowMap *map, bool written,
					const char *what);
static bool is_written(const KafkaColumnOptions *options);

PG_FUNCTION_INFO_V1(kafka_fuzz);

/*
 * kafka_fuzz(relation regclass, corpus bytea[], inputs bigint, seed bigint)
 *		returns (inputs bigint, rows bigint, errors bigint,
 *				 round_trips bigint, failures bigint)
 *
 * The corpus itself comes first, as it is.
 */
Datum
kafka_fuzz(PG_FUNCTION_ARGS)
{
	Fuzz	   *fuzz = palloc0(sizeof(Fuzz));
	int64		inputs = PG_GETARG_INT64(2);
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fuzz->mutator.random = (uint64) PG_GETARG_INT64(3) * UINT64CONST(0x9e3779b97f4a7c15) + 1;
	open_fuzz(fuzz, PG_GETARG_OID(0), PG_GETARG_ARRAYTYPE_P(1));
	for (int64 i = 0; i < fuzz->mutator.ncorpus + inputs; i++)
	{
		CHECK_FOR_INTERRUPTS();
		run_input(fuzz, i);
		if (fuzz->failures >= MAX_FAILURES)
			break;
	}
	table_close(fuzz->rel, AccessShareLock);
	munmap(fuzz->last, LAST_BYTES);

	values[0] = Int64GetDatum(fuzz->inputs);
	values[1] = Int64GetDatum(fuzz->nrows);
	values[2] = Int64GetDatum(fuzz->errors);
	values[3] = Int64GetDatum(fuzz->round_trips);
	values[4] = Int64GetDatum(fuzz->failures);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

static void
open_fuzz(Fuzz *fuzz, Oid relid, ArrayType *corpus)
{
	KafkaTableOptions *options = kafka_options_table(relid, GetUserId());
	Datum	   *elements;
	ErrorData  *error;

	fuzz->rel = table_open(relid, AccessShareLock);
	fuzz->map = kafka_rowmap_create(fuzz->rel, options, NULL);
	fuzz->some = kafka_rowmap_create(fuzz->rel, options, some_columns(fuzz));
	if (fuzz->map->on_error != KAFKA_ON_ERROR_ERROR)
		fuzz->ahead = kafka_rows_create(fuzz->map);
	deconstruct_array(corpus, BYTEAOID, -1, false, TYPALIGN_INT, &elements,
					  NULL, &fuzz->mutator.ncorpus);
	fuzz->mutator.corpus = palloc_array(Bytes, fuzz->mutator.ncorpus);
	for (int i = 0; i < fuzz->mutator.ncorpus; i++)
	{
		bytea	   *bytes = DatumGetByteaPP(elements[i]);

		fuzz->mutator.corpus[i] = kafka_mutate_copy(VARDATA_ANY(bytes),
													VARSIZE_ANY_EXHDR(bytes));
	}
	if (fuzz->mutator.ncorpus == 0)
		elog(ERROR, "the corpus is empty");
	fuzz->context = AllocSetContextCreate(CurrentMemoryContext, "kafka fuzz",
										  ALLOCSET_DEFAULT_SIZES);
	open_last(fuzz);
	error = try(fuzz, check_writable);
	fuzz->writable = error == NULL && fuzz->ahead == NULL;
	fuzz->has_fields = fuzz->map->format == &kafka_format_json &&
		options->rows == NULL && options->encoding == NULL;
}

static void
open_last(Fuzz *fuzz)
{
	char		name[64];
	int			fd;

	snprintf(name, sizeof(name), "kafka_fuzz.last.%d", MyProcPid);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, LAST_BYTES) != 0)
		elog(ERROR, "could not make file \"%s\": %m", name);
	fuzz->last = mmap(NULL, LAST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
					  fd, 0);
	close(fd);
	if (fuzz->last == MAP_FAILED)
		elog(ERROR, "could not map file \"%s\": %m", name);
}

/*
 * Chooses every other column, by chance.
 */
static Bitmapset *
some_columns(Fuzz *fuzz)
{
	Bitmapset  *some = bms_make_singleton(TableOidAttributeNumber -
										  FirstLowInvalidHeapAttributeNumber);

	for (int i = 1; i <= RelationGetDescr(fuzz->rel)->natts; i++)
		if (kafka_mutate_below(&fuzz->mutator, 2) == 0)
			some = bms_add_member(some, i - FirstLowInvalidHeapAttributeNumber);
	return some;
}

/*
 * Makes a message and checks all that is to be checked of it.
 */
static void
run_input(Fuzz *fuzz, int64 number)
{
	ErrorData  *error;

	MemoryContextReset(fuzz->context);
	make_message(fuzz, number);
	note_last(fuzz);
	fuzz->inputs++;
	fuzz->rows.n = 0;
	error = try(fuzz, fuzz->ahead != NULL ? decode_ahead : decode);
	fuzz->nrows += fuzz->rows.n;
	if (error != NULL)
		check_error(fuzz, error);
	else if (fuzz->ahead == NULL)
	{
		if (fuzz->rows.n > 0)
			kafka_mutate_keep(&fuzz->mutator, &fuzz->value);
		error = try(fuzz, decode_some);
		if (error != NULL)
			fail(fuzz, "some columns are an error where all are not",
				 error->message);
		else
			compare(fuzz, fuzz->some, false, "some columns");
		if (fuzz->has_fields && fuzz->value.data != NULL &&
			try(fuzz, find_fields) == NULL && fuzz->wrong != NULL)
			fail(fuzz, "not what -> and ->> find", fuzz->wrong->name);
		if (fuzz->writable && fuzz->rows.n > 0 && try(fuzz, write_row) == NULL)
		{
			fuzz->round_trips++;
			error = try(fuzz, read_row);
			if (error != NULL)
				fail(fuzz, "what was written cannot be read", error->message);
			else
			{
				fuzz->rows.n = 1;
				compare(fuzz, fuzz->map, true, "round trip");
			}
		}
	}
	free_message(fuzz);
}

/*
 * Makes a message: of the corpus while its number is one of it, then by
 * chance.
 */
static void
make_message(Fuzz *fuzz, int64 number)
{
	static const int64 times[] = {KAFKA_TIMESTAMP_UNKNOWN, 0, 1, 1540219230123,
	PG_INT64_MAX, PG_INT64_MIN, INT64CONST(9224318015999999)};
	KafkaMessage *message = &fuzz->message;

	memset(message, 0, sizeof(KafkaMessage));
	if (number < fuzz->mutator.ncorpus)
		fuzz->value = kafka_mutate_copy(fuzz->mutator.corpus[number].data,
										fuzz->mutator.corpus[number].len);
	else if (kafka_mutate_below(&fuzz->mutator, 5000) == 0)
		fuzz->value = kafka_mutate_deep(&fuzz->mutator);
	else if (kafka_mutate_below(&fuzz->mutator, 500) == 0)
		fuzz->value.data = NULL;
	else
		fuzz->value = kafka_mutate(&fuzz->mutator);
	if (kafka_mutate_below(&fuzz->mutator, 4) != 0)
		fuzz->key = kafka_mutate(&fuzz->mutator);
	make_headers(fuzz);
	message->topic = fuzz->map->options->topic;
	message->partition = kafka_mutate_below(&fuzz->mutator, 3);
	message->offset = number;
	message->timestamp = times[kafka_mutate_below(&fuzz->mutator, lengthof(times))];
	message->timestamp_type = kafka_mutate_below(&fuzz->mutator, 3);
	message->leader_epoch = (int32) kafka_mutate_below(&fuzz->mutator, 3) - 1;
	message->value = fuzz->value.data;
	message->value_len = fuzz->value.len;
	message->key = fuzz->key.data;
	message->key_len = fuzz->key.len;
}

/*
 * Makes headers of the names that tables ask for, and of others.
 */
static void
make_headers(Fuzz *fuzz)
{
	static const char *const names[] = {"h", "i", "at", "j"};
	int			n = kafka_mutate_below(&fuzz->mutator, MAX_HEADERS + 1);

	for (int i = 0; i < n; i++)
	{
		KafkaHeader *header = &fuzz->header_array[i];
		const char *name = names[kafka_mutate_below(&fuzz->mutator, lengthof(names))];

		fuzz->names[i] = kafka_mutate_below(&fuzz->mutator, 8) == 0 ? kafka_mutate(&fuzz->mutator) :
			kafka_mutate_copy(name, strlen(name) + 1);
		fuzz->names[i].data[Max(fuzz->names[i].len, 1) - 1] = '\0';
		if (kafka_mutate_below(&fuzz->mutator, 4) != 0)
			fuzz->headers[i] = kafka_mutate(&fuzz->mutator);
		header->name = fuzz->names[i].data;
		header->value = fuzz->headers[i].data;
		header->value_len = fuzz->headers[i].len;
	}
	fuzz->message.headers = n > 0 ? fuzz->header_array : NULL;
	fuzz->message.nheaders = n;
}

static void
free_message(Fuzz *fuzz)
{
	free(fuzz->value.data);
	free(fuzz->key.data);
	for (int i = 0; i < MAX_HEADERS; i++)
	{
		free(fuzz->names[i].data);
		free(fuzz->headers[i].data);
		fuzz->names[i].data = fuzz->headers[i].data = NULL;
		fuzz->headers[i].len = 0;
	}
	fuzz->value.data = fuzz->key.data = NULL;
	fuzz->value.len = fuzz->key.len = 0;
}

/*
 * Puts the message where it is found after a crash.
 */
static void
note_last(Fuzz *fuzz)
{
	int			len;

	len = snprintf(fuzz->last, LAST_BYTES,
				   "table %s, input %lld, key of %zu bytes, value of %zu bytes follow\n",
				   RelationGetRelationName(fuzz->rel),
				   (long long) fuzz->message.offset, fuzz->key.len,
				   fuzz->value.len);
	memcpy(fuzz->last + len, fuzz->key.data ? fuzz->key.data : "",
		   fuzz->key.len);
	memcpy(fuzz->last + len + fuzz->key.len,
		   fuzz->value.data ? fuzz->value.data : "", fuzz->value.len);
	fuzz->last[len + fuzz->key.len + fuzz->value.len] = '\0';
}

/*
 * Works in a subtransaction, and returns the error that has ended it.
 */
static ErrorData *
try(Fuzz *fuzz, FuzzWork work)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(fuzz->context);
	PG_TRY();
	{
		work(fuzz);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(fuzz->context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}

/*
 * Counts an error about data; all others are failures, as is any where errors
 * are to be caught.
 */
static void
check_error(Fuzz *fuzz, const ErrorData *error)
{
	fuzz->errors++;
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			if (fuzz->ahead == NULL)
				return;
	}
	fail(fuzz, unpack_sql_state(error->sqlerrcode), error->message);
}

static void
fail(Fuzz *fuzz, const char *what, const char *detail)
{
	int			shown = Min(fuzz->value.len, 300);
	StringInfoData hex;

	initStringInfo(&hex);
	for (int i = 0; i < shown; i++)
		appendStringInfo(&hex, "%02x", (unsigned char) fuzz->value.data[i]);
	fuzz->failures++;
	ereport(WARNING,
			(errmsg("fuzz failure, table \"%s\", input %lld: %s",
					RelationGetRelationName(fuzz->rel),
					(long long) fuzz->message.offset, what),
			 errdetail("%s; value (%zu bytes) \\x%s", detail, fuzz->value.len,
					   hex.data)));
}

static void
decode(Fuzz *fuzz)
{
	decode_rows(fuzz->map, &fuzz->message, &fuzz->rows);
}

static void
decode_some(Fuzz *fuzz)
{
	decode_rows(fuzz->some, &fuzz->message, &fuzz->other);
}

static void
read_row(Fuzz *fuzz)
{
	decode_rows(fuzz->map, &fuzz->written, &fuzz->other);
}

static void
decode_rows(KafkaRowMap *map, const KafkaMessage *message, Rows *rows)
{
	Datum	   *values = palloc_array(Datum, map->natts);
	bool	   *nulls = palloc_array(bool, map->natts);

	rows->n = 0;
	kafka_rowmap_start(map, message);
	while (kafka_rowmap_next(map, values, nulls))
	{
		if (rows->n < MAX_ROWS)
		{
			rows->values[rows->n] = values;
			rows->nulls[rows->n] = nulls;
			values = palloc_array(Datum, map->natts);
			nulls = palloc_array(bool, map->natts);
		}
		rows->n++;
	}
}

static void
decode_ahead(Fuzz *fuzz)
{
	const KafkaMessage *messages[] = {&fuzz->message};
	Datum	   *values = palloc_array(Datum, fuzz->map->natts);
	bool	   *nulls = palloc_array(bool, fuzz->map->natts);

	kafka_rows_decode(fuzz->ahead, messages, 1);
	while (kafka_rows_next(fuzz->ahead, values, nulls))
		fuzz->rows.n++;
}

static void
check_writable(Fuzz *fuzz)
{
	kafka_rowmap_check_writable(fuzz->map);
}

/*
 * Looks the fields of a message up by other means, and notes a column that is
 * something else.
 */
static void
find_fields(Fuzz *fuzz)
{
	Datum		json = PointerGetDatum(cstring_to_text_with_len(fuzz->value.data,
																fuzz->value.len));

	fuzz->wrong = NULL;
	for (int i = 0; i < fuzz->map->npayload; i++)
	{
		KafkaColumn *column = fuzz->map->payload[i];

		if (column->options->path == NULL &&
			(column->type == TEXTOID || column->type == JSONOID) &&
			!is_field(fuzz, column, json))
			fuzz->wrong = column;
	}
}

static bool
is_field(Fuzz *fuzz, KafkaColumn *column, Datum json)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		found;
	bool		is_null;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, DEFAULT_COLLATION_OID, NULL, NULL);
	fcinfo->args[0].value = json;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = CStringGetTextDatum(column->name);
	fcinfo->args[1].isnull = false;
	found = column->type == TEXTOID ? json_object_field_text(fcinfo) :
		json_object_field(fcinfo);
	is_null = fcinfo->isnull || (column->type == JSONOID &&
								 strcmp(TextDatumGetCString(found), "null") == 0);
	if (is_null || fuzz->rows.nulls[0][column->index])
		return is_null == fuzz->rows.nulls[0][column->index];
	return datum_image_eq(found, fuzz->rows.values[0][column->index], false, -1);
}

/*
 * Writes the first row.
 */
static void
write_row(Fuzz *fuzz)
{
	KafkaMessage *written = &fuzz->written;

	kafka_rowmap_encode(fuzz->map, fuzz->rows.values[0], fuzz->rows.nulls[0],
						written);
	written->topic = fuzz->message.topic;
	written->partition = fuzz->message.partition;
	written->offset = fuzz->message.offset;
}

/*
 * Compares fuzz->other with fuzz->rows in the columns that are needed, or
 * written.
 */
static void
compare(Fuzz *fuzz, KafkaRowMap *map, bool written, const char *what)
{
	if (fuzz->other.n != fuzz->rows.n)
	{
		fail(fuzz, what, "another number of rows");
		return;
	}
	for (int row = 0; row < Min(fuzz->rows.n, MAX_ROWS); row++)
		for (int i = 0; i < map->ncolumns; i++)
		{
			KafkaColumn *column = &map->columns[i];
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(fuzz->rel),
												  column->index);
			bool		isnull = fuzz->rows.nulls[row][column->index];

			if (!column->needed ||
				(written && !is_written(column->options)))
				continue;
			if (isnull != fuzz->other.nulls[row][column->index] ||
				(!isnull &&
				 !datum_image_eq(fuzz->rows.values[row][column->index],
								 fuzz->other.values[row][column->index],
								 att->attbyval, att->attlen)))
				fail(fuzz, what, column->name);
		}
}

/*
 * Tells whether a column is read back as it was.
 *
 * Where only one of csv's options force_null and force_not_null is set, one
 * value has no way to be written.
 */
static bool
is_written(const KafkaColumnOptions *options)
{
	KafkaColumnSource source = options->source;

	if (options->force_null != options->force_not_null)
		return false;
	return source == KAFKA_COLUMN_PAYLOAD || source == KAFKA_COLUMN_KEY ||
		source == KAFKA_COLUMN_VALUE || source == KAFKA_COLUMN_HEADER ||
		source == KAFKA_COLUMN_KEY_FIELD;
}
