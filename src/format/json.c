/*-------------------------------------------------------------------------
 *
 * json.c
 *	  The format json: a message is an object, or holds an array of them.
 *
 * NOTES
 *	  A message is parsed to its end before its first row is handed out, so
 *	  broken JSON never gives a row.  Values are converted when their row is
 *	  asked for.
 *
 *	  Of keys that stand more than once in an object the last one counts.
 *	  JSON null and a missing key are NULL.
 *
 *	  With the option rows, each element of an array is a row.  Columns whose
 *	  path begins with $ are the same in all rows; they may stand in the
 *	  message before the array or after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "format/json.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

/* How a slice becomes a value. */
typedef enum JsonKind
{
	JSON_KIND_TEXT,				/* a string's content, others as they are */
	JSON_KIND_JSON,				/* json: the slice itself */
	JSON_KIND_SLICE,			/* jsonb: the slice to the input function */
	JSON_KIND_POPULATE			/* arrays and composites */
} JsonKind;

/* A needed payload column. */
typedef struct JsonColumn
{
	KafkaColumn *column;
	JsonKind	kind;
	bool		in_element;		/* else in the message */
	int			slot;			/* number of its slice */
	struct JsonPopulate *populate;
} JsonColumn;

/* json_populate_record() for a row of one column. */
typedef struct JsonPopulate
{
	FmgrInfo	function;
	TupleDesc	desc;
	Datum		base;			/* a row of NULL */
	StringInfoData row;			/* an object, as text: the column's value */
	int			start;			/* where the value begins */
} JsonPopulate;

typedef struct JsonState
{
	KafkaJsonParser parser;
	JsonColumn *columns;
	int			ncolumns;
	KafkaJsonEncoder *encoder;	/* made when it is needed */
} JsonState;

static void json_check(const KafkaRowMap *map);

/* begin */
static void *json_begin(KafkaRowMap *map);
static void add_rows(KafkaJsonParser *parser, const char *rows);
static void add_column(JsonState *state, KafkaColumn *column);
static void check_beside_rows(const KafkaJsonNode *node, const char *rows);
static JsonKind choose_kind(const KafkaColumn *column);
static JsonPopulate *make_populate(const KafkaColumn *column);

/* start */
static void json_start(KafkaRowMap *map, const KafkaMessage *message);
static void check_rows(const KafkaRowMap *map, const KafkaJsonParser *parser);

/* next */
static bool json_next(KafkaRowMap *map, Datum *values, bool *nulls);
static Datum slice_value(KafkaRowMap *map, const JsonColumn *json,
						 const KafkaJsonSlice *slice, bool *isnull);
static Datum populate_value(KafkaRowMap *map, const JsonColumn *json,
							const KafkaJsonSlice *slice, bool *isnull);
static void missing_error(KafkaRowMap *map, KafkaColumn *column);

/* encode */
static void json_writable(KafkaRowMap *map);
static void json_encode(KafkaRowMap *map, const Datum *values,
						const bool *nulls, StringInfo out);

const KafkaFormat kafka_format_json = {
	.name = "json",
	.check = json_check,
	.begin = json_begin,
	.start = json_start,
	.next = json_next,
	.writable = json_writable,
	.encode = json_encode
};

/*
 * Parses the paths of all columns, needed or not.
 */
static void
json_check(const KafkaRowMap *map)
{
	KafkaJsonPath path;

	for (int i = 0; i < map->npayload; i++)
		kafka_json_path_of_column(map->payload[i], &path);
}

/*
 * Makes the trees of the needed columns' paths.
 */
static void *
json_begin(KafkaRowMap *map)
{
	JsonState  *state = palloc0(sizeof(JsonState));
	KafkaJsonParser *parser = &state->parser;
	const char *rows = map->options->rows;

	parser->message_tree = kafka_json_node_create();
	initStringInfo(&parser->key);
	if (rows != NULL)
		add_rows(parser, rows);
	state->columns = palloc_array(JsonColumn, map->npayload);
	for (int i = 0; i < map->npayload; i++)
		if (map->payload[i]->needed)
			add_column(state, map->payload[i]);
	if (rows != NULL)
		check_beside_rows(parser->message_tree, rows);
	parser->slices = palloc_array(KafkaJsonSlice, parser->nslots);
	if (rows == NULL && parser->nslots > 0)
		parser->shapes = kafka_json_shapes_create(parser->nslots);
	return state;
}

