/*-------------------------------------------------------------------------
 *
 * json_parse.c
 *	  Finds the values of columns in a JSON text.
 *
 * NOTES
 *	  The in-core parser reads the text once, and each value that a column
 *	  wants is noted as a slice of it: nothing is built, and nothing is
 *	  copied.  What is accepted, and the error for what is not, are those of
 *	  the type json.  Escapes in values are looked at only where a column wants
 *	  them.
 *
 *	  The parser tells where a key's value or an array's element begins and
 *	  ends.  If it is in the tree, its node is entered and left then.  Parts
 *	  of a value that is not in the tree are at a level deeper than the
 *	  entered node's parts, and passed by for that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "format/json.h"
#include "miscadmin.h"
#include "utils/memutils.h"

static KafkaJsonActionResult field_start(void *state, char *name,
										 bool isnull);
static KafkaJsonActionResult field_end(void *state, char *name, bool isnull);
static KafkaJsonActionResult element_start(void *state, bool isnull);
static KafkaJsonActionResult element_end(void *state, bool isnull);
static void enter(KafkaJsonParser *parser, KafkaJsonNode *node,
				  const char *start);
static void leave(KafkaJsonParser *parser, const char *end);
static void check_root(const KafkaJsonParser *parser,
					   const KafkaJsonNode *root);
static void forget(KafkaJsonParser *parser, KafkaJsonNode *node);
static void forget_child(KafkaJsonParser *parser, KafkaJsonNode *node);
static void add_row(KafkaJsonParser *parser);
static KafkaJsonNode *match_key(KafkaJsonParser *parser);
static KafkaJsonNode *find_key(KafkaJsonNode *node, const char *key, int len);
static KafkaJsonNode *find_subscript(const KafkaJsonNode *node, int subscript);

/*
 * Parses a text and notes the slices of the message and of all its rows.
 *
 * The slices of rows are palloc'd in the current memory context.
 */
void
kafka_json_parse(KafkaJsonParser *parser, const char *input, int len)
{
	const char *start = input;
	const char *end = input + len;
	JsonSemAction actions = {.semstate = parser};
	JsonParseErrorType error;

	if (parser->shapes != NULL &&
		kafka_json_shapes_match(parser->shapes, input, len, parser->slices))
		return;
	while (start < end && isspace((unsigned char) *start))
		start++;
	while (start < end && isspace((unsigned char) end[-1]))
		end--;
	kafka_compat_json_lexer(&parser->lex, input, len, false);
	memset(parser->slices, 0, parser->nslots * sizeof(KafkaJsonSlice));
	parser->rows = NULL;
	parser->nrows = 0;
	parser->allocated_rows = 0;
	parser->rows_start = '\0';
	parser->scope = parser->slices;
	enter(parser, parser->message_tree, start);
	if (parser->nslots > 0 || parser->element_tree != NULL)
	{
		actions.object_field_start = field_start;
		actions.object_field_end = field_end;
		actions.array_element_start = element_start;
		actions.array_element_end = element_end;
	}
	error = pg_parse_json(&parser->lex, &actions);
	if (error == JSON_EXPECTED_END)
		check_root(parser, parser->message_tree);	/* says more */
	if (error != JSON_SUCCESS)
		kafka_compat_json_error(error, &parser->lex);
	leave(parser, end);
	if (parser->shapes != NULL)
		kafka_json_shapes_learn(parser->shapes, input, len, parser->slices);
}

/*
 * Enters the value of a key, if it is in the tree.
 *
 * What an earlier key of the same name has given is forgotten.
 */
static KafkaJsonActionResult
field_start(void *state, char *name, bool isnull)
{
	KafkaJsonParser *parser = state;

	if (parser->lex.lex_level == parser->level && parser->node->nkeys > 0)
	{
		KafkaJsonNode *child = match_key(parser);

		if (child != NULL)
		{
			forget(parser, child);
			enter(parser, child, parser->lex.token_start);
		}
	}
	return KAFKA_JSON_ACTION_DONE;
}

/*
 * Leaves the value of a key, if it was entered.
 */
static KafkaJsonActionResult
field_end(void *state, char *name, bool isnull)
{
	KafkaJsonParser *parser = state;

	if (parser->lex.lex_level < parser->level)
		leave(parser, parser->lex.prev_token_terminator);
	return KAFKA_JSON_ACTION_DONE;
}

/*
 * Enters an element of an array, if it is in the tree or a row.
 */
