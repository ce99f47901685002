/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options as structs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_class.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "option_defs.h"
#include "options.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static const char *const column_source_names[] = {
	[KAFKA_COLUMN_PAYLOAD] = "payload",
	[KAFKA_COLUMN_TOPIC] = "topic",
	[KAFKA_COLUMN_PARTITION] = "partition",
	[KAFKA_COLUMN_OFFSET] = "offset",
	[KAFKA_COLUMN_TIMESTAMP] = "timestamp",
	[KAFKA_COLUMN_KEY] = "key",
	[KAFKA_COLUMN_VALUE] = "value",
	[KAFKA_COLUMN_HEADERS] = "headers",
	[KAFKA_COLUMN_TIMESTAMP_TYPE] = "timestamp_type",
	[KAFKA_COLUMN_LEADER_EPOCH] = "leader_epoch",
	[KAFKA_COLUMN_ORDINALITY] = "ordinality",
	[KAFKA_COLUMN_ERROR] = "error",
	[KAFKA_COLUMN_JUNK] = "junk",
	[KAFKA_COLUMN_HEADER] = "header",
	[KAFKA_COLUMN_KEY_FIELD] = "field of the key",
};

extern Datum kafka_fdw_handler(PG_FUNCTION_ARGS);
extern Datum kafka_fdw_validator(PG_FUNCTION_ARGS);

static List *mapping_options(Oid userid, Oid serverid);
static void check_validator(Oid fdwid);
static void take_client(KafkaClientOptions *client, List *options, int where);
static void take_property(KafkaClientOptions *client,
						  const KafkaOptionDef *def, char *value, int where);
static void take_table(KafkaTableOptions *table, List *options,
					   bool *ignore_junk);
static bool take_column(KafkaColumnOptions *column, DefElem *option,
						const char *name);
static bool take_adjust(KafkaColumnOptions *column, DefElem *option);
static bool has_junk_column(Oid relid);
static bool is_metadata(KafkaColumnSource source);
static KafkaColumnSource source_by_name(const char *name, bool *found);
static int	time_value(const char *value);

/*
 * kafka_options_client
 *		Returns what a client of the server is opened with by the user.
 *
 * A user mapping, the user's own or PUBLIC's, is optional.  All options are
 * checked again, but for who set them: only the validator can know.
 */
KafkaClientOptions *
kafka_options_client(Oid serverid, Oid userid)
{
	KafkaClientOptions *client = palloc0(sizeof(KafkaClientOptions));
	ForeignServer *server = GetForeignServer(serverid);

	client->serverid = serverid;
	client->server = server->servername;
	client->owner_is_superuser = superuser_arg(server->owner);
	client->userid = userid;
	client->user = GetUserNameFromId(userid, false);
	client->user_is_superuser = superuser_arg(userid);
	client->timeout = kafka_timeout;
	client->delivery = kafka_delivery;
	check_validator(server->fdwid);
	take_client(client, server->options, ON_SERVER);
	take_client(client, mapping_options(userid, serverid), ON_MAPPING);

	return client;
}

/*
 * kafka_options_get
 *		Returns the value that a property has been given, or NULL.
 */
const char *
kafka_options_get(const KafkaClientOptions *client, const char *name)
{
	const char *value = NULL;
	ListCell   *lc;

	foreach(lc, client->properties)
	{
		KafkaProperty *property = lfirst(lc);

		if (strcmp(property->name, name) == 0)
			value = property->value;
	}
	return value;
}

/*
 * kafka_options_set
 *		Sets a property, which the caller knows better than any option.
 */
void
kafka_options_set(KafkaClientOptions *client, const char *name,
				  const char *value)
{
	KafkaProperty *property = palloc0(sizeof(KafkaProperty));

	property->name = name;
	property->value = value;
	property->clients = kafka_option_find(name)->clients;
	client->properties = lappend(client->properties, property);
}

/*
 * kafka_options_default
 *		Sets a property that any option overrides.
 */
void
kafka_options_default(KafkaClientOptions *client, const char *name,
					  const char *value)
{
	KafkaProperty *property;

	kafka_options_set(client, name, value);
	property = llast(client->properties);
	client->properties = lcons(property, list_delete_last(client->properties));
}

