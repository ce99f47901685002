/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: a foreign table a topic.
 *
 * NOTES
 *	  Kafka has no schemas: the remote schema stands for the cluster, and any
 *	  name will do.  The statement's other options are those of the tables.
 *
 *	  Without the option infer, or where the messages are no JSON objects, a
 *	  table has the metadata columns, the value among them.  With it, a column
 *	  for each key of the objects takes the place of the value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "catalog/pg_foreign_table.h"
#include "client/admin.h"
#include "commands/defrem.h"
#include "compat.h"
#include "fdw/fdw.h"
#include "fdw/infer.h"
#include "fdw/sample.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

/* messages of a topic that columns are inferred from */
#define INFER_MESSAGES 100

/* Metadata columns, in the order of a table. */
typedef struct MetadataColumn
{
	const char *name;
	const char *type;
} MetadataColumn;

static const MetadataColumn metadata_columns[] = {
	{"_partition", "pg_catalog.int4"},
	{"_offset", "pg_catalog.int8"},
	{"_timestamp", "pg_catalog.timestamptz"},
	{"_key", NULL},				/* text, or bytea where it has to be */
	{"_value", NULL},
	{"_headers", "kafka.header[]"}
};

typedef struct KafkaImport
{
	/* for the life of the statement */
	const char *server;
	KafkaClientOptions *client;
	bool		infer;
	const char *format;			/* as given, or NULL */
	List	   *options;		/* of DefElem, without infer and format */
	KafkaConsumer *consumer;	/* with infer */

	/* of the table */
	List	   *names;			/* of its columns so far */
	StringInfoData columns;		/* SQL */
} KafkaImport;

/* the statement */
static void take_options(KafkaImport *import, List *options);
static void check_options(const KafkaImport *import);
static void check_names(List *tables);
static List *choose_topics(KafkaImport *import, ImportForeignSchemaStmt *stmt);
static bool is_wanted(const char *topic, ImportForeignSchemaStmt *stmt);
static bool is_listed(const char *topic, List *tables);
static void check_found(const KafkaImport *import, List *tables, List *topics);
static void check_different(List *topics);
static char *table_name(const char *topic, bool warn);

/* a table */
static char *create_table(KafkaImport *import, const char *topic);
static KafkaInference *infer(KafkaImport *import, const char *topic);
static void add_metadata(KafkaImport *import, const KafkaInference *found,
						 bool with_value);
static void add_field(KafkaImport *import, const KafkaInferredField *field);
static char *column_name(const KafkaImport *import, const char *key);
static bool is_free(const KafkaImport *import, const char *name);
static void add_column(KafkaImport *import, const char *name,
					   const char *type, const char *path);
static char *quote_key(const char *key);
static void append_option(StringInfo sql, const char *name,
						  const char *value);

/*
 * kafkaImportForeignSchema
 *		Returns a CREATE FOREIGN TABLE for each topic that is asked for.
 */
List *
kafkaImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	KafkaImport import = {0};
	List	   *commands = NIL;
	ListCell   *lc;

	import.server = stmt->server_name;
	take_options(&import, stmt->options);
	check_options(&import);
	check_names(stmt->table_list);

	import.client = kafka_options_client(serverOid, GetUserId());
	foreach(lc, choose_topics(&import, stmt))
		commands = lappend(commands, create_table(&import, lfirst(lc)));
	if (import.consumer != NULL)
		kafka_consumer_close(import.consumer);
	return commands;
}

/*
 * Takes the options of the statement apart from those of the tables.
 */
static void
take_options(KafkaImport *import, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "infer") == 0)
			import->infer = defGetBoolean(option);
		else if (strcmp(option->defname, "format") == 0)
			import->format = defGetString(option);
		else if (strcmp(option->defname, "topic") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"topic\" is not allowed for an import"),
					 errhint("Name topics with LIMIT TO.")));
		else
			import->options = lappend(import->options, option);
	}
}

/*
 * Checks the options as those of a table, before Kafka is asked for anything.
 */
static void
check_options(const KafkaImport *import)
{
	const char *format = import->format;
	List	   *options = list_copy(import->options);
	ListCell   *lc;

	if (format == NULL)
		format = import->infer ? "json" : "raw";
	options = lappend(options, makeDefElem("topic",
										   (Node *) makeString("topic"), -1));
	options = lappend(options, makeDefElem("format",
										   (Node *) makeString(pstrdup(format)),
										   -1));
	kafka_options_validate(options, ForeignTableRelationId);
	if (import->infer && strcmp(format, "json") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" cannot be used with format \"%s\"",
						"infer", format)));
	foreach(lc, import->options)
	{
		if (import->infer &&
			strcmp(lfirst_node(DefElem, lc)->defname, "rows") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("options \"%s\" and \"%s\" cannot be used together",
							"infer", "rows")));
	}
}

