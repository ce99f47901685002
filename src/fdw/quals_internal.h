/*-------------------------------------------------------------------------
 *
 * quals_internal.h
 *	  A condition between quals.c, which makes it, and quals_boxes.c, which
 *	  evaluates it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_QUALS_INTERNAL_H
#define KAFKA_QUALS_INTERNAL_H

#include "access/stratnum.h"
#include "fdw/quals.h"

typedef enum QualKind
{
	QUAL_AND,
	QUAL_OR,
	QUAL_COMPARE,				/* column op value */
	QUAL_ANY,					/* column op ANY (array) */
	QUAL_ALL					/* column op ALL (array) */
} QualKind;

/* besides btree's strategies */
#define NotEqualStrategyNumber (BTMaxStrategyNumber + 1)
#define LikeStrategyNumber (BTMaxStrategyNumber + 2)

struct KafkaQual
{
	QualKind	kind;
	List	   *args;			/* of KafkaQual: and, or */
	KafkaQualAxis axis;
	int			strategy;		/* of column op value */
	Oid			type;			/* of value, or of the array's elements */
	Expr	   *value_expr;
	ExprState  *value;			/* NULL before the executor has started */
};

#endif							/* KAFKA_QUALS_INTERNAL_H */
