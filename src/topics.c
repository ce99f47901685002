/*-------------------------------------------------------------------------
 *
 * topics.c
 *	  The option "topic": a name, a list of names, or a pattern.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "regex/regex.h"
#include "topics.h"
#include "utils/builtins.h"

static bool matches(const char *pattern, const char *topic);
static int	compare_names(const ListCell *a, const ListCell *b);

/*
 * kafka_topics_check
 *		Raises an ERROR unless the option is well-formed.
 */
void
kafka_topics_check(const char *spec)
{
	ListCell   *lc;

	if (kafka_topics_is_pattern(spec))
	{
		(void) matches(spec, "");
		return;
	}
	foreach(lc, kafka_topics_listed(spec))
	{
		const char *name = lfirst(lc);

		if (name[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("option \"topic\" has an empty name")));
		if (name[0] == '^')
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("option \"topic\" has a pattern in a list"),
					 errhint("A regular expression stands alone: '^(one|two)$'.")));
	}
}

/*
 * kafka_topics_is_pattern
 *		Says whether the topics are known only to Kafka.
 */
bool
kafka_topics_is_pattern(const char *spec)
{
	return spec[0] == '^';
}

/*
 * kafka_topics_is_single
 *		Says whether it is one topic for ever.
 */
bool
kafka_topics_is_single(const char *spec)
{
	return !kafka_topics_is_pattern(spec) && strchr(spec, ',') == NULL;
}

/*
 * kafka_topics_listed
 *		Returns the names, ordered and each once; none of a pattern.
 */
List *
kafka_topics_listed(const char *spec)
{
	List	   *names = NIL;
	const char *next = spec;

	if (kafka_topics_is_pattern(spec))
		return NIL;
	while (next != NULL)
	{
		const char *comma = strchr(next, ',');
		size_t		len = comma != NULL ? (size_t) (comma - next) : strlen(next);

		while (len > 0 && *next == ' ')
		{
			next++;
			len--;
		}
		while (len > 0 && next[len - 1] == ' ')
			len--;
		names = lappend(names, pnstrdup(next, len));
		next = comma != NULL ? comma + 1 : NULL;
	}
	list_sort(names, compare_names);
	for (int i = list_length(names) - 1; i > 0; i--)
		if (strcmp(list_nth(names, i), list_nth(names, i - 1)) == 0)
			names = list_delete_nth_cell(names, i);
	return names;
}

/*
 * kafka_topics_include
 *		Says whether a topic is one of them, given that it exists.
 */
bool
kafka_topics_include(const char *spec, const char *topic)
{
	ListCell   *lc;

	if (kafka_topics_is_pattern(spec))
		return (strncmp(topic, "__", 2) != 0 || strncmp(spec, "^__", 3) == 0) &&
			matches(spec, topic);
	foreach(lc, kafka_topics_listed(spec))
	{
		if (strcmp(lfirst(lc), topic) == 0)
			return true;
	}
	return false;
}

/*
 * The server keeps compiled expressions, so that asking for many topics is
 * cheap.
 */
static bool
matches(const char *pattern, const char *topic)
{
	text	   *re = cstring_to_text(pattern);
	bool		found = RE_compile_and_execute(re, unconstify(char *, topic),
											   strlen(topic), REG_ADVANCED,
											   C_COLLATION_OID, 0, NULL);

	pfree(re);
	return found;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}
