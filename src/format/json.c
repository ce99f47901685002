/*-------------------------------------------------------------------------
 *
 * json.c
 *	  The format json: a message is an object, or holds an array of them.
 *
 * NOTES
 *	  A message is read once, token by token of the in-core lexer, and every
 *	  value that a column wants is noted as a slice of the text: no document
 *	  is built.  Since the message is read to its end before the first row is
 *	  handed out, broken JSON never gives a row, and it raises the error that
 *	  the type json would raise, because the in-core parser is asked for it.
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
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* A value as it stands in the message; start is NULL where it is missing. */
typedef struct JsonSlice
{
	const char *start;
	int			len;
} JsonSlice;

/* The object under decode: the message, or an element that is a row. */
typedef struct JsonScope
{
	JsonSlice  *slices;
	uint64		serial;			/* tells this object from all others */
} JsonScope;

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
} JsonPopulate;

typedef struct JsonState
{
	/* for the life of the map */
	KafkaJsonNode *message_tree;
	KafkaJsonNode *element_tree;	/* NULL without rows */
	JsonColumn *columns;
	int			ncolumns;
	int			nslots;			/* slices of the message */
	int			nelement_slots; /* slices of an element */
	uint64		serial;			/* objects seen */
	KafkaJsonEncoder *encoder;	/* made when it is needed */

	/* the message under decode */
	JsonLexContext lex;
	JsonScope	message;
	JsonScope	element;
	JsonSlice  *rows;			/* nelement_slots for each element */
	int64		nrows;
	int64		allocated_rows;
	JsonTokenType rows_type;	/* what stands at the path rows */
} JsonState;

static void json_check(const KafkaRowMap *map);

/* begin */
static void *json_begin(KafkaRowMap *map);
static void add_rows(JsonState *state, const char *rows);
static void add_column(JsonState *state, KafkaColumn *column);
static void check_beside_rows(const KafkaJsonNode *node, const char *rows);
static JsonKind choose_kind(const KafkaColumn *column);
static JsonPopulate *make_populate(const KafkaColumn *column);

/* start: the parser */
static void json_start(KafkaRowMap *map, const KafkaMessage *message);
static void check_rows(const KafkaRowMap *map, const JsonState *state);
static void parse_value(JsonState *state, JsonScope *scope,
						KafkaJsonNode *node);
static void parse_object(JsonState *state, JsonScope *scope,
						 KafkaJsonNode *node);
static void parse_array(JsonState *state, JsonScope *scope,
						KafkaJsonNode *node);
static void parse_element(JsonState *state);
static void parse_root(JsonState *state, JsonScope *scope,
					   KafkaJsonNode *node);
static void next_token(JsonState *state);
static void json_fail(const JsonState *state) pg_attribute_noreturn();
static KafkaJsonNode *match_key(JsonState *state, JsonScope *scope,
								KafkaJsonNode *node);
static KafkaJsonNode *find_key(KafkaJsonNode *node, const char *key,
							   int len);
static KafkaJsonNode *find_subscript(const KafkaJsonNode *node, int subscript);
static void forget(JsonState *state, JsonScope *scope, KafkaJsonNode *node);

/* next */
static bool json_next(KafkaRowMap *map, Datum *values, bool *nulls);
static Datum slice_value(KafkaRowMap *map, const JsonColumn *json,
						 const JsonSlice *slice, bool *isnull);
static Datum populate_value(KafkaRowMap *map, const JsonColumn *json,
							const JsonSlice *slice, bool *isnull);
static void missing_error(KafkaRowMap *map, KafkaColumn *column);
static char *unescape(const char *start, int len, int *result_len);

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
 * Leaves everything to begin, which parses all paths.
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

	state->message_tree = kafka_json_node_create();
	if (map->options->rows != NULL)
		add_rows(state, map->options->rows);
	state->columns = palloc_array(JsonColumn, map->npayload);
	for (int i = 0; i < map->npayload; i++)
		if (map->payload[i]->needed)
			add_column(state, map->payload[i]);
	if (map->options->rows != NULL)
		check_beside_rows(state->message_tree, map->options->rows);
	state->message.slices = palloc_array(JsonSlice, state->nslots);
	return state;
}

