/*-------------------------------------------------------------------------
 *
 * headers.c
 *	  The headers of a message as a column, and one of them as a column.
 *
 * NOTES
 *	  An array of a composite of name and value, such as kafka.header[], holds
 *	  headers exactly: in order, with duplicates, values as bytes.  A jsonb
 *	  object is handier: values are text, a null value is JSON null, and a name
 *	  that stands more than once has an array of its values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "format/format.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* What an array of headers needs, looked up once. */
typedef struct HeaderArray
{
	Oid			element;
	TupleDesc	desc;			/* of the element: name, value */
	int16		typlen;
	bool		typbyval;
	char		typalign;
} HeaderArray;

static bool is_header_type(Oid element);
static const char *header_name(KafkaColumn *column);
static HeaderArray *lookup_array(MemoryContext context, KafkaColumn *column);
static Datum array_from_headers(const HeaderArray *array,
								const KafkaHeader *headers, int nheaders);
static Datum header_to_tuple(const HeaderArray *array,
							 const KafkaHeader *header);
static int	array_to_headers(const HeaderArray *array, ArrayType *value,
							 KafkaHeader **headers);
static void tuple_to_header(const HeaderArray *array, Datum datum,
							KafkaHeader *header);
static char *name_to_utf8(const char *name, int len);
static Datum bytes_datum(const char *bytes, size_t len);
static int	compare_names(const void *a, const void *b);
static void push_name(JsonbParseState **state, const char *name);
static void push_value(JsonbParseState **state, JsonbIteratorToken token,
					   const KafkaHeader *header);
static void jsonb_to_header(const JsonbValue *value, KafkaHeader *header);

/*
 * Raises an error where the column's type cannot hold headers.
 */
void
kafka_headers_check_type(const KafkaColumn *column)
{
	if (column->base == JSONBOID ||
		is_header_type(get_element_type(column->base)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" cannot hold headers as type %s",
					column->name,
					format_type_with_typemod(column->type, column->typmod)),
			 errhint("Use kafka.header[] or jsonb.")));
}

/*
 * Tells whether a type is a composite of text and bytea.
 */
static bool
is_header_type(Oid element)
{
	TupleDesc	desc;
	bool		result;

	if (!OidIsValid(element) || get_typtype(element) != TYPTYPE_COMPOSITE)
		return false;
	desc = lookup_rowtype_tupdesc(element, -1);
	result = desc->natts == 2 &&
		!TupleDescAttr(desc, 0)->attisdropped &&
		!TupleDescAttr(desc, 1)->attisdropped &&
		TupleDescAttr(desc, 0)->atttypid == TEXTOID &&
		TupleDescAttr(desc, 1)->atttypid == BYTEAOID;
	ReleaseTupleDesc(desc);
	return result;
}

/*
 * Returns what the column's array type needs, from its cache.
 */
static HeaderArray *
lookup_array(MemoryContext context, KafkaColumn *column)
{
	HeaderArray *array = column->headers;
	MemoryContext old;

	if (array != NULL)
		return array;
	old = MemoryContextSwitchTo(context);
	array = palloc0(sizeof(HeaderArray));
	array->element = get_element_type(column->base);
	array->desc = lookup_rowtype_tupdesc_copy(array->element, -1);
	get_typlenbyvalalign(array->element, &array->typlen, &array->typbyval,
						 &array->typalign);
	column->headers = array;
	MemoryContextSwitchTo(old);
	return array;
}

/*
 * Returns a message's headers as the column's type.
 *
 * A message without headers has an empty array or object.
 */
Datum
kafka_headers_from_message(KafkaRowMap *map, KafkaColumn *column,
						   const KafkaMessage *message)
{
	Datum		value;

	map->column = column;
	if (column->base == JSONBOID)
		value = kafka_headers_to_jsonb(message->headers, message->nheaders);
	else
		value = array_from_headers(lookup_array(map->owner, column),
								   message->headers, message->nheaders);
	value = kafka_column_check_domain(map, column, value);
	map->column = NULL;
	return value;
}

/*
 * Finds the last header that has the column's name; false where there is
 * none, or its value is null.
 */
bool
kafka_header_from_message(KafkaRowMap *map, KafkaColumn *column,
						  const KafkaMessage *message, Datum *value)
{
	const char *name = header_name(column);
	int			i = message->nheaders - 1;

	while (i >= 0 && strcmp(message->headers[i].name, name) != 0)
		i--;
	if (i < 0 || message->headers[i].value == NULL)
		return false;
	*value = kafka_column_from_bytes(map, column, message->headers[i].value,
									 message->headers[i].value_len);
	return true;
}

/*
 * Returns the name of a column's header, in UTF-8.
 */