static KafkaJsonActionResult
element_start(void *state, bool isnull)
{
	KafkaJsonParser *parser = state;
	KafkaJsonNode *child;

	if (parser->lex.lex_level != parser->level)
		return KAFKA_JSON_ACTION_DONE;
	if (parser->node->is_rows)
	{
		CHECK_FOR_INTERRUPTS();
		add_row(parser);
		child = parser->element_tree;
	}
	else
		child = find_subscript(parser->node, parser->node->nelements++);
	if (child != NULL)
		enter(parser, child, parser->lex.token_start);
	return KAFKA_JSON_ACTION_DONE;
}

/*
 * Leaves an element of an array, if it was entered.
 */
static KafkaJsonActionResult
element_end(void *state, bool isnull)
{
	KafkaJsonParser *parser = state;

	if (parser->lex.lex_level < parser->level)
		leave(parser, parser->lex.prev_token_terminator);
	return KAFKA_JSON_ACTION_DONE;
}

/*
 * Enters a node, whose value begins at start.
 */
static void
enter(KafkaJsonParser *parser, KafkaJsonNode *node, const char *start)
{
	node->start = start;
	node->nelements = 0;
	parser->node = node;
	parser->level = parser->lex.lex_level + 1;
}

/*
 * Leaves the entered node, whose value ends before end; what ends at the node
 * gets the value.
 */
static void
leave(KafkaJsonParser *parser, const char *end)
{
	KafkaJsonNode *node = parser->node;

	for (int i = 0; i < node->nslots; i++)
	{
		KafkaJsonSlice *slice = &parser->scope[node->slots[i]];

		slice->start = node->start;
		slice->len = end - node->start;
	}
	if (node->is_rows)
		parser->rows_start = *node->start;
	if (node == parser->message_tree || node == parser->element_tree)
		check_root(parser, node);
	if (node == parser->element_tree)
	{
		parser->nrows++;
		parser->scope = parser->slices;
	}
	parser->node = node->parent;
	parser->level = parser->lex.lex_level;
}

/*
 * Checks the value that a tree is for.
 *
 * Where columns are keys of it, it must be an object or null.
 */
static void
check_root(const KafkaJsonParser *parser, const KafkaJsonNode *root)
{
	if (root->nkeys == 0 || *root->start == '{' || *root->start == 'n')
		return;
	if (root == parser->element_tree)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("element %lld of the array of rows is not a JSON object",
						(long long) parser->nrows)));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("message value is not a JSON object")));
}

/*
 * Forgets all values below a node.
 *
 * Those at the node itself are replaced when it is left.
 */
static void
forget(KafkaJsonParser *parser, KafkaJsonNode *node)
{
	if (node->is_rows)
		parser->nrows = 0;
	for (int i = 0; i < node->nkeys; i++)
		forget_child(parser, node->keys[i]);
	for (int i = 0; i < node->nsubscripts; i++)
		forget_child(parser, node->subscripts[i]);
}

/*
 * Forgets all values at a node and below it.
 */
static void
forget_child(KafkaJsonParser *parser, KafkaJsonNode *node)
{
	for (int i = 0; i < node->nslots; i++)
		parser->scope[node->slots[i]].start = NULL;
	if (node->is_rows)
		parser->rows_start = '\0';
	forget(parser, node);
}

/*
 * Makes room for the slices of another row, which become the scope.
 */
static void
add_row(KafkaJsonParser *parser)
{
	const size_t row = parser->nelement_slots * sizeof(KafkaJsonSlice);

	if (row > 0 && parser->rows == NULL)
	{
		parser->allocated_rows = 64;
		parser->rows = palloc(row * parser->allocated_rows);
	}
	else if (row > 0 && parser->nrows == parser->allocated_rows)
	{
		parser->allocated_rows *= 2;
		parser->rows = repalloc_huge(parser->rows,
									 row * parser->allocated_rows);
	}
	parser->scope = parser->rows + parser->nrows * parser->nelement_slots;
	if (row > 0)
		memset(parser->scope, 0, row);
}

/*
 * Returns the node of the key whose value begins, or NULL.
 *
 * The lexer is behind the colon, and the key stands before it.  A quote in
 * the key has a backslash before it; the one that opens the key has not.
 */
static KafkaJsonNode *
match_key(KafkaJsonParser *parser)
{
	const char *end = parser->lex.prev_token_terminator - 2;
	const char *start;
	int			len;
	bool		escaped = false;

	while (*end != '"')
		end--;
	for (start = end - 1; *start != '"' || start[-1] == '\\'; start--)
		escaped |= *start == '\\';

	start++;
	len = end - start;
	if (escaped)
	{
		if (!kafka_json_unescape_key(&parser->key, start, len))
			return NULL;
		start = parser->key.data;
		len = parser->key.len;
	}
	return find_key(parser->node, start, len);
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
