/*-------------------------------------------------------------------------
 *
 * relations.c
 *	  What a subscription reads and what it writes: checks, and which column
 *	  goes where.
 *
 * NOTES
 *	  The same checks are made when a subscription is created, for a message
 *	  to who creates it, and in each batch, for privileges and tables change.
 *
 *	  COPY checks no privileges, so that is up to us; and as it applies no
 *	  row-level security, who is subject to it is no user of COPY here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "ingest/relations.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "options.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

static Relation open_relation(Oid relid, LOCKMODE lockmode, const char *what,
							  const char *subscription);
static void reject_privileges(Relation target);
static void check_kind(Relation target, bool others);
static bool is_kafka_table(Relation relation);
static Form_pg_attribute find_column(Relation relation, const char *name);
static bool carries_data(Relation source, AttrNumber attnum);
static KafkaColumnMap *map_column(Relation source, Form_pg_attribute from,
								  Relation target, Form_pg_attribute to);

/*
 * kafka_open_source
 *		Opens and locks the source; an ERROR says which subscription misses
 *		it.
 */
Relation
kafka_open_source(Oid relid, const char *subscription)
{
	return open_relation(relid, AccessShareLock, "source", subscription);
}

/*
 * kafka_open_target
 *		Opens and locks the target; an ERROR says which subscription misses
 *		it.
 */
Relation
kafka_open_target(Oid relid, const char *subscription)
{
	return open_relation(relid, RowExclusiveLock, "target", subscription);
}

static Relation
open_relation(Oid relid, LOCKMODE lockmode, const char *what,
			  const char *subscription)
{
	Relation	relation = try_table_open(relid, lockmode);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("%s table of subscription \"%s\" does not exist",
						what, subscription),
				 errhint("Use kafka.drop_subscription() to drop the subscription.")));
	return relation;
}

/*
 * kafka_check_source
 *		Raises an ERROR unless the relation is a table of kafka_fdw that the
 *		user may read.
 */
void
kafka_check_source(Relation source, Oid userid)
{
	AclResult	result;

	if (!is_kafka_table(source))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a foreign table of kafka_fdw",
						RelationGetRelationName(source))));
	result = pg_class_aclcheck(RelationGetRelid(source), userid, ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE,
					   RelationGetRelationName(source));
}

/*
 * kafka_check_server
 *		Raises an ERROR unless the user may use the source's server.
 */
void
kafka_check_server(Relation source, Oid userid)
{
	ForeignTable *table = GetForeignTable(RelationGetRelid(source));
	ForeignServer *server = GetForeignServer(table->serverid);
	AclResult	result = kafka_compat_server_aclcheck(server->serverid, userid,
													  ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, server->servername);
}

/*
 * kafka_target_needs_executor
 *		Says whether the target is something that COPY cannot write with all
 *		that an INSERT of the user's does.
 */
bool
kafka_target_needs_executor(Relation target, Oid userid)
{
	return target->rd_rel->relkind == RELKIND_VIEW ||
		target->rd_rel->relkind == RELKIND_FOREIGN_TABLE ||
		check_enable_rls(RelationGetRelid(target), userid, true) == RLS_ENABLED;
}

/*
 * kafka_check_insert
 *		Raises an ERROR unless the relation is something into whose columns the
 *		user may insert.
 *
 * columns is a list of KafkaColumnMap.
 */
void
kafka_check_insert(Relation target, Oid userid, const List *columns)
{
	Oid			relid = RelationGetRelid(target);
	ListCell   *lc;

	check_kind(target, true);
	if (pg_class_aclcheck(relid, userid, ACL_INSERT) == ACLCHECK_OK)
		return;
	foreach(lc, columns)
	{
		KafkaColumnMap *column = lfirst(lc);

		if (pg_attribute_aclcheck(relid, column->target, userid,
								  ACL_INSERT) != ACLCHECK_OK)
			reject_privileges(target);
	}
}

/*
 * kafka_check_upsert
 *		Raises an ERROR unless the relation is a table in which the user may
 *		insert, update and delete.
 */
void
kafka_check_upsert(Relation target, Oid userid)
{
	AclMode		needed = ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE;

	check_kind(target, false);
	if (pg_class_aclmask(RelationGetRelid(target), userid, needed,
						 ACLMASK_ALL) != needed)
		reject_privileges(target);
}

static void
reject_privileges(Relation target)
{
	aclcheck_error(ACLCHECK_NO_PRIV,
				   get_relkind_objtype(target->rd_rel->relkind),
				   RelationGetRelationName(target));
}

/*
 * Raises an ERROR unless the relation is a table, or, with others, something
 * else that takes an INSERT.
 */