/*
 * Marks the array whose elements are rows.
 */
static void
add_rows(JsonState *state, const char *rows)
{
	KafkaJsonPath path;

	kafka_json_path_parse(rows, &path);
	kafka_json_node_add(state->message_tree, &path)->is_rows = true;
	state->element_tree = kafka_json_node_create();
}

/*
 * Adds a needed column.
 */
static void
add_column(JsonState *state, KafkaColumn *column)
{
	JsonColumn *json = &state->columns[state->ncolumns++];
	KafkaJsonPath path;
	KafkaJsonNode *tree;

	kafka_json_path_of_column(column, &path);
	json->column = column;
	json->kind = choose_kind(column);
	json->populate = json->kind == JSON_KIND_POPULATE ?
		make_populate(column) : NULL;
	json->in_element = state->element_tree != NULL && !path.absolute;
	tree = json->in_element ? state->element_tree : state->message_tree;
	json->slot = json->in_element ? state->nelement_slots++ : state->nslots++;
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
	if (OidIsValid(get_element_type(column->base)) ||
		column->base == RECORDOID ||
		get_typtype(column->base) == TYPTYPE_COMPOSITE)
		return JSON_KIND_POPULATE;
	return JSON_KIND_TEXT;
}

/*
 * Prepares json_populate_record() for a row of the column alone.
 */
static JsonPopulate *
make_populate(const KafkaColumn *column)
{
	JsonPopulate *populate = palloc0(sizeof(JsonPopulate));
	Datum		values[1] = {0};
	bool		nulls[1] = {true};
	List	   *args;

	populate->desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(populate->desc, 1, "value", column->type,
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
	return populate;
}

/*
 * Parses a message and notes the slices of all its rows.
 */
static void
json_start(KafkaRowMap *map, const KafkaMessage *message)
{
	JsonState  *state = map->state;
	const char *text;
	int			len;

	text = kafka_text_from_utf8(message->value, message->value_len, &len);
	kafka_compat_json_lexer(&state->lex, text, len, false);
	memset(state->message.slices, 0, state->nslots * sizeof(JsonSlice));
	state->message.serial = ++state->serial;
	state->rows = NULL;
	state->nrows = 0;
	state->allocated_rows = 0;
	state->rows_type = JSON_TOKEN_INVALID;

	next_token(state);
	parse_root(state, &state->message, state->message_tree);
	if (state->lex.token_type != JSON_TOKEN_END)
		json_fail(state);
	if (state->element_tree != NULL)
		check_rows(map, state);
}

/*
 * Raises an error where the message has no array of rows.
 */
static void
check_rows(const KafkaRowMap *map, const JsonState *state)
{
	if (state->rows_type == JSON_TOKEN_ARRAY_START)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("message has no array of rows"),
			 state->rows_type == JSON_TOKEN_INVALID ?
			 errdetail("Path \"%s\" does not exist.", map->options->rows) :
			 state->rows_type == JSON_TOKEN_NULL ?
			 errdetail("Path \"%s\" is null.", map->options->rows) :
			 errdetail("Path \"%s\" is not an array.", map->options->rows)));
}

/*
 * Parses the value that a tree is for.
 *
 * Where columns are keys of it, it must be an object or null.
 */
static void
parse_root(JsonState *state, JsonScope *scope, KafkaJsonNode *node)
{
	JsonTokenType type = state->lex.token_type;

	parse_value(state, scope, node);
	if (node->nkeys > 0 && type != JSON_TOKEN_OBJECT_START &&
		type != JSON_TOKEN_NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 scope == &state->element ?
				 errmsg("element " INT64_FORMAT " of the array of rows is not a JSON object",
						state->nrows) :
				 errmsg("message value is not a JSON object")));
}

/*
 * Parses the value at the current token; what ends at the node gets it.
 *
 * A NULL node is a part of the message that no column wants.
 */
