/*-------------------------------------------------------------------------
 *
 * json_shape.c
 *	  Reads JSON texts that differ only in their scalars without a parser.
 *
 * NOTES
 *	  Who writes a topic mostly writes the same keys in the same order with the
 *	  same blanks, message for message.  So what stands between the scalars of
 *	  a text that the in-core parser has read, its literals, is kept, with the
 *	  places of the slices that were found: the text's shape.  A later text
 *	  that has these literals, with a scalar between any two, is as valid, and
 *	  has its slices at the same places: the grammar does not tell one scalar
 *	  from another, and neither do paths.  Mison (Li et al., VLDB 2017) skips by
 *	  structure learned from earlier records for the same reason, but does not
 *	  compare the whole of it.
 *
 *	  Nothing is accepted that the parser does not accept.  A string with an
 *	  escape or a control character, a number that is none, a text of another
 *	  shape, or of none, is left to the parser.
 *
 *	  Where few texts have a known shape, looking for one costs more than it
 *	  brings, so it is left for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "format/json.h"
#include "utils/memutils.h"

#define MAX_SHAPES 4
#define MAX_TEXT 65536			/* bytes, of one that a shape is taken of */
#define MAX_LITERALS 1024

/* A text with a known shape brings CREDIT_MATCH, another one takes CREDIT_MISS;
 * without any credit the next PAUSE texts are not looked at. */
#define CREDIT_MAX 100
#define CREDIT_START 20
#define CREDIT_MATCH 1
#define CREDIT_MISS 3
#define PAUSE 1000

/* What stands between two scalars, or before the first, or after the last. */
typedef struct Literal
{
	const char *bytes;
	int			len;
} Literal;

/* A place in a text: so many bytes behind the beginning of a literal. */
typedef struct Place
{
	int			literal;		/* -1: nowhere */
	int			bytes;
} Place;

typedef struct Shape
{
	MemoryContext context;		/* NULL: there is none */
	Literal    *literals;
	int			nliterals;
	Place	   *starts;			/* of each slice */
	Place	   *ends;
} Shape;

struct KafkaJsonShapes
{
	MemoryContext context;
	int			nslots;
	Shape		shapes[MAX_SHAPES];
	int			last;			/* the one that was matched or learned last */
	int			credit;
	int			pause;			/* texts that are not looked at */
	const char *at[MAX_LITERALS];	/* where each literal stands in the text */
};

static bool match(KafkaJsonShapes *shapes, const Shape *shape,
				  const char *input, int len);
static const char *pass_scalar(const char *p, const char *end);
static const char *pass_string(const char *p, const char *end);
static const char *pass_number(const char *p, const char *end);
static const char *pass_digits(const char *p, const char *end);
static const char *pass_word(const char *p, const char *end,
							 const char *word);
static int	find_literals(Literal *literals, const char *input, int len);
static const char *find_scalar(const char *p, const char *end);
static const char *end_of_string(const char *p);
static const char *end_of_scalar(const char *p, const char *end);
static bool is_blank(char c);
static void keep_shape(KafkaJsonShapes *shapes, const char *input, int len,
					   const Literal *literals, int nliterals,
					   const KafkaJsonSlice *slices);
static Place find_place(const Literal *literals, int nliterals,
						const char *p);

/*
 * Makes room for shapes of texts of which nslots slices are wanted, in the
 * current memory context.
 */
KafkaJsonShapes *
kafka_json_shapes_create(int nslots)
{
	KafkaJsonShapes *shapes = palloc0(sizeof(KafkaJsonShapes));

	shapes->context = CurrentMemoryContext;
	shapes->nslots = nslots;
	shapes->credit = CREDIT_START;
	return shapes;
}

/*
 * Finds the slices of a text that has a known shape; false for another one,
 * which may be no JSON.
 */
