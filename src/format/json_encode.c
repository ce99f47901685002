/*-------------------------------------------------------------------------
 *
 * json_encode.c
 *	  Rows to JSON objects.
 *
 * NOTES
 *	  The tree of the columns' paths is written in the order of the columns,
 *	  with all keys, so that NULL is null.  Values are written such that the
 *	  decoder reads the same value back:
 *
 *	  booleans and finite numbers bare, json and jsonb as they are, columns
 *	  with the option epoch as numbers of their unit, dates and timestamps,
 *	  arrays and composites as to_json() has them, unless they would not be
 *	  read back (json_exact.c), and everything else as its text in quotes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "format/json.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

/* How a column's value is written. */
typedef enum KafkaJsonOutput
{
	JSON_OUTPUT_TEXT,			/* in quotes */
	JSON_OUTPUT_NUMBER,			/* bare where JSON knows it */
	JSON_OUTPUT_JSON,			/* as it is */
	JSON_OUTPUT_TO_JSON,		/* by to_json() */
	JSON_OUTPUT_EXACT			/* the same, unless that is read back as
								 * something else: then in quotes */
} KafkaJsonOutput;

struct KafkaJsonEncoder
{
	KafkaJsonNode *tree;		/* slots are numbers of payload columns */
	KafkaJsonOutput *outputs;	/* of each payload column */
	FmgrInfo   *to_json;		/* of those that use it */
};

static void insert_path(KafkaJsonEncoder *encoder, KafkaRowMap *map,
						int column);
static void check_node(const KafkaJsonNode *node, const KafkaRowMap *map);
static void label_node(KafkaJsonNode *node);
pg_noreturn static void refuse(const KafkaRowMap *map,
							   const KafkaColumn *column, const char *reason);
static const KafkaColumn *any_column(const KafkaJsonNode *node,
									 const KafkaRowMap *map);
static KafkaJsonOutput choose_output(const KafkaColumn *column);
static void lookup_to_json(FmgrInfo *function, const KafkaColumn *column);
static void write_node(KafkaJsonEncoder *encoder, const KafkaJsonNode *node,
					   KafkaRowMap *map, const Datum *values,
					   const bool *nulls, StringInfo out);
static void write_value(KafkaJsonEncoder *encoder, KafkaRowMap *map, int i,
						Datum value, StringInfo out);

/*
 * Makes an encoder in the current memory context.
 *
 * Raises an error where the paths of the columns are not those of one object.
 */
KafkaJsonEncoder *
kafka_json_encoder_create(KafkaRowMap *map)
{
	KafkaJsonEncoder *encoder = palloc0(sizeof(KafkaJsonEncoder));

	encoder->tree = kafka_json_node_create();
	encoder->outputs = palloc_array(KafkaJsonOutput, map->npayload);
	encoder->to_json = palloc_array(FmgrInfo, map->npayload);
	for (int i = 0; i < map->npayload; i++)
	{
		insert_path(encoder, map, i);
		encoder->outputs[i] = choose_output(map->payload[i]);
		if (encoder->outputs[i] >= JSON_OUTPUT_TO_JSON)
			lookup_to_json(&encoder->to_json[i], map->payload[i]);
	}
	check_node(encoder->tree, map);
	label_node(encoder->tree);
	return encoder;
}

/*
 * Adds a payload column to the tree.
 */
static void
insert_path(KafkaJsonEncoder *encoder, KafkaRowMap *map, int column)
{
	KafkaJsonPath path;

	kafka_json_path_of_column(map->payload[column], &path);
	for (int i = 0; i < path.nsteps; i++)
		if (path.steps[i].key == NULL)
			refuse(map, map->payload[column],
				   "Its path has a subscript, and the rest of that array is not known.");
	kafka_json_node_add_slot(kafka_json_node_add(encoder->tree, &path),
							 column);
}

/*
 * Checks that each node is either one column or an object.
 */
static void
check_node(const KafkaJsonNode *node, const KafkaRowMap *map)
{
	if (node->nslots > 1)
		refuse(map, map->payload[node->slots[1]],
			   "Another column has the same path.");
	if (node->nslots == 1 && node->nkeys > 0)
		refuse(map, any_column(node->keys[0], map),
			   "Its path leads into the value of another column.");
	for (int i = 0; i < node->nkeys; i++)
		check_node(node->keys[i], map);
}