static void
parse_value(JsonState *state, JsonScope *scope, KafkaJsonNode *node)
{
	JsonLexContext *lex = &state->lex;
	const char *start = lex->token_start;
	JsonTokenType type = lex->token_type;

	switch (type)
	{
		case JSON_TOKEN_OBJECT_START:
			parse_object(state, scope, node);
			break;
		case JSON_TOKEN_ARRAY_START:
			parse_array(state, scope, node);
			break;
		case JSON_TOKEN_STRING:
		case JSON_TOKEN_NUMBER:
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
		case JSON_TOKEN_NULL:
			next_token(state);
			break;
		default:
			json_fail(state);
	}
	if (node == NULL)
		return;
	if (node->is_rows)
		state->rows_type = type;
	for (int i = 0; i < node->nslots; i++)
	{
		JsonSlice  *slice = &scope->slices[node->slots[i]];

		slice->start = start;
		slice->len = lex->prev_token_terminator - start;
	}
}

/*
 * Parses an object.
 */
static void
parse_object(JsonState *state, JsonScope *scope, KafkaJsonNode *node)
{
	JsonLexContext *lex = &state->lex;

	check_stack_depth();
	next_token(state);
	if (lex->token_type == JSON_TOKEN_OBJECT_END)
	{
		next_token(state);
		return;
	}
	for (;;)
	{
		KafkaJsonNode *child = NULL;

		if (lex->token_type != JSON_TOKEN_STRING)
			json_fail(state);
		if (node != NULL && node->nkeys > 0)
			child = match_key(state, scope, node);
		next_token(state);
		if (lex->token_type != JSON_TOKEN_COLON)
			json_fail(state);
		next_token(state);
		parse_value(state, scope, child);
		if (lex->token_type == JSON_TOKEN_OBJECT_END)
			break;
		if (lex->token_type != JSON_TOKEN_COMMA)
			json_fail(state);
		next_token(state);
	}
	next_token(state);
}

/*
 * Parses an array.
 */
static void
parse_array(JsonState *state, JsonScope *scope, KafkaJsonNode *node)
{
	JsonLexContext *lex = &state->lex;

	check_stack_depth();
	next_token(state);
	if (lex->token_type == JSON_TOKEN_ARRAY_END)
	{
		next_token(state);
		return;
	}
	for (int i = 0;; i++)
	{
		if (node == NULL)
			parse_value(state, scope, NULL);
		else if (node->is_rows)
			parse_element(state);
		else
			parse_value(state, scope, find_subscript(node, i));
		if (lex->token_type == JSON_TOKEN_ARRAY_END)
			break;
		if (lex->token_type != JSON_TOKEN_COMMA)
			json_fail(state);
		next_token(state);
	}
	next_token(state);
}

/*
 * Parses an element that is a row.
 */
static void
parse_element(JsonState *state)
{
	const int	n = state->nelement_slots;

	CHECK_FOR_INTERRUPTS();
	if (state->rows == NULL)
	{
		state->allocated_rows = 64;
		state->rows = palloc(Max(n, 1) * 64 * sizeof(JsonSlice));
	}
	else if (state->nrows == state->allocated_rows)
	{
		state->allocated_rows *= 2;
		state->rows = repalloc_huge(state->rows, Max(n, 1) *
									state->allocated_rows *
									sizeof(JsonSlice));
	}
	state->element.slices = state->rows + n * state->nrows;
	state->element.serial = ++state->serial;
	memset(state->element.slices, 0, n * sizeof(JsonSlice));
	parse_root(state, &state->element, state->element_tree);
	state->nrows++;
}

/*
 * Moves to the next token.
 */
static void
next_token(JsonState *state)
{
	if (json_lex(&state->lex) != JSON_SUCCESS)
		json_fail(state);
}

/*
 * Raises the in-core parser's error for the message.
 */
static void
json_fail(const JsonState *state)
{
	JsonLexContext lex;
	JsonParseErrorType error;

	kafka_compat_json_lexer(&lex, state->lex.input, state->lex.input_length,
							false);
	error = pg_parse_json(&lex, &nullSemAction);
	if (error != JSON_SUCCESS)
		kafka_compat_json_error(error, &lex);
	elog(ERROR, "JSON parsers do not agree");
}