/*
 * Refuses a name of two parts: it is a topic's name without its quotes.
 */
static void
check_names(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		RangeVar   *table = lfirst_node(RangeVar, lc);

		if (table->schemaname != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("\"%s%s%s.%s\" is not the name of a topic",
							table->catalogname != NULL ? table->catalogname : "",
							table->catalogname != NULL ? "." : "",
							table->schemaname, table->relname),
					 errhint("Write a name that has a point in it in double quotes.")));
	}
}

/*
 * Returns the names of the topics that are asked for, in alphabetical order.
 */
static List *
choose_topics(KafkaImport *import, ImportForeignSchemaStmt *stmt)
{
	KafkaAdmin *admin = kafka_admin_open(import->client);
	KafkaTopicInfo *topics;
	int			n = kafka_admin_topics(admin, &topics);
	List	   *all = NIL;
	List	   *chosen = NIL;
	ListCell   *lc;

	kafka_admin_close(admin);
	for (int i = 0; i < n; i++)
		all = lappend(all, unconstify(char *, topics[i].name));
	if (stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO)
		check_found(import, stmt->table_list, all);
	foreach(lc, all)
	{
		if (is_wanted(lfirst(lc), stmt))
			chosen = lappend(chosen, lfirst(lc));
	}
	check_different(chosen);
	return chosen;
}

/*
 * Says whether a topic is asked for; an internal one only is by its name.
 */
static bool
is_wanted(const char *topic, ImportForeignSchemaStmt *stmt)
{
	if (stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO)
		return is_listed(topic, stmt->table_list);
	if (strncmp(topic, "__", 2) == 0)
		return false;
	return stmt->list_type == FDW_IMPORT_SCHEMA_ALL ||
		!is_listed(topic, stmt->table_list);
}

/*
 * Says whether a topic's table is in a list, whose names have been truncated
 * like that of the table.
 */
static bool
is_listed(const char *topic, List *tables)
{
	char	   *name = table_name(topic, false);
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (strcmp(lfirst_node(RangeVar, lc)->relname, name) == 0)
			return true;
	}
	return false;
}

/*
 * Raises an ERROR for a name of LIMIT TO that no topic has.
 */
static void
check_found(const KafkaImport *import, List *tables, List *topics)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		const char *name = lfirst_node(RangeVar, lc)->relname;
		const char *similar = NULL;
		bool		found = false;
		ListCell   *lc2;

		foreach(lc2, topics)
		{
			char	   *table = table_name(lfirst(lc2), false);

			if (strcmp(table, name) == 0)
				found = true;
			else if (pg_strcasecmp(table, name) == 0)
				similar = lfirst(lc2);
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
					 errmsg("topic \"%s\" does not exist on server \"%s\"",
							name, import->server),
					 similar == NULL ? 0 :
					 errhint("Perhaps you meant the topic \"%s\", in double quotes.",
							 similar)));
	}
}

/*
 * Raises an ERROR for two topics whose tables would have the same name.
 */
static void
check_different(List *topics)
{
	for (int i = 1; i < list_length(topics); i++)
	{
		char	   *a = list_nth(topics, i - 1);
		char	   *b = list_nth(topics, i);

		if (strcmp(table_name(a, false), table_name(b, false)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("topics \"%s\" and \"%s\" would be the same table",
							a, b),
					 errdetail("The name of a table has at most %d bytes.",
							   NAMEDATALEN - 1),
					 errhint("Leave them out with EXCEPT, and create their tables with CREATE FOREIGN TABLE.")));
	}
}

/*
 * Returns the name of a topic's table, truncated like any identifier.
 */
static char *
table_name(const char *topic, bool warn)
{
	char	   *name = pstrdup(topic);

	truncate_identifier(name, strlen(name), warn);
	return name;
}

/*
 * Returns the command that creates the table of a topic.
 */