/*
 * kafka_options_limit
 *		Sets a property that is a number, unless it is lower already.
 */
void
kafka_options_limit(KafkaClientOptions *client, const char *name, int64 value)
{
	const char *set = kafka_options_get(client, name);

	if (set == NULL || strtoll(set, NULL, 10) > value)
		kafka_options_set(client, name, psprintf(INT64_FORMAT, value));
}

/*
 * kafka_options_copy
 *		Returns a copy that owes nothing to the original's memory.
 */
KafkaClientOptions *
kafka_options_copy(const KafkaClientOptions *client)
{
	KafkaClientOptions *copy = palloc(sizeof(KafkaClientOptions));
	ListCell   *lc;

	*copy = *client;
	copy->server = pstrdup(client->server);
	copy->user = pstrdup(client->user);
	if (client->transaction_prefix != NULL)
		copy->transaction_prefix = pstrdup(client->transaction_prefix);
	copy->properties = NIL;
	foreach(lc, client->properties)
	{
		KafkaProperty *property = lfirst(lc);
		KafkaProperty *copied = palloc(sizeof(KafkaProperty));

		*copied = *property;
		copied->name = pstrdup(property->name);
		copied->value = pstrdup(property->value);
		copy->properties = lappend(copy->properties, copied);
	}
	return copy;
}

/*
 * kafka_options_equal
 *		Says whether two clients would be opened with the same properties, in
 *		the same order.
 */
bool
kafka_options_equal(const KafkaClientOptions *a, const KafkaClientOptions *b)
{
	ListCell   *la;
	ListCell   *lb;

	if (a->serverid != b->serverid || a->userid != b->userid ||
		a->timeout != b->timeout ||
		list_length(a->properties) != list_length(b->properties))
		return false;
	forboth(la, a->properties, lb, b->properties)
	{
		KafkaProperty *pa = lfirst(la);
		KafkaProperty *pb = lfirst(lb);

		if (strcmp(pa->name, pb->name) != 0 || strcmp(pa->value, pb->value) != 0)
			return false;
	}
	return true;
}

/*
 * kafka_options_is_ours
 *		Says whether a foreign data wrapper is this extension's, whatever its
 *		name.
 */
bool
kafka_options_is_ours(Oid fdwid)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(fdwid);
	FmgrInfo	handler;

	if (!OidIsValid(wrapper->fdwhandler))
		return false;
	fmgr_info(wrapper->fdwhandler, &handler);
	return handler.fn_addr == kafka_fdw_handler;
}

/*
 * kafka_options_table
 *		Returns the options of a foreign table, with those of its server and
 *		of the user's mapping.
 */
KafkaTableOptions *
kafka_options_table(Oid relid, Oid userid)
{
	KafkaTableOptions *table = palloc0(sizeof(KafkaTableOptions));
	ForeignTable *ft = GetForeignTable(relid);
	bool		ignore_junk = false;

	table->client = kafka_options_client(ft->serverid, userid);
	table->format = "json";
	table->key_format = "raw";
	take_client(table->client, ft->options, ON_TABLE);
	take_table(table, GetForeignServer(ft->serverid)->options, &ignore_junk);
	take_table(table, ft->options, &ignore_junk);
	if (table->on_error == KAFKA_ON_ERROR_ERROR &&
		(ignore_junk || has_junk_column(relid)))
		table->on_error = KAFKA_ON_ERROR_NULL;
	if (table->topic == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"topic\" of foreign table \"%s\" is missing",
						get_rel_name(relid))));

	return table;
}

/*
 * kafka_options_column
 *		Returns the options of one column of a foreign table.
 *
 * name is the column's name: with a leading underscore the name of a metadata
 * column needs no option.
 */
