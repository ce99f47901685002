/*-------------------------------------------------------------------------
 *
 * json_exact.c
 *	  Whether JSON as to_json() makes it is read back as the same value.
 *
 * NOTES
 *	  JSON has no lower bounds of arrays, takes arrays within an array for
 *	  its dimensions, and makes JSON's null and NULL the same.  An array or a
 *	  composite that has any of that in it is written as its text, in a
 *	  string, which the decoder gives to the type's input function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "format/json.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static bool is_exact(Oid type, Datum value, bool in_array);
static bool is_array_exact(Oid element, ArrayType *array);
static bool is_composite_exact(HeapTupleHeader row);
static bool is_json_exact(Oid type, Datum value, bool in_array);
static bool has_json_cast(Oid type);

/*
 * Returns the type of an array type's elements, or InvalidOid.
 *
 * int2vector and oidvector look like arrays, but are not read as such.
 */
Oid
kafka_json_element_type(Oid type)
{
	Oid			element = get_element_type(type);

	return OidIsValid(element) && get_array_type(element) == type ?
		element : InvalidOid;
}

/*
 * Tells whether a value of an array or a composite is read back as it was.
 */
bool
kafka_json_is_exact(Oid type, Datum value)
{
	return is_exact(type, value, false);
}

/*
 * The same for parts of it; in an array, for its elements.
 */
static bool
is_exact(Oid type, Datum value, bool in_array)
{
	Oid			base = getBaseType(type);
	Oid			element;

	check_stack_depth();
	if (base == JSONOID || base == JSONBOID)
		return is_json_exact(base, value, in_array);
	element = kafka_json_element_type(base);
	if (OidIsValid(element))
		return !in_array && is_array_exact(element, DatumGetArrayTypeP(value));
	if (base == INT2VECTOROID || base == OIDVECTOROID)
		return false;
	if (base < FirstNormalObjectId)
		return true;
	if (get_typtype(base) == TYPTYPE_COMPOSITE)
		return is_composite_exact(DatumGetHeapTupleHeader(value));
	return !has_json_cast(base);
}

static bool
is_array_exact(Oid element, ArrayType *array)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	for (int i = 0; i < ARR_NDIM(array); i++)
		if (ARR_LBOUND(array)[i] != 1)
			return false;
	if (element < FirstNormalObjectId && element != JSONOID &&
		element != JSONBOID && element != INT2VECTOROID &&
		element != OIDVECTOROID)
		return true;

	get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
	deconstruct_array(array, element, typlen, typbyval, typalign,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i] && !is_exact(element, elements[i], true))
			return false;
	return true;
}

static bool
is_composite_exact(HeapTupleHeader row)
{
	TupleDesc	desc;
	HeapTupleData tuple = {.t_data = row};
	bool		exact = true;

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	desc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(row),
									   HeapTupleHeaderGetTypMod(row));
	for (int i = 0; i < desc->natts && exact; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;
		Datum		value;

		if (att->attisdropped)
			continue;
		value = heap_getattr(&tuple, i + 1, desc, &isnull);
		exact = isnull || is_exact(att->atttypid, value, false);
	}
	FreeTupleDesc(desc);
	return exact;
}

/*
 * Tells whether JSON within JSON keeps its text, and is not taken for NULL or
 * for a dimension of the array around it.
 */
static bool
is_json_exact(Oid type, Datum value, bool in_array)
{
	text	   *json;
	const char *start;
	int			len;

	if (type == JSONBOID)
	{
		JsonbContainer *root = &DatumGetJsonbP(value)->root;
		JsonbValue	scalar;

		if (JsonContainerIsArray(root) && !JsonContainerIsScalar(root))
			return !in_array;
		return !JsonbExtractScalar(root, &scalar) || scalar.type != jbvNull;
	}
	json = DatumGetTextPP(value);
	start = VARDATA_ANY(json);
	len = VARSIZE_ANY_EXHDR(json);
	return !isspace((unsigned char) start[0]) &&
		!isspace((unsigned char) start[len - 1]) &&
		*start != 'n' && !(in_array && *start == '[') &&
		!(*start == '"' && memchr(start, '\\', len) != NULL);
}

/*
 * Tells whether to_json() uses a cast to json for a type, whose result need
 * not be what the type's input function reads.
 */
static bool
has_json_cast(Oid type)
{
	Oid			function;

	return find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT,
								 &function) == COERCION_PATH_FUNC;
}