bool
kafka_json_shapes_match(KafkaJsonShapes *shapes, const char *input, int len,
						KafkaJsonSlice *slices)
{
	const Shape *shape = NULL;

	if (shapes->pause > 0)
	{
		shapes->pause--;
		return false;
	}
	for (int i = 0; i < MAX_SHAPES && shape == NULL; i++)
	{
		int			k = (shapes->last + i) % MAX_SHAPES;

		if (match(shapes, &shapes->shapes[k], input, len))
		{
			shape = &shapes->shapes[k];
			shapes->last = k;
		}
	}
	if (shape == NULL)
		return false;

	for (int i = 0; i < shapes->nslots; i++)
	{
		const Place start = shape->starts[i];
		const Place end = shape->ends[i];

		slices[i].start = NULL;
		if (start.literal < 0)
			continue;
		slices[i].start = shapes->at[start.literal] + start.bytes;
		slices[i].len = shapes->at[end.literal] + end.bytes - slices[i].start;
	}
	shapes->credit = Min(shapes->credit + CREDIT_MATCH, CREDIT_MAX);
	return true;
}

/*
 * Tells whether a text has a shape, and notes where its literals stand.
 */
static bool
match(KafkaJsonShapes *shapes, const Shape *shape, const char *input, int len)
{
	const char *p = input;
	const char *end = input + len;

	for (int i = 0; i < shape->nliterals; i++)
	{
		const Literal *literal = &shape->literals[i];

		if (i > 0 && (p = pass_scalar(p, end)) == NULL)
			return false;
		if (end - p < literal->len ||
			memcmp(p, literal->bytes, literal->len) != 0)
			return false;
		shapes->at[i] = p;
		p += literal->len;
	}
	return shape->nliterals > 0 && p == end;
}

/*
 * Returns where the scalar that begins at p ends, or NULL where there is none
 * or the parser has to look at it.
 */
static const char *
pass_scalar(const char *p, const char *end)
{
	if (p == end)
		return NULL;
	switch (*p)
	{
		case '"':
			return pass_string(p + 1, end);
		case 't':
			return pass_word(p, end, "true");
		case 'f':
			return pass_word(p, end, "false");
		case 'n':
			return pass_word(p, end, "null");
		default:
			return pass_number(p, end);
	}
}

/*
 * Passes a string, from behind its opening quote.
 *
 * Of eight bytes at once it is asked whether one is a quote, a backslash or a
 * control character.
 */
static const char *
pass_string(const char *p, const char *end)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 highs = UINT64CONST(0x8080808080808080);

	for (; end - p >= 8; p += 8)
	{
		uint64		bytes;
		uint64		quotes;
		uint64		backslashes;

		memcpy(&bytes, p, 8);
		quotes = bytes ^ (ones * '"');
		backslashes = bytes ^ (ones * '\\');
		if (((((quotes - ones) & ~quotes) |
			  ((backslashes - ones) & ~backslashes) |
			  ((bytes - ones * ' ') & ~bytes)) & highs) != 0)
			break;
	}
	for (; p < end; p++)
	{
		if (*p == '"')
			return p + 1;
		if (*p == '\\' || (unsigned char) *p < ' ')
			return NULL;
	}
	return NULL;
}

static const char *
pass_number(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if ((p = pass_digits(p, end)) == NULL)
		return NULL;
	if (p < end && *p == '.' && (p = pass_digits(p + 1, end)) == NULL)
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = pass_digits(p, end);
	}
	return p;
}

/*
 * Passes one digit or more.
 */
static const char *
pass_digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > start ? p : NULL;
}

static const char *
pass_word(const char *p, const char *end, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (end - p) < len || memcmp(p, word, len) != 0)
		return NULL;
	return p + len;
}

/*
 * Takes the shape of a text that the parser has read and that has no known
 * one, with the slices that were found.
 */
void
kafka_json_shapes_learn(KafkaJsonShapes *shapes, const char *input, int len,
						const KafkaJsonSlice *slices)
{
	Literal    *literals;
	int			nliterals;

	if (shapes->pause > 0)
		return;
	shapes->credit -= CREDIT_MISS;
	if (shapes->credit <= 0)
	{
		shapes->pause = PAUSE;
		shapes->credit = CREDIT_START;
		return;
	}
	if (len > MAX_TEXT)
		return;
	literals = palloc_array(Literal, MAX_LITERALS);
	nliterals = find_literals(literals, input, len);
	if (nliterals > 0)
		keep_shape(shapes, input, len, literals, nliterals, slices);
	pfree(literals);
}

