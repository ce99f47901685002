/*-------------------------------------------------------------------------
 *
 * rowmap.c
 *	  What a foreign table's columns and options mean: making a row map.
 *
 * NOTES
 *	  The row map knows the table's columns and fills those that come from the
 *	  message's metadata; the format of the table's options does the rest.
 *	  rowmap_decode.c makes rows of messages by it, and rowmap_encode.c
 *	  messages of rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "format/format.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static const KafkaFormat *find_format(const char *name);
static KafkaRowMap *key_map(KafkaRowMap *map);
static void add_key_column(KafkaRowMap *key, KafkaColumn *column);
static void add_column(KafkaRowMap *map, Oid relid, Form_pg_attribute att,
					   bool needed);
static bool needs_errors(const KafkaRowMap *map);
static void need_all(KafkaRowMap *map);
static bool is_needed(AttrNumber attnum, const Bitmapset *needed);
static void check_column(const KafkaColumn *column);
static bool is_value(KafkaColumnSource source);
static void check_force(const KafkaRowMap *map, const KafkaColumn *column);
static bool may_have_epoch(KafkaColumnSource source);
static bool is_type_allowed(const KafkaColumn *column);
static bool is_text_type(Oid type);

static const KafkaFormat *const formats[] = {
	&kafka_format_json,
	&kafka_format_csv,
	&kafka_format_text,
	&kafka_format_raw
};

/*
 * Makes the row map of a foreign table in the current memory context.
 *
 * Raises an error where columns and options do not fit each other.
 */
KafkaRowMap *
kafka_rowmap_create(Relation rel, const KafkaTableOptions *options,
					const Bitmapset *needed)
{
	TupleDesc	desc = RelationGetDescr(rel);
	KafkaRowMap *map = palloc0(sizeof(KafkaRowMap));

	map->options = options;
	map->format = find_format(options->format);
	map->encoding = options->encoding != NULL ?
		pg_char_to_encoding(options->encoding) : PG_UTF8;
	map->on_error = options->on_error;
	map->relname = pstrdup(RelationGetRelationName(rel));
	map->natts = desc->natts;
	map->columns = palloc0(desc->natts * sizeof(KafkaColumn));
	map->payload = palloc_array(KafkaColumn *, desc->natts);
	map->metadata = palloc_array(KafkaColumn *, desc->natts);
	map->one_row = options->rows == NULL && !map->format->many_rows;
	map->needs_payload = !map->one_row;
	map->owner = CurrentMemoryContext;
	map->context = AllocSetContextCreate(CurrentMemoryContext,
										 "kafka message",
										 ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&map->scratch);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !kafka_compat_is_virtual(att))
			add_column(map, RelationGetRelid(rel), att,
					   is_needed(att->attnum, needed));
	}
	if (map->on_error == KAFKA_ON_ERROR_NULL && needs_errors(map))
		need_all(map);
	map->format->check(map);
	map->state = map->format->begin(map);
	if (map->key != NULL)
	{
		map->key->format->check(map->key);
		map->key->state = map->key->format->begin(map->key);
	}
	return map;
}

/*
 * Tells whether the caller wants to know what is wrong with rows.
 */
static bool
needs_errors(const KafkaRowMap *map)
{
	for (int i = 0; i < map->nmetadata; i++)
	{
		KafkaColumnSource source = map->metadata[i]->options->source;

		if (map->metadata[i]->needed &&
			(source == KAFKA_COLUMN_ERROR || source == KAFKA_COLUMN_JUNK))
			return true;
	}
	return false;
}

/*
 * Has all columns decoded.
 */
static void
need_all(KafkaRowMap *map)
{
	for (int i = 0; i < map->ncolumns; i++)
		map->columns[i].needed = true;
	map->needs_payload |= map->npayload > 0;
	map->needs_headers = true;
	if (map->key != NULL)
		map->key->needs_payload = true;
}

/*
 * Returns the row map of columns from the key, which it makes for the first.
 */
static KafkaRowMap *
key_map(KafkaRowMap *map)
{
	KafkaTableOptions *options;
	KafkaRowMap *key = map->key;

	if (key != NULL)
		return key;
	options = palloc0(sizeof(KafkaTableOptions));
	options->format = map->options->key_format;
	options->strict = map->options->strict;
	key = map->key = palloc0(sizeof(KafkaRowMap));
	key->options = options;
	key->format = find_format(options->format);
	key->encoding = PG_UTF8;
	key->relname = map->relname;
	key->natts = map->natts;
	key->payload = palloc_array(KafkaColumn *, map->natts);
	key->owner = map->owner;
	key->context = map->context;
	initStringInfo(&key->scratch);
	return key;
}

/*
 * Returns the format of that name.
 */
static const KafkaFormat *
find_format(const char *name)
{
	for (int i = 0; i < lengthof(formats); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("format \"%s\" does not exist", name)));
}

/*
 * Adds one live column of the table.
 */
