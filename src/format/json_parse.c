/*-------------------------------------------------------------------------
 *
 * json_parse.c
 *	  Finds the values of columns in a JSON text.
 *
 * NOTES
 *	  The text is read once, from its first byte to its last, and each value
 *	  that a column wants is noted as a slice of it: nothing is built, and
 *	  nothing is copied.  What no column wants is only checked.
 *
 *	  The syntax is that of the type json, byte for byte.  Whatever does not
 *	  fit it is given to the in-core parser, so that the error is PostgreSQL's
 *	  own.  Escapes are left to the in-core lexer, too.
 *
 *	  The text is valid in the server's encoding and has no NUL byte: peek()
 *	  returns NUL at its end and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "format/json.h"
#include "miscadmin.h"
#include "utils/memutils.h"

static void parse_root(KafkaJsonParser *parser, KafkaJsonScope *scope,
					   KafkaJsonNode *node);
static void parse_value(KafkaJsonParser *parser, KafkaJsonScope *scope,
						KafkaJsonNode *node);
static void parse_object(KafkaJsonParser *parser, KafkaJsonScope *scope,
						 KafkaJsonNode *node);
static void parse_array(KafkaJsonParser *parser, KafkaJsonScope *scope,
						KafkaJsonNode *node);
static void parse_element(KafkaJsonParser *parser);
static void add_row(KafkaJsonParser *parser);
static KafkaJsonNode *match_key(KafkaJsonScope *scope, KafkaJsonNode *node,
								KafkaJsonParser *parser, const char *key,
								int len, bool escaped);
static KafkaJsonNode *find_key(KafkaJsonNode *node, const char *key, int len);
static KafkaJsonNode *find_subscript(const KafkaJsonNode *node, int subscript);
static void forget(KafkaJsonParser *parser, KafkaJsonScope *scope,
				   KafkaJsonNode *node);
static bool parse_string(KafkaJsonParser *parser);
static void parse_escape(KafkaJsonParser *parser);
static void parse_number(KafkaJsonParser *parser);
static void parse_digits(KafkaJsonParser *parser);
static void parse_word(KafkaJsonParser *parser, const char *word, int len);
static void end_word(KafkaJsonParser *parser);
pg_noreturn static void json_fail(const KafkaJsonParser *parser);

/*
 * Returns the byte at the parser, or NUL at the end.
 */
static inline char
peek(const KafkaJsonParser *parser)
{
	return parser->next < parser->end ? *parser->next : '\0';
}

/*
 * Steps over white space.
 */