KafkaColumnOptions *
kafka_options_column(Oid relid, AttrNumber attnum, const char *name)
{
	KafkaColumnOptions *column = palloc0(sizeof(KafkaColumnOptions));
	bool		given = false;
	ListCell   *lc;

	column->source = KAFKA_COLUMN_PAYLOAD;
	foreach(lc, GetForeignColumnOptions(relid, attnum))
		given |= take_column(column, lfirst_node(DefElem, lc), name);
	if (!given && column->path == NULL && column->key == NULL && name[0] == '_')
		column->source = source_by_name(name + 1, &given);
	if (column->path != NULL && column->key != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("column \"%s\" cannot have both options \"path\" and \"json\"",
						name)));
	if (is_metadata(column->source) &&
		(column->path != NULL || column->epoch != KAFKA_EPOCH_NONE))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("metadata column \"%s\" cannot have option \"%s\"",
						name, column->path != NULL ? "path" : "epoch")));

	return column;
}

/*
 * Takes one option of a column; true if it says where the value comes from.
 */
static bool
take_column(KafkaColumnOptions *column, DefElem *option, const char *name)
{
	KafkaColumnSource before = column->source;
	char	   *value = defGetString(option);
	bool		found = false;

	if (strcmp(option->defname, "path") == 0)
		column->path = value;
	else if (strcmp(option->defname, "epoch") == 0)
		column->epoch = strcmp(value, "s") == 0 ? KAFKA_EPOCH_S :
			strcmp(value, "ms") == 0 ? KAFKA_EPOCH_MS : KAFKA_EPOCH_US;
	else if (strcmp(option->defname, "metadata") == 0)
		column->source = source_by_name(value, &found);
	else if (strcmp(option->defname, "source") == 0)
	{
		column->source = strcmp(value, "key") == 0 ?
			KAFKA_COLUMN_KEY_FIELD : KAFKA_COLUMN_HEADER;
		found = true;
	}
	else
		found = take_adjust(column, option);
	if (found && before != KAFKA_COLUMN_PAYLOAD)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("column \"%s\" cannot have two sources", name)));
	return found;
}

/*
 * Takes one option of adjust/kafka_fdw; true if it says where the value comes
 * from.
 */
static bool
take_adjust(KafkaColumnOptions *column, DefElem *option)
{
	const char *name = option->defname;

	if (strcmp(name, "json") == 0)
		column->key = defGetString(option);
	else if (strcmp(name, "force_null") == 0)
		column->force_null = defGetBoolean(option);
	else if (strcmp(name, "force_not_null") == 0)
		column->force_not_null = defGetBoolean(option);
	else if (defGetBoolean(option))
	{
		column->source = strcmp(name, "partition") == 0 ?
			KAFKA_COLUMN_PARTITION : strcmp(name, "offset") == 0 ?
			KAFKA_COLUMN_OFFSET : strcmp(name, "junk") == 0 ?
			KAFKA_COLUMN_JUNK : KAFKA_COLUMN_ERROR;
		return true;
	}
	return false;
}

/*
 * kafka_column_source_name
 *		Returns the name that option "metadata" has for a source.
 */
const char *
kafka_column_source_name(KafkaColumnSource source)
{
	return column_source_names[source];
}

/*
 * Raises an ERROR for a wrapper whose options nobody has checked.
 */
static void
check_validator(Oid fdwid)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(fdwid);
	FmgrInfo	validator;

	if (OidIsValid(wrapper->fdwvalidator))
	{
		fmgr_info(wrapper->fdwvalidator, &validator);
		if (validator.fn_addr == kafka_fdw_validator)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("foreign-data wrapper \"%s\" does not check options",
					wrapper->fdwname),
			 errhint("Use ALTER FOREIGN DATA WRAPPER ... VALIDATOR kafka.fdw_validator.")));
}

/*
 * Adds what is about the client from an option list.
 */
static void
take_client(KafkaClientOptions *client, List *options, int where)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const KafkaOptionDef *def = kafka_option_find(option->defname);
		char	   *value = defGetString(option);

		if (def == NULL)
			kafka_option_reject_unknown(option->defname);
		kafka_option_check_place(def, option->defname, where);
		kafka_option_check_value(def, value);
		if (def->clients != 0)
			take_property(client, def, value, where);
		else if (strcmp(def->name, "timeout") == 0)
			client->timeout = time_value(value);
		else if (strcmp(def->name, "password_required") == 0 &&
				 (where == ON_SERVER || client->owner_is_superuser))
			client->lent = !defGetBoolean(option);
		else if (strcmp(def->name, "transactional_id_prefix") == 0)
			client->transaction_prefix = value;
		else if (strcmp(def->name, "delivery") == 0)
			client->delivery = strcmp(value, "immediate") == 0 ?
				KAFKA_DELIVERY_IMMEDIATE : KAFKA_DELIVERY_COMMIT;
	}
}