/*
 * Finds the literals of a valid text, and returns how many there are; 0 where
 * it is a scalar itself, or has too many.
 */
static int
find_literals(Literal *literals, const char *input, int len)
{
	const char *p = input;
	const char *end = input + len;
	int			n = 0;

	for (;;)
	{
		const char *scalar = find_scalar(p, end);

		if (n == MAX_LITERALS)
			return 0;
		literals[n].bytes = p;
		literals[n++].len = scalar - p;
		if (scalar == end)
			break;
		p = end_of_scalar(scalar, end);
	}
	for (p = input; p < end && is_blank(*p); p++)
		;
	return *p == '{' || *p == '[' ? n : 0;
}

/*
 * Returns where the next scalar begins, which is no key, or the end.
 */
static const char *
find_scalar(const char *p, const char *end)
{
	while (p < end)
	{
		const char *behind;
		const char *next;

		if (*p != '"' && (is_blank(*p) || strchr("{}[]:,", *p) != NULL))
		{
			p++;
			continue;
		}
		if (*p != '"')
			return p;
		behind = end_of_string(p);
		for (next = behind; next < end && is_blank(*next); next++)
			;
		if (next == end || *next != ':')
			return p;
		p = behind;
	}
	return end;
}

/*
 * Returns where a string of a valid text ends, with its quotes.
 */
static const char *
end_of_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

static const char *
end_of_scalar(const char *p, const char *end)
{
	if (*p == '"')
		return end_of_string(p);
	while (p < end && !is_blank(*p) && strchr("]},", *p) == NULL)
		p++;
	return p;
}

/*
 * White space as JSON has it.
 */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Keeps a shape, in the place of the one that comes after the last one used.
 */
static void
keep_shape(KafkaJsonShapes *shapes, const char *input, int len,
		   const Literal *literals, int nliterals,
		   const KafkaJsonSlice *slices)
{
	int			k = (shapes->last + MAX_SHAPES - 1) % MAX_SHAPES;
	Shape	   *shape = &shapes->shapes[k];
	MemoryContext old;
	char	   *text;

	if (shape->context != NULL)
		MemoryContextDelete(shape->context);
	memset(shape, 0, sizeof(Shape));
	shape->context = AllocSetContextCreate(shapes->context,
										   "kafka JSON shape",
										   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(shape->context);
	shape->literals = palloc_array(Literal, nliterals);
	memcpy(shape->literals, literals, nliterals * sizeof(Literal));
	text = memcpy(palloc(len), input, len);

	for (int i = 0; i < nliterals; i++)
		shape->literals[i].bytes += text -input;

	shape->starts = palloc_array(Place, shapes->nslots);
	shape->ends = palloc_array(Place, shapes->nslots);
	for (int i = 0; i < shapes->nslots; i++)
	{
		const KafkaJsonSlice *slice = &slices[i];
		const char *start = slice->start;

		shape->starts[i] = shape->ends[i] = (Place)
		{
			-1, 0
		};
		if (start == NULL)
			continue;
		shape->starts[i] = find_place(literals, nliterals, start);
		shape->ends[i] = find_place(literals, nliterals, start + slice->len);
	}
	MemoryContextSwitchTo(old);
	shape->nliterals = nliterals;	/* complete */
	shapes->last = k;
}

/*
 * Returns the place of p in the text of the literals; the beginning of a scalar
 * is the end of the literal before it.
 */
static Place
find_place(const Literal *literals, int nliterals, const char *p)
{
	int			low = 0;
	int			high = nliterals - 1;

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (literals[middle].bytes <= p)
			low = middle;
		else
			high = middle - 1;
	}
	return (Place)
	{
		low, p - literals[low].bytes
	};
}
