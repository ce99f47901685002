/*-------------------------------------------------------------------------
 *
 * mutate.c
 *	  Messages made of others by random changes, for kafka_fuzz.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mutate.h"

static uint64 next_random(Mutator *mutator);
static const Bytes *pick(Mutator *mutator);
static void change(Mutator *mutator, StringInfo input);
static void insert_bytes(StringInfo input, size_t at, const char *bytes,
						 size_t len);
static void delete_bytes(StringInfo input, size_t at, size_t len);

static const char *const dictionary[] = {
	"{", "}", "[", "]", ":", ",", "\"", "\\", "\\\"", "\\\\", "\\u0000",
	"\\ud83d", "\\ude00", "\\u0061", "\\x", "\\x41", "\\101", "\\N", "\\.",
	"\\n", "\n", "\r", "\r\n", "\t", " ", "'", ";", "|", "null", "true",
	"false", "NaN", "Infinity", "-", "+", ".", "e", "E+", "0", "-0", "1e400",
	"1e-400", "9223372036854775807", "9223372036854775808", "2147483648",
	"32768", "99999999999999999999999999", "0.1", "\"a\":", "\"a\":1",
	"\"b\":\"", "{\"a\":", "[{\"a\":1}]", "\"data\":{\"rows\":[", "\"x\":{\"y\":[",
	"2024-02-29T12:34:56Z", "2024-02-30", "0000-00-00 00:00:00", "24:00:00",
	"294276-12-31 23:59:59.999999+00", "+15:59", "infinity", "-infinity",
	"\xef\xbb\xbf", "\xc3\xa9", "\xc3", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\xa0\x80",
	"\xff", "\x80", "\x01", "\x7f", "(", ")", "(1,x)", "{1,2}", "{{1},{2}}",
	"[2:3]={1,2}", "\"{", "}\"", "$.a", "1,2\n3,4", "\"a\"\"b\"", ",,", "red"
};

/*
 * Returns one of the corpus with some changes.
 */
Bytes
kafka_mutate(Mutator *mutator)
{
	const Bytes *seed = pick(mutator);
	StringInfoData input;
	Bytes		bytes;

	initStringInfo(&input);
	appendBinaryStringInfo(&input, seed->data, Min(seed->len, MAX_BYTES));
	for (int i = 1 + kafka_mutate_below(mutator, 1 + kafka_mutate_below(mutator, 8)); i > 0; i--)
		change(mutator, &input);
	bytes = kafka_mutate_copy(input.data, Min(input.len, MAX_BYTES));
	pfree(input.data);
	return bytes;
}

/*
 * Returns one of the dictionary many times over.
 */
Bytes
kafka_mutate_deep(Mutator *mutator)
{
	const char *word = dictionary[kafka_mutate_below(mutator, lengthof(dictionary))];
	StringInfoData input;
	Bytes		bytes;

	initStringInfo(&input);
	for (int i = kafka_mutate_below(mutator, 100000); i > 0; i--)
		appendStringInfoString(&input, word);
	bytes = kafka_mutate_copy(input.data, Min(input.len, MAX_DEEP_BYTES));
	pfree(input.data);
	return bytes;
}

/*
 * Keeps an input, to make others of it that have a chance not to be errors.
 */
void
kafka_mutate_keep(Mutator *mutator, const Bytes *good)
{
	Bytes	   *place = &mutator->good[mutator->ngood % MAX_GOOD];

	if (good->data == NULL || good->len > MAX_BYTES / 4)
		return;
	free(place->data);
	*place = kafka_mutate_copy(good->data, good->len);
	mutator->ngood++;
}

/*
 * Returns one of the corpus, or of what has been good.
 */
static const Bytes *
pick(Mutator *mutator)
{
	if (mutator->ngood > 0 && kafka_mutate_below(mutator, 2) == 0)
		return &mutator->good[kafka_mutate_below(mutator, Min(mutator->ngood, MAX_GOOD))];
	return &mutator->corpus[kafka_mutate_below(mutator, mutator->ncorpus)];
}

static void
change(Mutator *mutator, StringInfo input)
{
	size_t		at = kafka_mutate_below(mutator, input->len + 1);
	size_t		some = 1 + kafka_mutate_below(mutator, 8);
	const char *word = dictionary[kafka_mutate_below(mutator, lengthof(dictionary))];
	const Bytes *other = pick(mutator);
	char	   *copy;

	switch (kafka_mutate_below(mutator, 8))
	{
		case 0:
			if (at < input->len)
				input->data[at] ^= 1 << kafka_mutate_below(mutator, 8);
			break;
		case 1:
			if (at < input->len)
				input->data[at] = (char) kafka_mutate_below(mutator, 256);
			break;
		case 2:
			delete_bytes(input, at, some);
			break;
		case 3:
			input->len = at;
			break;
		case 4:
			some = Min(kafka_mutate_below(mutator, other->len + 1), MAX_BYTES);
			insert_bytes(input, at, other->data + other->len - some, some);
			break;
		case 5:
			some = Min(input->len - at, kafka_mutate_below(mutator, 64));
			copy = pnstrdup(input->data + at, some);
			insert_bytes(input, kafka_mutate_below(mutator, input->len + 1), copy, strlen(copy));
			break;
		case 6:
			delete_bytes(input, at, some);
			/* FALLTHROUGH */
		default:
			insert_bytes(input, Min(at, input->len), word, strlen(word));
	}
}

static void
insert_bytes(StringInfo input, size_t at, const char *bytes, size_t len)
{
	enlargeStringInfo(input, len);
	memmove(input->data + at + len, input->data + at, input->len - at);
	memcpy(input->data + at, bytes, len);
	input->len += len;
	input->data[input->len] = '\0';
}

static void
delete_bytes(StringInfo input, size_t at, size_t len)
{
	len = Min(len, input->len - at);
	memmove(input->data + at, input->data + at + len, input->len - at - len);
	input->len -= len;
	input->data[input->len] = '\0';
}

uint64
kafka_mutate_below(Mutator *mutator, uint64 n)
{
	return next_random(mutator) % n;
}

Bytes
kafka_mutate_copy(const char *data, size_t len)
{
	Bytes		bytes = {malloc(Max(len, 1)), len};

	if (bytes.data == NULL)
		elog(ERROR, "out of memory");
	memcpy(bytes.data, data, len);
	return bytes;
}

/* splitmix64 */
static uint64
next_random(Mutator *mutator)
{
	uint64		x = (mutator->random += UINT64CONST(0x9e3779b97f4a7c15));

	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}