/*
 * Returns the child for the key that is the current token, or NULL.
 *
 * What an earlier key of the same name has given is forgotten.
 */
static KafkaJsonNode *
match_key(JsonState *state, JsonScope *scope, KafkaJsonNode *node)
{
	const char *key = state->lex.token_start + 1;
	int			len = state->lex.token_terminator - key - 1;
	KafkaJsonNode *child;

	if (memchr(key, '\\', len) != NULL)
		key = unescape(key - 1, len + 2, &len);
	child = find_key(node, key, len);
	if (child != NULL)
	{
		if (child->seen == scope->serial)
			forget(state, scope, child);
		child->seen = scope->serial;
	}
	return child;
}

/*
 * Finds a child by its key.
 *
 * Messages mostly have their keys in the same order, so the search begins
 * behind the child that was found last.
 */
static KafkaJsonNode *
find_key(KafkaJsonNode *node, const char *key, int len)
{
	for (int i = 0; i < node->nkeys; i++)
	{
		KafkaJsonNode *child = node->keys[node->expected];

		if (++node->expected == node->nkeys)
			node->expected = 0;
		if (child->step.key_len == len &&
			memcmp(child->step.key, key, len) == 0)
			return child;
	}
	return NULL;
}

/*
 * Finds a child by its subscript.
 */
static KafkaJsonNode *
find_subscript(const KafkaJsonNode *node, int subscript)
{
	for (int i = 0; i < node->nsubscripts; i++)
		if (node->subscripts[i]->step.subscript == subscript)
			return node->subscripts[i];
	return NULL;
}

/*
 * Forgets all values at a node and below it.
 */
static void
forget(JsonState *state, JsonScope *scope, KafkaJsonNode *node)
{
	for (int i = 0; i < node->nslots; i++)
		scope->slices[node->slots[i]].start = NULL;
	if (node->is_rows)
	{
		state->rows_type = JSON_TOKEN_INVALID;
		state->nrows = 0;
	}
	node->seen = 0;
	for (int i = 0; i < node->nkeys; i++)
		forget(state, scope, node->keys[i]);
	for (int i = 0; i < node->nsubscripts; i++)
		forget(state, scope, node->subscripts[i]);
}

/*
 * Converts the slices of the next row.
 */
static bool
json_next(KafkaRowMap *map, Datum *values, bool *nulls)
{
	JsonState  *state = map->state;
	JsonSlice  *element = NULL;

	if (map->row >= (state->element_tree == NULL ? 1 : state->nrows))
		return false;
	if (state->element_tree != NULL)
		element = state->rows + (int64) state->nelement_slots * map->row;

	for (int i = 0; i < state->ncolumns; i++)
	{
		JsonColumn *json = &state->columns[i];
		JsonSlice  *slice;

		slice = json->in_element ? &element[json->slot] :
			&state->message.slices[json->slot];
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
					   column->name)));
}

/*
 * Converts a value other than null.
 */
static Datum
slice_value(KafkaRowMap *map, const JsonColumn *json, const JsonSlice *slice,
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
			start = unescape(start, len, &len);
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
			   const JsonSlice *slice, bool *isnull)
{
	JsonPopulate *populate = json->populate;
	StringInfoData row;
	HeapTupleData tuple;
	Datum		value;

	map->column = json->column;
	initStringInfo(&row);
	appendStringInfoSpaces(&row, VARHDRSZ);
	appendStringInfoString(&row, "{\"value\":");
	appendBinaryStringInfo(&row, slice->start, slice->len);
	appendStringInfoChar(&row, '}');
	SET_VARSIZE(row.data, row.len);
	value = FunctionCall2(&populate->function, populate->base,
						  PointerGetDatum(row.data));

	tuple.t_data = DatumGetHeapTupleHeader(value);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	value = heap_getattr(&tuple, 1, populate->desc, isnull);
	map->column = NULL;
	return value;
}

/*
 * Returns the content of a string, which is given with its quotes, by the
 * in-core lexer; palloc'd.
 */
static char *
unescape(const char *start, int len, int *result_len)
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