static char *
create_table(KafkaImport *import, const char *topic)
{
	KafkaInference *found = import->infer ? infer(import, topic) : NULL;
	List	   *fields = NIL;
	const char *format = import->format;
	StringInfoData sql;
	ListCell   *lc;

	if (found != NULL && found->values_are_objects)
		fields = found->fields;
	import->names = NIL;
	initStringInfo(&import->columns);
	foreach(lc, fields)
		add_field(import, lfirst(lc));
	add_metadata(import, found, fields == NIL);
	if (format == NULL)
		format = fields != NIL ? "json" : "raw";

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (%s\n) SERVER %s OPTIONS (",
					 quote_identifier(table_name(topic, true)),
					 import->columns.data, quote_identifier(import->server));
	append_option(&sql, "topic", topic);
	appendStringInfoString(&sql, ", ");
	append_option(&sql, "format", format);
	foreach(lc, import->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		appendStringInfoString(&sql, ", ");
		append_option(&sql, option->defname, defGetString(option));
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Looks at the most recent messages of a topic.
 */
static KafkaInference *
infer(KafkaImport *import, const char *topic)
{
	KafkaInference *found = kafka_infer_begin();
	KafkaSample *sample;
	const KafkaMessage *message;

	if (import->consumer == NULL)
		import->consumer = kafka_sample_consumer(import->client);
	sample = kafka_sample_open(import->consumer, topic);
	kafka_sample_latest(sample, INFER_MESSAGES);
	while ((message = kafka_sample_next(sample)) != NULL)
		kafka_infer_message(found, message);
	kafka_consumer_stop(import->consumer);
	return found;
}

/*
 * Adds the metadata columns.
 */
static void
add_metadata(KafkaImport *import, const KafkaInference *found, bool with_value)
{
	bool		keys_are_text = found == NULL || found->keys_are_text;
	bool		values_are_text = found == NULL || found->values_are_text;

	for (int i = 0; i < lengthof(metadata_columns); i++)
	{
		const MetadataColumn *column = &metadata_columns[i];
		bool		is_value = strcmp(column->name, "_value") == 0;
		bool		as_text = is_value ? values_are_text : keys_are_text;

		if (is_value && !with_value)
			continue;
		add_column(import, column->name,
				   column->type != NULL ? column->type :
				   as_text ? "pg_catalog.text" : "pg_catalog.bytea", NULL);
	}
}

/*
 * Adds the column of a field, with a path if its name is not enough.
 */
static void
add_field(KafkaImport *import, const KafkaInferredField *field)
{
	char	   *name = column_name(import, field->key);
	bool		plain = strcmp(name, field->key) == 0 && name[0] != '_';

	add_column(import, name, kafka_infer_type(field),
			   plain ? NULL : quote_key(field->key));
}

/*
 * Returns a name for the column of a key that no other column has.
 */
static char *
column_name(const KafkaImport *import, const char *key)
{
	char	   *base = pnstrdup(key, pg_mbcliplen(key, strlen(key),
												  NAMEDATALEN - 1));
	char	   *name;

	if (base[0] == '\0')
		base = "column";
	name = base;
	for (int i = 1; !is_free(import, name); i++)
		name = makeObjectName(base, NULL, psprintf("%d", i));
	return name;
}

/*
 * Says whether a column can have a name: not that of a column before, of a
 * metadata column or of a system column.
 */
static bool
is_free(const KafkaImport *import, const char *name)
{
	ListCell   *lc;

	foreach(lc, import->names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return false;
	}
	for (int i = 0; i < lengthof(metadata_columns); i++)
		if (strcmp(metadata_columns[i].name, name) == 0)
			return false;
	return SystemAttributeByName(name) == NULL;
}

/*
 * Adds a column to the table.
 */
static void
add_column(KafkaImport *import, const char *name, const char *type,
		   const char *path)
{
	appendStringInfo(&import->columns, "%s\n\t%s %s",
					 import->names == NIL ? "" : ",",
					 quote_identifier(name), type);
	if (path != NULL)
	{
		appendStringInfoString(&import->columns, " OPTIONS (");
		append_option(&import->columns, "path", path);
		appendStringInfoChar(&import->columns, ')');
	}
	import->names = lappend(import->names, unconstify(char *, name));
}

/*
 * Returns the path that leads to a key, whatever characters it has.
 */
static char *
quote_key(const char *key)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoChar(&path, '"');
	for (; *key != '\0'; key++)
	{
		if (*key == '"' || *key == '\\')
			appendStringInfoChar(&path, '\\');
		appendStringInfoChar(&path, *key);
	}
	appendStringInfoChar(&path, '"');
	return path.data;
}

static void
append_option(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, "%s %s", quote_identifier(name),
					 quote_literal_cstr(value));
}
