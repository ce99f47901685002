/*-------------------------------------------------------------------------
 *
 * quals.h
 *	  Conditions on partition and offset as ranges to read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_QUALS_H
#define KAFKA_QUALS_H

#include "client/consumer.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "utils/rel.h"

/* All (partition, offset) in a rectangle; bounds are inclusive. */
typedef struct KafkaBox
{
	int64		min_partition;
	int64		max_partition;
	int64		min_offset;
	int64		max_offset;
} KafkaBox;

/* Which columns of a foreign table are partition and offset, or 0. */
typedef struct KafkaQualColumns
{
	AttrNumber	partition;
	AttrNumber	offset;
} KafkaQualColumns;

/* A condition ready to be evaluated; opaque. */
typedef struct KafkaQual KafkaQual;

extern KafkaQualColumns kafka_quals_columns(Relation rel);
extern bool kafka_quals_pushable(Expr *clause, Index varno,
								 const KafkaQualColumns *columns);
extern List *kafka_quals_prepare(List *clauses, Index varno,
								 const KafkaQualColumns *columns,
								 PlanState *parent);
extern bool kafka_quals_need_execution(List *quals);
extern List *kafka_quals_boxes(List *quals, ExprContext *econtext);
extern List *kafka_quals_ranges(List *boxes,
								const KafkaPartitionOffsets *partition);

#endif							/* KAFKA_QUALS_H */