static void
check_kind(Relation target, bool others)
{
	char		kind = target->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		!(others && (kind == RELKIND_VIEW || kind == RELKIND_FOREIGN_TABLE)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot use \"%s\" as target of a subscription",
						RelationGetRelationName(target)),
				 errdetail_relkind_not_supported(kind)));
	if (kind == RELKIND_FOREIGN_TABLE &&
		GetFdwRoutineForRelation(target, false)->ExecForeignInsert == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into foreign table \"%s\"",
						RelationGetRelationName(target))));
	if (RelationUsesLocalBuffers(target))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot use \"%s\" as target of a subscription",
						RelationGetRelationName(target)),
				 errdetail("Other sessions cannot write to a temporary table.")));
}

/*
 * kafka_map_columns
 *		Matches the target's columns with the source's by name, and returns a
 *		list of KafkaColumnMap.
 *
 * Generated columns are not filled.  Raises an ERROR when a value could not be
 * assigned, or when nothing of a message's data would be stored.
 */
List *
kafka_map_columns(Relation source, Relation target)
{
	TupleDesc	tupdesc = RelationGetDescr(target);
	List	   *columns = NIL;
	bool		stores_data = false;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute to = TupleDescAttr(tupdesc, i);
		Form_pg_attribute from;

		if (to->attisdropped || to->attgenerated != '\0')
			continue;
		from = find_column(source, NameStr(to->attname));
		if (from == NULL)
			continue;
		columns = lappend(columns, map_column(source, from, target, to));
		stores_data = stores_data || carries_data(source, from->attnum);
	}
	if (!stores_data)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("tables \"%s\" and \"%s\" have no column in common that carries data",
						RelationGetRelationName(source),
						RelationGetRelationName(target)),
				 errhint("Columns are matched by name.")));
	return columns;
}

static bool
is_kafka_table(Relation relation)
{
	ForeignTable *table;
	ForeignServer *server;
	ForeignDataWrapper *fdw;
	Oid			handler;

	if (relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		return false;
	table = GetForeignTable(RelationGetRelid(relation));
	server = GetForeignServer(table->serverid);
	fdw = GetForeignDataWrapper(server->fdwid);
	handler = LookupFuncName(list_make2(makeString("kafka"),
										makeString("fdw_handler")),
							 0, NULL, true);
	return OidIsValid(handler) && fdw->fdwhandler == handler;
}

static Form_pg_attribute
find_column(Relation relation, const char *name)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		if (!attr->attisdropped && strcmp(NameStr(attr->attname), name) == 0)
			return attr;
	}
	return NULL;
}

/*
 * Says whether a column of the source comes from what was sent, and not only
 * from where it is stored.
 */
static bool
carries_data(Relation source, AttrNumber attnum)
{
	Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(source),
										   attnum - 1);

	switch (kafka_options_column(RelationGetRelid(source), attnum,
								 NameStr(attr->attname))->source)
	{
		case KAFKA_COLUMN_TOPIC:
		case KAFKA_COLUMN_PARTITION:
		case KAFKA_COLUMN_OFFSET:
		case KAFKA_COLUMN_TIMESTAMP:
		case KAFKA_COLUMN_TIMESTAMP_TYPE:
		case KAFKA_COLUMN_LEADER_EPOCH:
		case KAFKA_COLUMN_ORDINALITY:
		case KAFKA_COLUMN_ERROR:
		case KAFKA_COLUMN_JUNK:
			return false;
		default:
			return true;
	}
}

static KafkaColumnMap *
map_column(Relation source, Form_pg_attribute from,
		   Relation target, Form_pg_attribute to)
{
	KafkaColumnMap *column = palloc0(sizeof(KafkaColumnMap));
	CaseTestExpr *value;
	Node	   *expression;

	column->source = from->attnum;
	column->target = to->attnum;
	if (from->atttypid == to->atttypid && from->atttypmod == to->atttypmod)
		return column;

	value = makeNode(CaseTestExpr);
	value->typeId = from->atttypid;
	value->typeMod = from->atttypmod;
	value->collation = from->attcollation;
	expression = coerce_to_target_type(NULL, (Node *) value, from->atttypid,
									   to->atttypid, to->atttypmod,
									   COERCION_ASSIGNMENT,
									   COERCE_IMPLICIT_CAST, -1);
	if (expression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is of type %s but the column of table \"%s\" is of type %s",
						NameStr(to->attname), RelationGetRelationName(target),
						format_type_be(to->atttypid),
						RelationGetRelationName(source),
						format_type_be(from->atttypid)),
				 errhint("Give both columns the same type.")));
	if (!IsA(expression, CaseTestExpr))
		column->coercion = ExecInitExpr(expression_planner((Expr *) expression),
										NULL);
	return column;
}