/*
 * Marks the array whose elements are rows.
 */
static void
add_rows(KafkaJsonParser *parser, const char *rows)
{
	KafkaJsonPath path;
	KafkaJsonNode *array;

	kafka_json_path_parse(rows, &path);
	array = kafka_json_node_add(parser->message_tree, &path);
	array->is_rows = true;
	parser->element_tree = kafka_json_node_create();
	parser->element_tree->parent = array;
}

/*
 * Adds a needed column.
 */
static void
add_column(JsonState *state, KafkaColumn *column)
{
	KafkaJsonParser *parser = &state->parser;
	JsonColumn *json = &state->columns[state->ncolumns++];
	KafkaJsonPath path;
	KafkaJsonNode *tree;

	kafka_json_path_of_column(column, &path);
	json->column = column;
	json->kind = choose_kind(column);
	json->populate = json->kind == JSON_KIND_POPULATE ?
		make_populate(column) : NULL;
	json->in_element = parser->element_tree != NULL && !path.absolute;
	tree = json->in_element ? parser->element_tree : parser->message_tree;
	json->slot = json->in_element ? parser->nelement_slots++ : parser->nslots++;
	kafka_json_node_add_slot(kafka_json_node_add(tree, &path), json->slot);
}

/*
 * Raises an error where a path leads into the array whose elements are rows.
 */
static void
check_beside_rows(const KafkaJsonNode *node, const char *rows)
{
	if (node->is_rows && (node->nkeys > 0 || node->nsubscripts > 0))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("a column's path cannot begin with $ and lead into the array of the option \"rows\""),
				 errdetail("The option \"rows\" is \"%s\".", rows),
				 errhint("Give the path from the array's element, without $.")));
	for (int i = 0; i < node->nkeys; i++)
		check_beside_rows(node->keys[i], rows);
	for (int i = 0; i < node->nsubscripts; i++)
		check_beside_rows(node->subscripts[i], rows);
}

/*
 * Chooses how slices become the column's values.
 */
static JsonKind
choose_kind(const KafkaColumn *column)
{
	if (column->base == JSONBOID || column->base == JSONOID)
		return column->type == JSONOID ? JSON_KIND_JSON : JSON_KIND_SLICE;
	if (OidIsValid(kafka_json_element_type(column->base)) ||
		column->base == RECORDOID ||
		get_typtype(column->base) == TYPTYPE_COMPOSITE)
		return JSON_KIND_POPULATE;
	return JSON_KIND_TEXT;
}

/*
 * Prepares json_populate_record() for a row of the column alone, which has
 * the column's name, for messages.
 */
static JsonPopulate *
make_populate(const KafkaColumn *column)
{
	JsonPopulate *populate = palloc0(sizeof(JsonPopulate));
	Datum		values[1] = {0};
	bool		nulls[1] = {true};
	List	   *args;

	populate->desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(populate->desc, 1, column->name, column->type,
					   column->typmod, 0);
	populate->desc = BlessTupleDesc(populate->desc);
	populate->base = heap_copy_tuple_as_datum(heap_form_tuple(populate->desc,
															  values, nulls),
											  populate->desc);
	args = list_make2(makeNullConst(RECORDOID, -1, InvalidOid),
					  makeNullConst(JSONOID, -1, InvalidOid));
	fmgr_info(F_JSON_POPULATE_RECORD, &populate->function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSON_POPULATE_RECORD,
											 RECORDOID, args, InvalidOid,
											 InvalidOid,
											 COERCE_EXPLICIT_CALL),
					   &populate->function);
	initStringInfo(&populate->row);
	appendStringInfoSpaces(&populate->row, VARHDRSZ);
	appendStringInfoChar(&populate->row, '{');
	escape_json(&populate->row, column->name);
	appendStringInfoChar(&populate->row, ':');
	populate->start = populate->row.len;
	return populate;
}

/*
 * Parses a message.
 */
static void
json_start(KafkaRowMap *map, const KafkaMessage *message)
{
	JsonState  *state = map->state;
	const char *input;
	int			len;

	input = kafka_text_decode(message->value, message->value_len,
							  map->encoding, &len);
	kafka_json_parse(&state->parser, input, len);
	if (map->options->rows != NULL)
		check_rows(map, &state->parser);
}

