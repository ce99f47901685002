/*-------------------------------------------------------------------------
 *
 * infer.c
 *	  Infers columns from messages.
 *
 * NOTES
 *	  A column is a top-level key of JSON objects.  Its type is the narrowest
 *	  that holds all values of the sample without loss: a fraction is numeric
 *	  and not double precision, a time without zone stays text, and what is of
 *	  different kinds is jsonb.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "compat.h"
#include "fdw/infer.h"
#include "fdw/sample.h"
#include "format/format.h"
#include "format/integer.h"
#include "format/parse.h"
#include "utils/memutils.h"

/* more keys are data and not columns */
#define MAX_FIELDS 1000

/* what the values of a field were; a null is nothing */
#define KIND_BOOL		0x01
#define KIND_INTEGER	0x02
#define KIND_NUMBER		0x04
#define KIND_TIMESTAMP	0x08
#define KIND_STRING		0x10
#define KIND_NESTED		0x20

/* The value or the key of a message under decode. */
typedef struct Decode
{
	KafkaInference *inference;
	const char *bytes;
	size_t		len;
	JsonLexContext *lex;
	KafkaInferredField *field;	/* whose value comes next */
	bool		object;			/* the text is one */
} Decode;

static bool is_text(const char *bytes, size_t len);
static void check_text(void *arg);
static bool take_object(KafkaInference *inference, const char *bytes,
						size_t len);
static void parse_object(void *arg);
static KafkaJsonActionResult start_object(void *arg);
static KafkaJsonActionResult start_array(void *arg);
static KafkaJsonActionResult start_field(void *arg, char *name, bool isnull);
static KafkaJsonActionResult take_scalar(void *arg, char *token,
										 JsonTokenType type);
static void add_kind(Decode *decode, int kind);
static KafkaInferredField *find_field(KafkaInference *inference,
									  const char *key);
static int	kind_of_number(const char *token);
static int	kind_of_string(const char *token);

/*
 * kafka_infer_begin
 *		Begins an inference, which lives in the current memory context.
 */
KafkaInference *
kafka_infer_begin(void)
{
	KafkaInference *inference = palloc0(sizeof(KafkaInference));

	inference->context = CurrentMemoryContext;
	inference->keys_are_text = true;
	inference->values_are_text = true;
	inference->values_are_objects = true;
	return inference;
}

/*
 * kafka_infer_message
 *		Looks at one more message; what is NULL says nothing.
 */
