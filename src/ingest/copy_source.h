/*-------------------------------------------------------------------------
 *
 * copy_source.h
 *	  Rows, as Datums, through the COPY machinery.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_COPY_SOURCE_H
#define KAFKA_COPY_SOURCE_H

#include "nodes/pg_list.h"
#include "utils/rel.h"

/*
 * Fills the columns of the next row, in the current memory context, which
 * lives until the row is stored; false when there are no more rows.  values
 * and nulls are those of a whole row of the target.
 */
typedef bool (*KafkaNextRow) (void *arg, Datum *values, bool *nulls);

extern uint64 kafka_copy_rows(Relation target, const List *attnums,
							  KafkaNextRow next, void *arg,
							  bool one_by_one);
extern void kafka_copy_forget_context(ErrorData *error);

#endif							/* KAFKA_COPY_SOURCE_H */
