/*-------------------------------------------------------------------------
 *
 * quals.h
 *	  Conditions on topic, partition, offset and time as boxes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_QUALS_H
#define KAFKA_QUALS_H

#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "utils/rel.h"

/* What a condition can be about. */
typedef enum KafkaQualAxis
{
	KAFKA_AXIS_PARTITION,
	KAFKA_AXIS_OFFSET,
	KAFKA_AXIS_TIME,			/* ms since 1970 */
	KAFKA_AXIS_TOPIC
} KafkaQualAxis;

#define KAFKA_NUMERIC_AXES 3
#define KAFKA_AXES 4

/* Names between two, in the order of their bytes. */
typedef struct KafkaTopicBounds
{
	const char *min;			/* NULL for no bound */
	const char *max;
	bool		above;			/* min itself is not in */
	bool		below;			/* max itself is not in */
} KafkaTopicBounds;

/* Everything between the bounds of each axis; numbers are inclusive. */
typedef struct KafkaBox
{
	int64		min[KAFKA_NUMERIC_AXES];
	int64		max[KAFKA_NUMERIC_AXES];
	KafkaTopicBounds topic;
} KafkaBox;

/* Which column of a foreign table is on an axis, or 0. */
typedef struct KafkaQualColumns
{
	AttrNumber	attnum[KAFKA_AXES];
} KafkaQualColumns;

/* A condition ready to be evaluated; opaque. */
typedef struct KafkaQual KafkaQual;

/* quals.c */
extern KafkaQualColumns kafka_quals_columns(Relation rel);
extern bool kafka_quals_pushable(Expr *clause, Index varno,
								 const KafkaQualColumns *columns);
extern List *kafka_quals_prepare(List *clauses, Index varno,
								 const KafkaQualColumns *columns,
								 PlanState *parent);
extern bool kafka_quals_need_execution(List *quals);

/* quals_boxes.c */
extern List *kafka_quals_boxes(List *quals, ExprContext *econtext);
extern bool kafka_box_has_topic(const KafkaBox *box, const char *topic);
extern int64 kafka_boxes_size(List *boxes);

#endif							/* KAFKA_QUALS_H */