void
kafka_infer_message(KafkaInference *inference, const KafkaMessage *message)
{
	MemoryContext context = AllocSetContextCreate(inference->context,
												  "kafka_fdw inference",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (message->key != NULL)
		inference->keys_are_text = inference->keys_are_text &&
			is_text(message->key, message->key_len);
	if (message->value != NULL)
	{
		inference->values_are_text = inference->values_are_text &&
			is_text(message->value, message->value_len);
		inference->values_are_objects = inference->values_are_objects &&
			take_object(inference, message->value, message->value_len);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * kafka_infer_type
 *		Returns the SQL type of a column for a field.
 */
const char *
kafka_infer_type(const KafkaInferredField *field)
{
	switch (field->kinds)
	{
		case KIND_BOOL:
			return "pg_catalog.bool";
		case KIND_INTEGER:
			return "pg_catalog.int8";
		case KIND_NUMBER:
		case KIND_NUMBER | KIND_INTEGER:
			return "pg_catalog.numeric";
		case KIND_TIMESTAMP:
			return "pg_catalog.timestamptz";
		case 0:					/* only nulls: text takes anything */
		case KIND_STRING:
		case KIND_STRING | KIND_TIMESTAMP:
			return "pg_catalog.text";
		default:
			return "pg_catalog.jsonb";
	}
}

/*
 * Says whether bytes are text that the database can hold.
 */
static bool
is_text(const char *bytes, size_t len)
{
	Decode		decode = {NULL, bytes, len};
	ErrorData  *error;

	return kafka_sample_try(check_text, &decode, &error);
}

static void
check_text(void *arg)
{
	Decode	   *decode = arg;
	int			len;

	(void) kafka_text_from_utf8(decode->bytes, decode->len, &len);
}

/*
 * Adds the fields of a value, and says whether it is a JSON object.
 */
static bool
take_object(KafkaInference *inference, const char *bytes, size_t len)
{
	Decode		decode = {inference, bytes, len};
	ErrorData  *error;

	return kafka_sample_try(parse_object, &decode, &error) &&
		decode.object && list_length(inference->fields) <= MAX_FIELDS;
}

static void
parse_object(void *arg)
{
	Decode	   *decode = arg;
	int			len;
	const char *text = kafka_text_from_utf8(decode->bytes, decode->len, &len);
	JsonLexContext lex;
	JsonSemAction actions = {
		.semstate = decode,
		.object_start = start_object,
		.array_start = start_array,
		.object_field_start = start_field,
		.scalar = take_scalar
	};
	JsonParseErrorType result;

	kafka_compat_json_lexer(&lex, text, len, true);
	decode->lex = &lex;
	result = pg_parse_json(&lex, &actions);
	if (result != JSON_SUCCESS)
		kafka_compat_json_error(result, &lex);
}

static KafkaJsonActionResult
start_object(void *arg)
{
	Decode	   *decode = arg;

	if (decode->lex->lex_level == 0)
		decode->object = true;
	add_kind(decode, KIND_NESTED);
	return KAFKA_JSON_ACTION_DONE;
}

static KafkaJsonActionResult
start_array(void *arg)
{
	add_kind(arg, KIND_NESTED);
	return KAFKA_JSON_ACTION_DONE;
}

/*
 * Finds the field whose value comes next.
 */
static KafkaJsonActionResult
start_field(void *arg, char *name, bool isnull)
{
	Decode	   *decode = arg;

	if (decode->object && decode->lex->lex_level == 1)
		decode->field = find_field(decode->inference, name);
	return KAFKA_JSON_ACTION_DONE;
}

static KafkaJsonActionResult
take_scalar(void *arg, char *token, JsonTokenType type)
{
	switch (type)
	{
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			add_kind(arg, KIND_BOOL);
			break;
		case JSON_TOKEN_NUMBER:
			add_kind(arg, kind_of_number(token));
			break;
		case JSON_TOKEN_STRING:
			add_kind(arg, kind_of_string(token));
			break;
		default:
			add_kind(arg, 0);
			break;
	}
	return KAFKA_JSON_ACTION_DONE;
}

/*
 * Notes what the value of the field is; what is within it has no field.
 */
static void
add_kind(Decode *decode, int kind)
{
	if (decode->field != NULL)
		decode->field->kinds |= kind;
	decode->field = NULL;
}

/*
 * Returns the field of a key, which is made where it is missing; NULL when
 * there are too many.
 */
static KafkaInferredField *
find_field(KafkaInference *inference, const char *key)
{
	MemoryContext old;
	KafkaInferredField *field;
	ListCell   *lc;

	foreach(lc, inference->fields)
	{
		field = lfirst(lc);
		if (strcmp(field->key, key) == 0)
			return field;
	}
	if (list_length(inference->fields) > MAX_FIELDS)
		return NULL;
	old = MemoryContextSwitchTo(inference->context);
	field = palloc0(sizeof(KafkaInferredField));
	field->key = pstrdup(key);
	inference->fields = lappend(inference->fields, field);
	MemoryContextSwitchTo(old);
	return field;
}

static int
kind_of_number(const char *token)
{
	const char *end = token + strlen(token);
	int64		number;

	if (kafka_integer_read(token, end, &number) == end)
		return KIND_INTEGER;
	return KIND_NUMBER;
}

static int
kind_of_string(const char *token)
{
	Timestamp	timestamp;

	if (kafka_parse_timestamp(token, strlen(token), true, &timestamp))
		return KIND_TIMESTAMP;
	return KIND_STRING;
}