static inline void
skip_space(KafkaJsonParser *parser)
{
	const char *p = parser->next;

	while (p < parser->end &&
		   (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	parser->next = p;
}

/*
 * Tells whether eight bytes of a string are all plain: no quote, backslash or
 * control character.
 */
static inline bool
are_plain(const char *p)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 high = UINT64CONST(0x8080808080808080);
	uint64		bytes;
	uint64		quotes;
	uint64		backslashes;

	memcpy(&bytes, p, sizeof(bytes));
	quotes = bytes ^ (ones * '"');
	backslashes = bytes ^ (ones * '\\');
	return ((((bytes - ones * ' ') & ~bytes) |
			 ((quotes - ones) & ~quotes) |
			 ((backslashes - ones) & ~backslashes)) & high) == 0;
}

/*
 * Parses a text and notes the slices of the message and of all its rows.
 *
 * The slices of rows are palloc'd in the current memory context.
 */
void
kafka_json_parse(KafkaJsonParser *parser, const char *input, int len)
{
	parser->input = input;
	parser->end = input + len;
	parser->next = input;
	memset(parser->message.slices, 0,
		   parser->nslots * sizeof(KafkaJsonSlice));
	parser->message.serial = ++parser->serial;
	parser->rows = NULL;
	parser->nrows = 0;
	parser->allocated_rows = 0;
	parser->rows_start = '\0';

	parse_root(parser, &parser->message, parser->message_tree);
	skip_space(parser);
	if (parser->next < parser->end)
		json_fail(parser);
}

/*
 * Parses the value that a tree is for.
 *
 * Where columns are keys of it, it must be an object or null.
 */
static void
parse_root(KafkaJsonParser *parser, KafkaJsonScope *scope,
		   KafkaJsonNode *node)
{
	char		start;

	skip_space(parser);
	start = peek(parser);
	parse_value(parser, scope, node);
	if (node->nkeys == 0 || start == '{' || start == 'n')
		return;
	if (scope == &parser->element)
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
 * Parses a value; what ends at the node gets it.
 *
 * A NULL node is a part of the text that no column wants.
 */
static void
parse_value(KafkaJsonParser *parser, KafkaJsonScope *scope,
			KafkaJsonNode *node)
{
	const char *start;
	bool		escaped = false;

	skip_space(parser);
	start = parser->next;
	switch (peek(parser))
	{
		case '{':
			parse_object(parser, scope, node);
			break;
		case '[':
			parse_array(parser, scope, node);
			break;
		case '"':
			escaped = parse_string(parser);
			break;
		case 't':
			parse_word(parser, "true", 4);
			break;
		case 'f':
			parse_word(parser, "false", 5);
			break;
		case 'n':
			parse_word(parser, "null", 4);
			break;
		default:
			parse_number(parser);
	}
	if (node == NULL)
		return;
	if (node->is_rows)
		parser->rows_start = *start;
	for (int i = 0; i < node->nslots; i++)
	{
		KafkaJsonSlice *slice = &scope->slices[node->slots[i]];

		slice->start = start;
		slice->len = parser->next - start;
		slice->escaped = escaped;
	}
}

/*
 * Parses an object.
 */
static void
parse_object(KafkaJsonParser *parser, KafkaJsonScope *scope,
			 KafkaJsonNode *node)
{
	check_stack_depth();
	parser->next++;
	skip_space(parser);
	if (peek(parser) == '}')
	{
		parser->next++;
		return;
	}
	for (;;)
	{
		KafkaJsonNode *child = NULL;
		const char *key = parser->next;
		bool		escaped;

		if (peek(parser) != '"')
			json_fail(parser);
		escaped = parse_string(parser);
		if (node != NULL && node->nkeys > 0)
			child = match_key(scope, node, parser, key, parser->next - key,
							  escaped);
		skip_space(parser);
		if (peek(parser) != ':')
			json_fail(parser);
		parser->next++;
		parse_value(parser, scope, child);
		skip_space(parser);
		if (peek(parser) != ',')
			break;
		parser->next++;
		skip_space(parser);
	}
	if (peek(parser) != '}')
		json_fail(parser);
	parser->next++;
}

/*
 * Parses an array.
 */
static void
parse_array(KafkaJsonParser *parser, KafkaJsonScope *scope,
			KafkaJsonNode *node)
{
	check_stack_depth();
	parser->next++;
	skip_space(parser);
	if (peek(parser) == ']')
	{
		parser->next++;
		return;
	}
	for (int i = 0;; i++)
	{
		if (node == NULL)
			parse_value(parser, scope, NULL);
		else if (node->is_rows)
			parse_element(parser);
		else
			parse_value(parser, scope, find_subscript(node, i));
		skip_space(parser);
		if (peek(parser) != ',')
			break;
		parser->next++;
	}
	if (peek(parser) != ']')
		json_fail(parser);
	parser->next++;
}

/*
 * Parses an element that is a row.
 */
static void
parse_element(KafkaJsonParser *parser)
{
	CHECK_FOR_INTERRUPTS();
	add_row(parser);
	parse_root(parser, &parser->element, parser->element_tree);
	parser->nrows++;
}

/*
 * Makes room for the slices of another row.
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
	parser->element.slices = parser->rows +
		parser->nrows * parser->nelement_slots;
	parser->element.serial = ++parser->serial;
	if (row > 0)
		memset(parser->element.slices, 0, row);
}

/*
 * Returns the child for a key, which is given with its quotes, or NULL.
 *
 * What an earlier key of the same name has given is forgotten.
 */
static KafkaJsonNode *
match_key(KafkaJsonScope *scope, KafkaJsonNode *node,
		  KafkaJsonParser *parser, const char *key, int len, bool escaped)
{
	KafkaJsonNode *child;

	if (escaped)
		key = kafka_json_unescape(key, len, &len);
	else
	{
		key++;
		len -= 2;
	}
	child = find_key(node, key, len);
	if (child != NULL)
	{
		if (child->seen == scope->serial)
			forget(parser, scope, child);
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
forget(KafkaJsonParser *parser, KafkaJsonScope *scope, KafkaJsonNode *node)
{
	for (int i = 0; i < node->nslots; i++)
		scope->slices[node->slots[i]].start = NULL;
	if (node->is_rows)
	{
		parser->rows_start = '\0';
		parser->nrows = 0;
	}
	node->seen = 0;
	for (int i = 0; i < node->nkeys; i++)
		forget(parser, scope, node->keys[i]);
	for (int i = 0; i < node->nsubscripts; i++)
		forget(parser, scope, node->subscripts[i]);
}

/*
 * Parses a string and tells whether it has escapes.
 */
static bool
parse_string(KafkaJsonParser *parser)
{
	const char *p = parser->next + 1;
	bool		escaped = false;

	for (;;)
	{
		while (parser->end - p >= 8 && are_plain(p))
			p += 8;
		while (p < parser->end && *p != '"' && *p != '\\' &&
			   (unsigned char) *p >= ' ')
			p++;
		parser->next = p;
		if (peek(parser) == '"')
			break;
		if (peek(parser) != '\\')
			json_fail(parser);
		parse_escape(parser);
		p = parser->next;
		escaped = true;
	}
	parser->next = p + 1;
	return escaped;
}

/*
 * Parses a backslash and what belongs to it.
 */
static void
parse_escape(KafkaJsonParser *parser)
{
	parser->next++;
	switch (peek(parser))
	{
		case '"':
		case '\\':
		case '/':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			break;
		case 'u':
			for (int i = 0; i < 4; i++)
			{
				parser->next++;
				if (!isxdigit((unsigned char) peek(parser)))
					json_fail(parser);
			}
			break;
		default:
			json_fail(parser);
	}
	parser->next++;
}

/*
 * Parses a number.
 */
static void
parse_number(KafkaJsonParser *parser)
{
	if (peek(parser) == '-')
		parser->next++;
	if (peek(parser) == '0')
		parser->next++;
	else
		parse_digits(parser);
	if (peek(parser) == '.')
	{
		parser->next++;
		parse_digits(parser);
	}
	if (peek(parser) == 'e' || peek(parser) == 'E')
	{
		parser->next++;
		if (peek(parser) == '+' || peek(parser) == '-')
			parser->next++;
		parse_digits(parser);
	}
	end_word(parser);
}

/*
 * Parses one or more digits.
 */
static void
parse_digits(KafkaJsonParser *parser)
{
	const char *p = parser->next;

	while (p < parser->end && *p >= '0' && *p <= '9')
		p++;
	if (p == parser->next)
		json_fail(parser);
	parser->next = p;
}

/*
 * Parses true, false or null.
 */
static void
parse_word(KafkaJsonParser *parser, const char *word, int len)
{
	if (parser->end - parser->next < len ||
		memcmp(parser->next, word, len) != 0)
		json_fail(parser);
	parser->next += len;
	end_word(parser);
}

/*
 * Raises an error where a number or word goes on.
 */
static void
end_word(KafkaJsonParser *parser)
{
	char		c = peek(parser);

	if (isalnum((unsigned char) c) || c == '_' || IS_HIGHBIT_SET(c))
		json_fail(parser);
}

/*
 * Raises the in-core parser's error for the text.
 */
static void
json_fail(const KafkaJsonParser *parser)
{
	JsonLexContext lex;
	JsonParseErrorType error;

	kafka_compat_json_lexer(&lex, parser->input,
							parser->end - parser->input, false);
	error = pg_parse_json(&lex, &nullSemAction);
	if (error != JSON_SUCCESS)
		kafka_compat_json_error(error, &lex);
	elog(ERROR, "JSON parsers do not agree");
}

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