static void
add_column(KafkaRowMap *map, Oid relid, Form_pg_attribute att, bool needed)
{
	KafkaColumn *column = &map->columns[map->ncolumns++];

	column->index = att->attnum - 1;
	column->name = pstrdup(NameStr(att->attname));
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->not_null = att->attnotnull;
	column->needed = needed;
	column->options = kafka_options_column(relid, att->attnum, column->name);
	column->encoding = is_value(column->options->source) ? map->encoding :
		PG_UTF8;
	kafka_column_lookup(column);
	check_column(column);
	check_force(map, column);
	map->checks_nulls |= column->not_null || !column->input.fn_strict;
	map->prints_names |= kafka_output_prints_names(column->base);

	switch (column->options->source)
	{
		case KAFKA_COLUMN_PAYLOAD:
			map->payload[map->npayload++] = column;
			map->needs_payload |= needed;
			break;
		case KAFKA_COLUMN_KEY_FIELD:
			add_key_column(key_map(map), column);
			break;
		case KAFKA_COLUMN_HEADERS:
		case KAFKA_COLUMN_HEADER:
			map->needs_headers |= needed;
			map->metadata[map->nmetadata++] = column;
			break;
		default:
			map->metadata[map->nmetadata++] = column;
	}
}

/*
 * Adds a column to the map of the key.
 */
static void
add_key_column(KafkaRowMap *key, KafkaColumn *column)
{
	key->payload[key->npayload++] = column;
	key->needs_payload |= column->needed;
}

/*
 * Tells whether the caller of kafka_rowmap_create() wants a column.
 */
static bool
is_needed(AttrNumber attnum, const Bitmapset *needed)
{
	return needed == NULL ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed) ||
		bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, needed);
}

/*
 * Raises an error where a column's type does not fit what it is to hold.
 */
static void
check_column(const KafkaColumn *column)
{
	KafkaColumnSource source = column->options->source;

	if (source == KAFKA_COLUMN_HEADERS)
		kafka_headers_check_type(column);
	else if (!is_type_allowed(column))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" cannot hold a message's %s as type %s",
						column->name, kafka_column_source_name(source),
						format_type_with_typemod(column->type,
												 column->typmod))));
	if (column->options->epoch != KAFKA_EPOCH_NONE &&
		(!may_have_epoch(source) ||
		 (column->base != TIMESTAMPTZOID && column->base != TIMESTAMPOID)))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" cannot have the option \"epoch\"",
						column->name),
				 errdetail("The option is for timestamps from the message's value, its key or a header.")));
}

/*
 * Tells whether a source is the message's value or a part of it.
 */
static bool
is_value(KafkaColumnSource source)
{
	return source == KAFKA_COLUMN_PAYLOAD || source == KAFKA_COLUMN_VALUE ||
		source == KAFKA_COLUMN_JUNK;
}

/*
 * Raises an error where the column's options are for csv, and it is not.
 */
static void
check_force(const KafkaRowMap *map, const KafkaColumn *column)
{
	const KafkaColumnOptions *options = column->options;

	if ((options->force_null || options->force_not_null) &&
		(options->source != KAFKA_COLUMN_PAYLOAD ||
		 map->format != &kafka_format_csv))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("column \"%s\" cannot have the option \"%s\"",
						column->name, options->force_null ? "force_null" :
						"force_not_null"),
				 errdetail("The option is for fields of format \"csv\".")));
}

/*
 * Tells whether values of a source are decoded from text.
 */
static bool
may_have_epoch(KafkaColumnSource source)
{
	return source == KAFKA_COLUMN_PAYLOAD || source == KAFKA_COLUMN_HEADER ||
		source == KAFKA_COLUMN_KEY_FIELD;
}

/*
 * Tells whether a column has a type for its source, headers apart.
 */
static bool
is_type_allowed(const KafkaColumn *column)
{
	Oid			base = column->base;

	switch (column->options->source)
	{
		case KAFKA_COLUMN_TOPIC:
		case KAFKA_COLUMN_TIMESTAMP_TYPE:
		case KAFKA_COLUMN_ERROR:
			return is_text_type(base);
		case KAFKA_COLUMN_ORDINALITY:
			return base == INT4OID || base == INT8OID;
		case KAFKA_COLUMN_PARTITION:
		case KAFKA_COLUMN_LEADER_EPOCH:
			return base == INT4OID || base == INT2OID || base == INT8OID;
		case KAFKA_COLUMN_OFFSET:
			return base == INT8OID;
		case KAFKA_COLUMN_TIMESTAMP:
			return base == TIMESTAMPTZOID;
		case KAFKA_COLUMN_KEY:
		case KAFKA_COLUMN_VALUE:
		case KAFKA_COLUMN_JUNK:
			return is_text_type(base) || base == BYTEAOID ||
				base == JSONOID || base == JSONBOID;
		default:
			return true;
	}
}

/*
 * Tells whether a type is of the string category.
 */
static bool
is_text_type(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING;
}


/*
 * kafka_output_prints_names
 *		Tells whether values of a type may be printed as names that depend on
 *		search_path: those of pg_class and its like, and whatever is not built
 *		in.
 */
bool
kafka_output_prints_names(Oid type)
{
	Oid			element = get_element_type(type);

	switch (OidIsValid(element) ? element : type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return type >= FirstUnpinnedObjectId && !type_is_enum(type);
	}
}
