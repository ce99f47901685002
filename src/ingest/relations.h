/*-------------------------------------------------------------------------
 *
 * relations.h
 *	  What a subscription reads and what it writes: checks, and which column
 *	  goes where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_RELATIONS_H
#define KAFKA_RELATIONS_H

#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

/* A column of the target that is filled from the source. */
typedef struct KafkaColumnMap
{
	AttrNumber	source;
	AttrNumber	target;
	ExprState  *coercion;		/* of a CaseTestExpr, or NULL */
} KafkaColumnMap;

extern Relation kafka_open_source(Oid relid, const char *subscription);
extern Relation kafka_open_target(Oid relid, const char *subscription);
extern void kafka_check_source(Relation source, Oid userid);
extern void kafka_check_server(Relation source, Oid userid);
extern bool kafka_target_needs_executor(Relation target, Oid userid);
extern void kafka_check_insert(Relation target, Oid userid,
							   const List *columns);
extern void kafka_check_upsert(Relation target, Oid userid);
extern List *kafka_map_columns(Relation source, Relation target);

#endif							/* KAFKA_RELATIONS_H */
