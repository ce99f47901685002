/*-------------------------------------------------------------------------
 *
 * json_path.c
 *	  Paths into JSON, and the tree of them.
 *
 * NOTES
 *	  A path is keys with points between them and subscripts in brackets:
 *	  a.b[0].c.  A key that holds one of . [ ] " stands in double quotes, where
 *	  a backslash takes the next character as it is.  $ is the message itself:
 *	  $.a.b begins there even where paths are relative to the element of an
 *	  array.  @, or an empty path, is the place where paths begin.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "format/json.h"
#include "mb/pg_wchar.h"

/* digits of a subscript that surely fit an int */
#define MAX_SUBSCRIPT_DIGITS 9

static const char *parse_subscript(const char *str, const char *p,
								   KafkaJsonStep *step);
static const char *parse_key(const char *str, const char *p,
							 KafkaJsonStep *step);
static const char *parse_quoted_key(const char *str, const char *p,
									KafkaJsonStep *step);
pg_noreturn static void path_error(const char *str, const char *p,
								   const char *reason);
static KafkaJsonNode *find_or_add(KafkaJsonNode *parent,
								  const KafkaJsonStep *step);
static bool same_step(const KafkaJsonStep *a, const KafkaJsonStep *b);

/*
 * Parses a path; its steps are palloc'd.
 */
void
kafka_json_path_parse(const char *str, KafkaJsonPath *path)
{
	const char *p = str;
	bool		anchored = false;

	if (p[0] == '$' || p[0] == '@')
		anchored = p[1] == '\0' || p[1] == '.' || p[1] == '[';
	path->absolute = anchored && *p == '$';
	path->steps = palloc0((strlen(str) + 1) * sizeof(KafkaJsonStep));
	path->nsteps = 0;
	if (anchored)
		p++;
	while (*p != '\0')
	{
		KafkaJsonStep *step = &path->steps[path->nsteps++];

		if (*p == '[')
			p = parse_subscript(str, p + 1, step);
		else
		{
			if (p > str && *p++ != '.')
				path_error(str, p - 1, "a point or a bracket is expected");
			p = *p == '"' ? parse_quoted_key(str, p, step) :
				parse_key(str, p, step);
		}
	}
}

/*
 * Parses a subscript up to its closing bracket, and returns where that ends.
 */
static const char *
parse_subscript(const char *str, const char *p, KafkaJsonStep *step)
{
	const char *digits = p;

	for (; *p >= '0' && *p <= '9'; p++)
	{
		if (p - digits == MAX_SUBSCRIPT_DIGITS)
			path_error(str, digits, "the subscript is too large");
		step->subscript = step->subscript * 10 + (*p - '0');
	}
	if (p == digits)
		path_error(str, p, "a subscript of digits is expected");
	if (*p != ']')
		path_error(str, p, "a closing bracket is expected");
	return p + 1;
}

/*
 * Parses a key without quotes.
 */
static const char *
parse_key(const char *str, const char *p, KafkaJsonStep *step)
{
	size_t		len = strcspn(p, ".[]\"");

	if (len == 0)
		path_error(str, p, "a key is expected");
	step->key = pnstrdup(p, len);
	step->key_len = len;
	p += len;
	if (*p == ']' || *p == '"')
		path_error(str, p, "the key needs double quotes");
	return p;
}

/*
 * Parses a key in double quotes.
 */
static const char *
parse_quoted_key(const char *str, const char *p, KafkaJsonStep *step)
{
	const char *quote = p++;
	StringInfoData key;

	initStringInfo(&key);
	for (; *p != '"'; p++)
	{
		if (*p == '\\')
			p++;
		if (*p == '\0')
			path_error(str, quote, "the quoted key has no end");
		appendStringInfoChar(&key, *p);
	}
	step->key = key.data;
	step->key_len = key.len;
	return p + 1;
}

/*
 * Raises the error that a path is malformed at p.
 */
static void
path_error(const char *str, const char *p, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_STRING_FORMAT),
			 errmsg("invalid JSON path \"%s\"", str),
			 errdetail("At character %d: %s.",
					   pg_mbstrlen_with_len(str, p - str) + 1, reason)));
}

/*
 * Returns the path of a column: its option, or a single key.
 */
void
kafka_json_path_of_column(const KafkaColumn *column, KafkaJsonPath *path)
{
	if (column->options->path != NULL)
	{
		kafka_json_path_parse(column->options->path, path);
		return;
	}
	path->absolute = false;
	path->nsteps = 1;
	path->steps = palloc0(sizeof(KafkaJsonStep));
	path->steps->key = pstrdup(column->options->key != NULL ?
							   column->options->key : column->name);
	path->steps->key_len = strlen(path->steps->key);
}

/*
 * Makes the root of a tree in the current memory context.
 */
KafkaJsonNode *
kafka_json_node_create(void)
{
	return palloc0(sizeof(KafkaJsonNode));
}

/*
 * Returns the node at the end of a path, which is made where it is missing.
 */
KafkaJsonNode *
kafka_json_node_add(KafkaJsonNode *root, const KafkaJsonPath *path)
{
	KafkaJsonNode *node = root;

	for (int i = 0; i < path->nsteps; i++)
		node = find_or_add(node, &path->steps[i]);
	return node;
}

/*
 * Returns the child that a step leads to.
 */
static KafkaJsonNode *
find_or_add(KafkaJsonNode *parent, const KafkaJsonStep *step)
{
	bool		by_key = step->key != NULL;
	KafkaJsonNode **children = by_key ? parent->keys : parent->subscripts;
	int			n = by_key ? parent->nkeys : parent->nsubscripts;

	for (int i = 0; i < n; i++)
		if (same_step(&children[i]->step, step))
			return children[i];

	if (children == NULL)
		children = palloc(sizeof(KafkaJsonNode *));
	else
		children = repalloc(children, (n + 1) * sizeof(KafkaJsonNode *));
	children[n] = kafka_json_node_create();
	children[n]->parent = parent;
	children[n]->step = *step;
	if (by_key)
	{
		parent->keys = children;
		parent->nkeys++;
	}
	else
	{
		parent->subscripts = children;
		parent->nsubscripts++;
	}
	return children[n];
}

/*
 * Tells whether two steps of the same kind lead to the same place.
 */
static bool
same_step(const KafkaJsonStep *a, const KafkaJsonStep *b)
{
	return a->key_len == b->key_len && a->subscript == b->subscript &&
		(a->key_len == 0 || memcmp(a->key, b->key, a->key_len) == 0);
}

/*
 * Notes what ends at a node.
 */
void
kafka_json_node_add_slot(KafkaJsonNode *node, int slot)
{
	if (node->slots == NULL)
		node->slots = palloc(sizeof(int));
	else
		node->slots = repalloc(node->slots, (node->nslots + 1) * sizeof(int));
	node->slots[node->nslots++] = slot;
}
