/*-------------------------------------------------------------------------
 *
 * quals_boxes.c
 *	  Evaluates conditions to boxes.
 *
 * NOTES
 *	  A condition becomes a set of boxes in the space of topic, partition,
 *	  offset and time: a comparison is one box, AND intersects, OR unites.  What
 *	  is not understood is the whole space.  So the boxes hold every row that
 *	  can satisfy the conditions, and perhaps more.  They may overlap.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "fdw/quals_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* ms from 1970 to 2000, where PostgreSQL's timestamps begin */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400000)

/* more boxes than this are not intersected further */
#define MAX_BOXES 10000

static List *boxes_of(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_compare(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_array(KafkaQual *qual, ExprContext *econtext);
static List *boxes_of_none(KafkaQual *qual, const Datum *elements, int n);
static List *boxes_of_datum(KafkaQual *qual, Datum datum);
static List *boxes_of_number(KafkaQual *qual, int64 value);
static List *boxes_of_time(KafkaQual *qual, TimestampTz value);
static List *boxes_of_topic(KafkaQual *qual, const char *value);
static List *boxes_of_like(const char *pattern);
static List *box_between(KafkaQualAxis axis, int64 min, int64 max);
static List *boxes_of_other_topics(const char *value);
static KafkaBox *everything(void);
static bool is_empty(const KafkaBox *box);
static List *intersect(List *a, List *b);
static void intersect_topics(KafkaTopicBounds *bounds,
							 const KafkaTopicBounds *other);
static int64 integer_value(Datum datum, Oid type);
static int	compare_numbers(const void *a, const void *b);

/*
 * kafka_quals_boxes
 *		Evaluates the conditions, all of which must hold, and returns a list of
 *		KafkaBox; no box: no row can satisfy them.
 */
List *
kafka_quals_boxes(List *quals, ExprContext *econtext)
{
	List	   *boxes = list_make1(everything());
	ListCell   *lc;

	foreach(lc, quals)
		boxes = intersect(boxes, boxes_of(lfirst(lc), econtext));
	return boxes;
}

/*
 * kafka_box_has_topic
 *		Says whether a box has something of a topic.
 */
bool
kafka_box_has_topic(const KafkaBox *box, const char *topic)
{
	const KafkaTopicBounds *bounds = &box->topic;
	int			c;

	if (bounds->min != NULL)
	{
		c = strcmp(topic, bounds->min);
		if (c < 0 || (c == 0 && bounds->above))
			return false;
	}
	if (bounds->max != NULL)
	{
		c = strcmp(topic, bounds->max);
		if (c > 0 || (c == 0 && bounds->below))
			return false;
	}
	return true;
}

/*
 * kafka_boxes_size
 *		Returns how many offsets of a partition are in the boxes, at most;
 *		PG_INT64_MAX if no number is known.
 */
int64
kafka_boxes_size(List *boxes)
{
	int64		size = 0;
	ListCell   *lc;

	foreach(lc, boxes)
	{
		const KafkaBox *box = lfirst(lc);
		int64		min = Max(box->min[KAFKA_AXIS_OFFSET], 0);
		int64		max = box->max[KAFKA_AXIS_OFFSET];

		if (max == PG_INT64_MAX || max - min >= PG_INT64_MAX - size)
			return PG_INT64_MAX;
		if (max >= min)
			size += max - min + 1;
	}
	return size;
}

static List *
boxes_of(KafkaQual *qual, ExprContext *econtext)
{
	List	   *boxes = NIL;
	ListCell   *lc;

	switch (qual->kind)
	{
		case QUAL_AND:
			return kafka_quals_boxes(qual->args, econtext);
		case QUAL_OR:
			foreach(lc, qual->args)
				boxes = list_concat(boxes, boxes_of(lfirst(lc), econtext));
			return boxes;
		case QUAL_COMPARE:
			return boxes_of_compare(qual, econtext);
		case QUAL_ANY:
		case QUAL_ALL:
			return boxes_of_array(qual, econtext);
	}
	return NIL;
}

static List *
boxes_of_compare(KafkaQual *qual, ExprContext *econtext)
{
	bool		isnull;
	Datum		datum = ExecEvalExprSwitchContext(qual->value, econtext,
												  &isnull);

	/* the operators are strict: NULL satisfies none */
	return isnull ? NIL : boxes_of_datum(qual, datum);
}

static List *
boxes_of_array(KafkaQual *qual, ExprContext *econtext)
{
	bool		isnull;
	Datum		datum = ExecEvalExprSwitchContext(qual->value, econtext,
												  &isnull);
	List	   *boxes = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int16		len;
	bool		byval;
	char		align;

	if (isnull)
		return NIL;
	get_typlenbyvalalign(qual->type, &len, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(datum), qual->type, len, byval, align,
					  &elements, &nulls, &n);
	if (qual->kind == QUAL_ALL)
	{
		for (int i = 0; i < n; i++)
			if (nulls[i])
				return NIL;
		if (qual->strategy == NotEqualStrategyNumber &&
			qual->axis != KAFKA_AXIS_TOPIC)
			return boxes_of_none(qual, elements, n);
		boxes = list_make1(everything());
	}
	for (int i = 0; i < n; i++)
	{
		if (qual->kind == QUAL_ALL)
			boxes = intersect(boxes, boxes_of_datum(qual, elements[i]));
		else if (!nulls[i])
			boxes = list_concat(boxes, boxes_of_datum(qual, elements[i]));
	}
	return boxes;
}

/*
 * Returns the boxes between some numbers.
 */
static List *
boxes_of_none(KafkaQual *qual, const Datum *elements, int n)
{
	int64	   *values = palloc_array(int64, Max(n, 1));
	int64		min = PG_INT64_MIN;
	List	   *boxes = NIL;

	for (int i = 0; i < n; i++)
		values[i] = integer_value(elements[i], qual->type);
	qsort(values, n, sizeof(int64), compare_numbers);
	for (int i = 0; i < n; i++)
	{
		if (values[i] > min)
			boxes = list_concat(boxes, box_between(qual->axis, min,
												   values[i] - 1));
		if (values[i] == PG_INT64_MAX)
			return boxes;
		min = values[i] + 1;
	}
	return list_concat(boxes, box_between(qual->axis, min, PG_INT64_MAX));
}

static List *
boxes_of_datum(KafkaQual *qual, Datum datum)
{
	if (qual->axis == KAFKA_AXIS_TIME)
		return boxes_of_time(qual, DatumGetTimestampTz(datum));
	if (qual->axis == KAFKA_AXIS_TOPIC)
		return boxes_of_topic(qual, TextDatumGetCString(datum));
	return boxes_of_number(qual, integer_value(datum, qual->type));
}

/*
 * Returns the boxes of "column op value".
 */
static List *
boxes_of_number(KafkaQual *qual, int64 value)
{
	bool		least = value == PG_INT64_MIN;
	bool		greatest = value == PG_INT64_MAX;

	switch (qual->strategy)
	{
		case BTLessStrategyNumber:
			return least ? NIL :
				box_between(qual->axis, PG_INT64_MIN, value - 1);
		case BTLessEqualStrategyNumber:
			return box_between(qual->axis, PG_INT64_MIN, value);
		case BTEqualStrategyNumber:
			return box_between(qual->axis, value, value);
		case BTGreaterEqualStrategyNumber:
			return box_between(qual->axis, value, PG_INT64_MAX);
		case BTGreaterStrategyNumber:
			return greatest ? NIL :
				box_between(qual->axis, value + 1, PG_INT64_MAX);
		default:				/* not equal */
			return list_concat(least ? NIL :
							   box_between(qual->axis, PG_INT64_MIN, value - 1),
							   greatest ? NIL :
							   box_between(qual->axis, value + 1, PG_INT64_MAX));
	}
}

/*
 * Returns the boxes of "timestamp op value"; a message's time is in ms and
 * finite, so of a value between two of them the one below or above is meant.
 */
static List *
boxes_of_time(KafkaQual *qual, TimestampTz value)
{
	bool		less = qual->strategy == BTLessStrategyNumber ||
	qual->strategy == BTLessEqualStrategyNumber;
	bool		greater = qual->strategy == BTGreaterStrategyNumber ||
	qual->strategy == BTGreaterEqualStrategyNumber;
	int64		ms;
	bool		exact;

	if (TIMESTAMP_NOT_FINITE(value))
		return (value == DT_NOEND ? less : greater) ?
			list_make1(everything()) : NIL;
	ms = value / 1000 - (value % 1000 < 0 ? 1 : 0);
	exact = ms * 1000 == value;
	ms += EPOCH_MS;
	switch (qual->strategy)
	{
		case BTLessStrategyNumber:
			return box_between(KAFKA_AXIS_TIME, PG_INT64_MIN,
							   exact ? ms - 1 : ms);
		case BTLessEqualStrategyNumber:
			return box_between(KAFKA_AXIS_TIME, PG_INT64_MIN, ms);
		case BTEqualStrategyNumber:
			return exact ? box_between(KAFKA_AXIS_TIME, ms, ms) : NIL;
		case BTGreaterEqualStrategyNumber:
			return box_between(KAFKA_AXIS_TIME, exact ? ms : ms + 1,
							   PG_INT64_MAX);
		default:
			return box_between(KAFKA_AXIS_TIME, ms + 1, PG_INT64_MAX);
	}
}

static List *
boxes_of_topic(KafkaQual *qual, const char *value)
{
	KafkaBox   *box = everything();

	if (qual->strategy == LikeStrategyNumber)
		return boxes_of_like(value);
	if (qual->strategy == NotEqualStrategyNumber)
		return boxes_of_other_topics(value);
	box->topic.min = box->topic.max = value;
	return list_make1(box);
}

/*
 * Returns the box of the names that begin as a pattern does.
 *
 * The characters of a name are ASCII, so one that is none ends what is used.
 */
static List *
boxes_of_like(const char *pattern)
{
	KafkaBox   *box = everything();
	char	   *min = palloc(strlen(pattern) + 1);
	char	   *max;
	int			len = 0;

	for (; *pattern != '\0' && *pattern != '%' && *pattern != '_'; pattern++)
	{
		if (*pattern == '\\' && pattern[1] != '\0')
			pattern++;
		if (*pattern == '\\' || IS_HIGHBIT_SET(*pattern))
			break;
		min[len++] = *pattern;
	}
	min[len] = '\0';
	box->topic.min = min;
	if (*pattern == '\0')
		box->topic.max = min;
	else if (len > 0)
	{
		max = pstrdup(min);
		max[len - 1]++;			/* at most 0x80, and only compared */
		box->topic.max = max;
		box->topic.below = true;
	}
	return list_make1(box);
}

static List *
boxes_of_other_topics(const char *value)
{
	KafkaBox   *less = everything();
	KafkaBox   *greater = everything();

	less->topic.max = value;
	less->topic.below = true;
	greater->topic.min = value;
	greater->topic.above = true;
	return list_make2(less, greater);
}

static List *
box_between(KafkaQualAxis axis, int64 min, int64 max)
{
	KafkaBox   *box = everything();

	box->min[axis] = min;
	box->max[axis] = max;
	return list_make1(box);
}

static KafkaBox *
everything(void)
{
	KafkaBox   *box = palloc0(sizeof(KafkaBox));

	for (int i = 0; i < KAFKA_NUMERIC_AXES; i++)
	{
		box->min[i] = PG_INT64_MIN;
		box->max[i] = PG_INT64_MAX;
	}
	return box;
}

static bool
is_empty(const KafkaBox *box)
{
	const KafkaTopicBounds *topic = &box->topic;

	for (int i = 0; i < KAFKA_NUMERIC_AXES; i++)
		if (box->min[i] > box->max[i])
			return true;
	if (topic->min != NULL && topic->max != NULL)
	{
		int			c = strcmp(topic->min, topic->max);

		return c > 0 || (c == 0 && (topic->above || topic->below));
	}
	return false;
}

static List *
intersect(List *a, List *b)
{
	List	   *boxes = NIL;
	ListCell   *la;
	ListCell   *lb;

	if ((int64) list_length(a) * list_length(b) > MAX_BOXES &&
		list_length(a) > 1 && list_length(b) > 1)
		return list_length(a) < list_length(b) ? a : b;

	foreach(la, a)
	{
		KafkaBox   *x = lfirst(la);

		foreach(lb, b)
		{
			KafkaBox   *y = lfirst(lb);
			KafkaBox	both = *x;

			for (int i = 0; i < KAFKA_NUMERIC_AXES; i++)
			{
				both.min[i] = Max(x->min[i], y->min[i]);
				both.max[i] = Min(x->max[i], y->max[i]);
			}
			intersect_topics(&both.topic, &y->topic);
			if (!is_empty(&both))
			{
				KafkaBox   *box = palloc(sizeof(KafkaBox));

				*box = both;
				boxes = lappend(boxes, box);
			}
		}
	}
	return boxes;
}

static void
intersect_topics(KafkaTopicBounds *bounds, const KafkaTopicBounds *other)
{
	int			c;

	if (other->min != NULL)
	{
		c = bounds->min == NULL ? 1 : strcmp(other->min, bounds->min);
		if (c > 0 || (c == 0 && other->above))
		{
			bounds->min = other->min;
			bounds->above = other->above;
		}
	}
	if (other->max != NULL)
	{
		c = bounds->max == NULL ? -1 : strcmp(other->max, bounds->max);
		if (c < 0 || (c == 0 && other->below))
		{
			bounds->max = other->max;
			bounds->below = other->below;
		}
	}
}

static int64
integer_value(Datum datum, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(datum);
		case INT4OID:
			return DatumGetInt32(datum);
		default:
			return DatumGetInt64(datum);
	}
}

static int
compare_numbers(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}