/*
 * Raises an error where the message has no array of rows.
 */
static void
check_rows(const KafkaRowMap *map, const KafkaJsonParser *parser)
{
	if (parser->rows_start == '[')
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("message has no array of rows"),
			 parser->rows_start == '\0' ?
			 errdetail("Path \"%s\" does not exist.", map->options->rows) :
			 parser->rows_start == 'n' ?
			 errdetail("Path \"%s\" is null.", map->options->rows) :
			 errdetail("Path \"%s\" is not an array.", map->options->rows)));
}

/*
 * Converts the slices of the next row.
 */
static bool
json_next(KafkaRowMap *map, Datum *values, bool *nulls)
{
	JsonState  *state = map->state;
	const KafkaJsonParser *parser = &state->parser;
	const KafkaJsonSlice *element = NULL;

	if (map->row >= (map->options->rows == NULL ? 1 : parser->nrows))
		return false;
	if (parser->nelement_slots > 0)
		element = parser->rows + (int64) parser->nelement_slots * map->row;

	for (int i = 0; i < state->ncolumns; i++)
	{
		JsonColumn *json = &state->columns[i];
		const KafkaJsonSlice *slice;

		slice = json->in_element ? &element[json->slot] :
			&parser->slices[json->slot];
		if (json->column->bad)
			continue;
		if (slice->start == NULL && map->options->strict)
			missing_error(map, json->column);
		if (slice->start == NULL || *slice->start == 'n')
			continue;
		values[json->column->index] =
			slice_value(map, json, slice, &nulls[json->column->index]);
	}
	return true;
}

/*
 * Raises the error for a column without a value.
 */
static void
missing_error(KafkaRowMap *map, KafkaColumn *column)
{
	map->column = column;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("missing data for column \"%s\"", column->name),
			 errdetail("The message has no field \"%s\".",
					   column->options->path ? column->options->path :
					   column->options->key ? column->options->key :
					   column->name)));
}

/*
 * Converts a value other than null.
 */
static Datum
slice_value(KafkaRowMap *map, const JsonColumn *json, const KafkaJsonSlice *slice,
			bool *isnull)
{
	const char *start = slice->start;
	int			len = slice->len;

	*isnull = false;
	if (json->kind == JSON_KIND_JSON)
		return PointerGetDatum(cstring_to_text_with_len(start, len));
	if (json->kind == JSON_KIND_POPULATE)
		return populate_value(map, json, slice, isnull);
	if (json->kind == JSON_KIND_TEXT && *start == '"')
	{
		if (memchr(start, '\\', len) != NULL)
		{
			map->column = json->column;
			start = kafka_json_unescape(start, len, &len);
		}
		else
		{
			start++;
			len -= 2;
		}
	}
	return kafka_column_from_text(map, json->column, start, len);
}

/*
 * Converts a value as a row of that column alone would have it converted by
 * json_populate_record().
 */
static Datum
populate_value(KafkaRowMap *map, const JsonColumn *json,
			   const KafkaJsonSlice *slice, bool *isnull)
{
	JsonPopulate *populate = json->populate;
	StringInfo	row = &populate->row;
	HeapTupleData tuple;
	Datum		value;

	map->column = json->column;
	row->len = populate->start;
	appendBinaryStringInfo(row, slice->start, slice->len);
	appendStringInfoChar(row, '}');
	SET_VARSIZE(row->data, row->len);
	value = FunctionCall2(&populate->function, populate->base,
						  PointerGetDatum(row->data));

	tuple.t_data = DatumGetHeapTupleHeader(value);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	value = heap_getattr(&tuple, 1, populate->desc, isnull);
	map->column = NULL;
	return value;
}

/*
 * Makes the encoder, which raises an error where it cannot write a path.
 */
static void
json_writable(KafkaRowMap *map)
{
	JsonState  *state = map->state;
	MemoryContext old;

	if (state->encoder != NULL)
		return;
	old = MemoryContextSwitchTo(map->owner);
	state->encoder = kafka_json_encoder_create(map);
	MemoryContextSwitchTo(old);
}

/*
 * Appends the payload columns as an object.
 */
static void
json_encode(KafkaRowMap *map, const Datum *values, const bool *nulls,
			StringInfo out)
{
	JsonState  *state = map->state;

	json_writable(map);
	kafka_json_encode(state->encoder, map, values, nulls, out);
}
