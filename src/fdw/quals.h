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

/* What a condition can be about. */
typedef enum KafkaQualAxis
{
	KAFKA_AXIS_PARTITION,
	KAFKA_AXIS_OFFSET,
	KAFKA_AXIS_TIME				/* ms since 1970 */
} KafkaQualAxis;

#define KAFKA_AXES 3

/* Everything between the bounds of each axis; bounds are inclusive. */
typedef struct KafkaBox
{
	int64		min[KAFKA_AXES];
	int64		max[KAFKA_AXES];
} KafkaBox;

/* Which column of a foreign table is on an axis, or 0. */
typedef struct KafkaQualColumns
{
	AttrNumber	attnum[KAFKA_AXES];
} KafkaQualColumns;

/*
 * Returns the first offset of a partition whose message has that time or a
 * later one, or KAFKA_OFFSET_MAX when there is none.
 */
typedef int64 (*KafkaOffsetForTime) (void *arg, int32 partition, int64 time);

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
extern bool kafka_quals_contain(List *boxes, int32 partition, int64 offset);
extern List *kafka_quals_ranges(List *boxes,
								const KafkaPartitionOffsets *partition,
								KafkaOffsetForTime offset_for_time, void *arg);

#endif							/* KAFKA_QUALS_H */