static const char *
header_name(KafkaColumn *column)
{
	const char *name = column->options->path;
	MemoryContext old;

	if (column->headers != NULL)
		return column->headers;
	if (name == NULL)
		name = column->name;
	old = MemoryContextSwitchTo(column->input.fn_mcxt);
	column->headers = name_to_utf8(name, strlen(name));
	MemoryContextSwitchTo(old);
	return column->headers;
}

/*
 * Makes an array of headers.
 */
static Datum
array_from_headers(const HeaderArray *array, const KafkaHeader *headers,
				   int nheaders)
{
	Datum	   *elements = palloc_array(Datum, nheaders);

	for (int i = 0; i < nheaders; i++)
		elements[i] = header_to_tuple(array, &headers[i]);
	return PointerGetDatum(construct_array(elements, nheaders, array->element,
										   array->typlen, array->typbyval,
										   array->typalign));
}

/*
 * Makes a composite of a header.
 */
static Datum
header_to_tuple(const HeaderArray *array, const KafkaHeader *header)
{
	Datum		values[2] = {0};
	bool		nulls[2] = {false, header->value == NULL};
	const char *name;
	int			len;

	name = kafka_text_from_utf8(header->name, strlen(header->name), &len);
	values[0] = bytes_datum(name, len);
	if (header->value != NULL)
		values[1] = bytes_datum(header->value, header->value_len);
	return heap_copy_tuple_as_datum(heap_form_tuple(array->desc, values,
													nulls),
									array->desc);
}

/*
 * Makes a text or a bytea, which are the same bytes.
 */
static Datum
bytes_datum(const char *bytes, size_t len)
{
	if (len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message header is too large")));
	return PointerGetDatum(cstring_to_text_with_len(bytes, (int) len));
}

/*
 * Makes a jsonb object of headers.
 */
Datum
kafka_headers_to_jsonb(const KafkaHeader *headers, int nheaders)
{
	JsonbParseState *state = NULL;
	const KafkaHeader **sorted = palloc_array(const KafkaHeader *, nheaders);
	int			next;

	for (int i = 0; i < nheaders; i++)
		sorted[i] = &headers[i];
	qsort(sorted, nheaders, sizeof(sorted[0]), compare_names);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < nheaders; i = next)
	{
		for (next = i + 1; next < nheaders; next++)
			if (strcmp(sorted[i]->name, sorted[next]->name) != 0)
				break;
		push_name(&state, sorted[i]->name);
		if (next == i + 1)
			push_value(&state, WJB_VALUE, sorted[i]);
		else
		{
			pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
			for (int j = i; j < next; j++)
				push_value(&state, WJB_ELEM, sorted[j]);
			pushJsonbValue(&state, WJB_END_ARRAY, NULL);
		}
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state,
														   WJB_END_OBJECT,
														   NULL)));
}

/*
 * Orders headers by name, those of one name as they stand in the message.
 */
static int
compare_names(const void *a, const void *b)
{
	const KafkaHeader *x = *(const KafkaHeader *const *) a;
	const KafkaHeader *y = *(const KafkaHeader *const *) b;
	int			order = strcmp(x->name, y->name);

	return order != 0 ? order : (x > y) - (x < y);
}

/*
 * Adds a header's name as the key of an object.
 */
static void
push_name(JsonbParseState **state, const char *name)
{
	JsonbValue	key;
	int			len;

	key.type = jbvString;
	key.val.string.val = unconstify(char *,
									kafka_text_from_utf8(name, strlen(name),
														 &len));
	key.val.string.len = len;
	pushJsonbValue(state, WJB_KEY, &key);
}

/*
 * Adds a header's value as text or null.
 */
static void
push_value(JsonbParseState **state, JsonbIteratorToken token,
		   const KafkaHeader *header)
{
	JsonbValue	value;
	int			len;

	value.type = jbvNull;
	if (header->value != NULL)
	{
		value.type = jbvString;
		value.val.string.val =
			unconstify(char *, kafka_text_from_utf8(header->value,
													header->value_len,
													&len));
		value.val.string.len = len;
	}
	pushJsonbValue(state, token, &value);
}

/*
 * Gives a message the headers of a column's value.
 */
void
kafka_headers_to_message(KafkaColumn *column, Datum value,
						 KafkaMessage *message)
{
	KafkaHeader *headers;

	if (column->base == JSONBOID)
		message->nheaders = kafka_headers_from_jsonb(DatumGetJsonbP(value),
													 &headers);
	else
		message->nheaders =
			array_to_headers(lookup_array(column->input.fn_mcxt, column),
							 DatumGetArrayTypeP(value), &headers);
	message->headers = headers;
}

/*
 * kafka_headers_from_datum
 *		Makes headers of a value of any type that can hold them, palloc'd.
 */
