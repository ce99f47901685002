/*-------------------------------------------------------------------------
 *
 * apply_parts.h
 *	  Messages that cannot be applied all together: part by part.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_APPLY_PARTS_H
#define KAFKA_APPLY_PARTS_H

#include "ingest/apply.h"
#include "ingest/batch_search.h"

extern void kafka_apply_parts(KafkaApply *apply, KafkaBatchSearch *search);

#endif							/* KAFKA_APPLY_PARTS_H */