static void
take_property(KafkaClientOptions *client, const KafkaOptionDef *def,
			  char *value, int where)
{
	KafkaProperty *property = palloc0(sizeof(KafkaProperty));

	property->name = def->name;
	property->value = value;
	property->clients = def->clients;
	property->mapped = where == ON_MAPPING;
	client->properties = lappend(client->properties, property);
}

/*
 * Takes what is about the table from an option list.
 */
static void
take_table(KafkaTableOptions *table, List *options, bool *ignore_junk)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const char *name = option->defname;
		char	   *value = defGetString(option);

		if (strcmp(name, "topic") == 0)
			table->topic = value;
		else if (strcmp(name, "format") == 0)
			table->format = value;
		else if (strcmp(name, "key_format") == 0)
			table->key_format = value;
		else if (strcmp(name, "rows") == 0)
			table->rows = value;
		else if (strcmp(name, "on_error") == 0)
			table->on_error = strcmp(value, "skip") == 0 ? KAFKA_ON_ERROR_SKIP :
				strcmp(value, "null") == 0 ? KAFKA_ON_ERROR_NULL :
				KAFKA_ON_ERROR_ERROR;
		else if (strcmp(name, "ignore_junk") == 0)
			*ignore_junk = defGetBoolean(option);
		else if (strcmp(name, "encoding") == 0)
			table->encoding = value;
		else if (strcmp(name, "strict") == 0)
			table->strict = defGetBoolean(option);
		else if (strcmp(name, "delimiter") == 0)
			table->delimiter = value;
		else if (strcmp(name, "quote") == 0)
			table->quote = value;
		else if (strcmp(name, "escape") == 0)
			table->escape = value;
		else if (strcmp(name, "null") == 0)
			table->null = value;
	}
}

/*
 * Tells whether a column is for bad messages or their errors by an option of
 * adjust/kafka_fdw.
 */
static bool
has_junk_column(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);

	for (int attnum = 1; attnum <= natts; attnum++)
	{
		ListCell   *lc;

		foreach(lc, GetForeignColumnOptions(relid, attnum))
		{
			DefElem    *option = lfirst_node(DefElem, lc);

			if ((strcmp(option->defname, "junk") == 0 ||
				 strcmp(option->defname, "junk_error") == 0) &&
				defGetBoolean(option))
				return true;
		}
	}
	return false;
}

/*
 * Returns the options of the user's mapping, or of PUBLIC's, or none.
 *
 * GetUserMapping() is no use here: it makes a missing mapping an ERROR, and
 * a broker without authentication needs none.
 */
static List *
mapping_options(Oid userid, Oid serverid)
{
	HeapTuple	tuple;
	Datum		datum;
	bool		isnull;
	List	   *options = NIL;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
							ObjectIdGetDatum(userid),
							ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
								ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		return NIL;

	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);

	return options;
}

/*
 * Tells whether a source is a part of the message as it is.
 */
static bool
is_metadata(KafkaColumnSource source)
{
	return source != KAFKA_COLUMN_PAYLOAD && source != KAFKA_COLUMN_HEADER &&
		source != KAFKA_COLUMN_KEY_FIELD;
}

static KafkaColumnSource
source_by_name(const char *name, bool *found)
{
	for (int i = 0; i < lengthof(column_source_names); i++)
		if (is_metadata(i) && i != KAFKA_COLUMN_JUNK &&
			strcmp(name, column_source_names[i]) == 0)
		{
			*found = true;
			return i;
		}
	*found = false;
	return KAFKA_COLUMN_PAYLOAD;
}

static int
time_value(const char *value)
{
	int			ms;

	if (!parse_int(value, &ms, GUC_UNIT_MS, NULL))
		elog(ERROR, "invalid time \"%s\"", value);
	return ms;
}