int
kafka_headers_from_datum(Oid type, Datum value, KafkaHeader **headers)
{
	KafkaColumn column = {0};

	column.base = getBaseType(type);
	if (column.base == JSONBOID)
		return kafka_headers_from_jsonb(DatumGetJsonbP(value), headers);
	if (!is_header_type(get_element_type(column.base)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("headers cannot be of type %s", format_type_be(type)),
				 errhint("Use kafka.header[] or jsonb.")));
	return array_to_headers(lookup_array(CurrentMemoryContext, &column),
							DatumGetArrayTypeP(value), headers);
}

/*
 * Adds a column's value to the headers of a message.
 */
void
kafka_header_to_message(KafkaColumn *column, Datum value,
						KafkaMessage *message)
{
	int			n = message->nheaders;
	KafkaHeader *headers = palloc_array(KafkaHeader, n + 1);

	if (n > 0)
		memcpy(headers, message->headers, n * sizeof(KafkaHeader));
	headers[n].name = header_name(column);
	headers[n].value = kafka_column_to_bytes(column, value,
											 &headers[n].value_len);
	message->headers = headers;
	message->nheaders = n + 1;
}

/*
 * Makes headers of an array, palloc'd.
 */
static int
array_to_headers(const HeaderArray *array, ArrayType *value,
				 KafkaHeader **headers)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(value, array->element, array->typlen, array->typbyval,
					  array->typalign, &elements, &nulls, &n);
	*headers = palloc_array(KafkaHeader, n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a message header cannot be null")));
		tuple_to_header(array, elements[i], &(*headers)[i]);
	}
	return n;
}

/*
 * Makes a header of a composite.
 */
static void
tuple_to_header(const HeaderArray *array, Datum datum, KafkaHeader *header)
{
	HeapTupleHeader tuple = DatumGetHeapTupleHeader(datum);
	HeapTupleData data = {.t_len = HeapTupleHeaderGetDatumLength(tuple),
	.t_data = tuple};
	Datum		values[2];
	bool		nulls[2];
	text	   *name;
	bytea	   *value;

	heap_deform_tuple(&data, array->desc, values, nulls);
	if (nulls[0])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of a message header cannot be null")));
	name = DatumGetTextPP(values[0]);
	header->name = name_to_utf8(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	header->value = NULL;
	header->value_len = 0;
	if (nulls[1])
		return;
	value = DatumGetByteaPCopy(values[1]);
	header->value = VARDATA(value);
	header->value_len = VARSIZE(value) - VARHDRSZ;
}

/*
 * Copies text as NUL-terminated UTF-8.
 */
static char *
name_to_utf8(const char *name, int len)
{
	StringInfoData text;

	initStringInfo(&text);
	appendBinaryStringInfo(&text, name, len);
	kafka_text_to_utf8(&text);
	return text.data;
}

/*
 * Makes headers of a jsonb object, palloc'd; returns their number.
 *
 * An array of values gives as many headers of one name.
 */
int
kafka_headers_from_jsonb(Jsonb *jsonb, KafkaHeader **headers)
{
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;
	bool		in_array = false;
	int			n = 0;
	int			allocated = 8;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("message headers must be a JSON object")));

	*headers = palloc_array(KafkaHeader, allocated);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = name_to_utf8(value.val.string.val, value.val.string.len);
		else if (name != NULL && token == WJB_BEGIN_OBJECT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the value of a message header cannot be an object")));
		else if (token == WJB_BEGIN_ARRAY && in_array)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the array of a message header's values cannot hold an array")));
		else if (token == WJB_BEGIN_ARRAY || token == WJB_END_ARRAY)
			in_array = token == WJB_BEGIN_ARRAY;
		if (token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (n == allocated)
		{
			allocated *= 2;
			*headers = repalloc(*headers, allocated * sizeof(KafkaHeader));
		}
		(*headers)[n].name = name;
		jsonb_to_header(&value, &(*headers)[n]);
		n++;
	}
	return n;
}

/*
 * Gives a header a JSON scalar's text, or null.
 */
static void
jsonb_to_header(const JsonbValue *value, KafkaHeader *header)
{
	StringInfoData text;

	header->value = NULL;
	header->value_len = 0;
	if (value->type == jbvNull)
		return;
	initStringInfo(&text);
	if (value->type == jbvString)
		appendBinaryStringInfo(&text, value->val.string.val,
							   value->val.string.len);
	else if (value->type == jbvNumeric)
		appendStringInfoString(&text,
							   DatumGetCString(DirectFunctionCall1(numeric_out,
																   NumericGetDatum(value->val.numeric))));
	else
		appendStringInfoString(&text, value->val.boolean ? "true" : "false");
	kafka_text_to_utf8(&text);
	header->value = text.data;
	header->value_len = text.len;
}