/*
 * Raises the error for a column that cannot be written.
 */
static void
refuse(const KafkaRowMap *map, const KafkaColumn *column, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot write column \"%s\" of foreign table \"%s\"",
					column->name, map->relname),
			 errdetail_internal("%s", reason)));
}

/*
 * Escapes the keys once for all rows.
 */
static void
label_node(KafkaJsonNode *node)
{
	for (int i = 0; i < node->nkeys; i++)
	{
		StringInfoData label;

		initStringInfo(&label);
		escape_json(&label, node->keys[i]->step.key);
		appendStringInfoChar(&label, ':');
		node->keys[i]->label = label.data;
		label_node(node->keys[i]);
	}
}

/*
 * Returns a column at or below a node.
 */
static const KafkaColumn *
any_column(const KafkaJsonNode *node, const KafkaRowMap *map)
{
	while (node->nslots == 0)
		node = node->keys[0];
	return map->payload[node->slots[0]];
}

/*
 * Chooses how a column's values are written.
 */
static KafkaJsonOutput
choose_output(const KafkaColumn *column)
{
	if (column->options->epoch != KAFKA_EPOCH_NONE)
		return JSON_OUTPUT_NUMBER;
	switch (column->base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return JSON_OUTPUT_NUMBER;
		case JSONOID:
		case JSONBOID:
			return JSON_OUTPUT_JSON;
		case BOOLOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case RECORDOID:
			return JSON_OUTPUT_TO_JSON;
		default:
			if (OidIsValid(kafka_json_element_type(column->base)) ||
				get_typtype(column->base) == TYPTYPE_COMPOSITE)
				return JSON_OUTPUT_EXACT;
			return JSON_OUTPUT_TEXT;
	}
}

/*
 * Prepares to_json() for the column's type.
 */
static void
lookup_to_json(FmgrInfo *function, const KafkaColumn *column)
{
	List	   *args = list_make1(makeNullConst(column->type, column->typmod,
												InvalidOid));

	fmgr_info(F_TO_JSON, function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSON, JSONOID, args,
											 InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL),
					   function);
}

/*
 * Appends the payload columns of a row.
 */
void
kafka_json_encode(KafkaJsonEncoder *encoder, KafkaRowMap *map,
				  const Datum *values, const bool *nulls, StringInfo out)
{
	write_node(encoder, encoder->tree, map, values, nulls, out);
	kafka_text_encode(out, map->encoding);
}

/*
 * Writes a node: a column's value, or an object of its children.
 */
static void
write_node(KafkaJsonEncoder *encoder, const KafkaJsonNode *node,
		   KafkaRowMap *map, const Datum *values, const bool *nulls,
		   StringInfo out)
{
	if (node->nslots > 0)
	{
		int			column = node->slots[0];
		int			index = map->payload[column]->index;

		if (nulls[index])
			appendStringInfoString(out, "null");
		else
			write_value(encoder, map, column, values[index], out);
		return;
	}
	appendStringInfoChar(out, '{');
	for (int i = 0; i < node->nkeys; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		appendStringInfoString(out, node->keys[i]->label);
		write_node(encoder, node->keys[i], map, values, nulls, out);
	}
	appendStringInfoChar(out, '}');
}

/*
 * Writes a value other than NULL.
 */
static void
write_value(KafkaJsonEncoder *encoder, KafkaRowMap *map, int i, Datum value,
			StringInfo out)
{
	KafkaColumn *column = map->payload[i];
	KafkaJsonOutput output = encoder->outputs[i];
	char	   *str;

	if (kafka_column_append_integer(column, value, out))
		return;
	if (output == JSON_OUTPUT_TO_JSON ||
		(output == JSON_OUTPUT_EXACT &&
		 kafka_json_is_exact(column->base, value)))
	{
		text	   *json = DatumGetTextPP(FunctionCall1(&encoder->to_json[i],
														value));

		appendBinaryStringInfo(out, VARDATA_ANY(json),
							   VARSIZE_ANY_EXHDR(json));
		return;
	}
	str = kafka_column_to_text(column, value);
	if (output == JSON_OUTPUT_JSON ||
		(output == JSON_OUTPUT_NUMBER && IsValidJsonNumber(str, strlen(str))))
		appendStringInfoString(out, str);
	else
		escape_json(out, str);
}
