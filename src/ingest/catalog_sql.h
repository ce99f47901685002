/*-------------------------------------------------------------------------
 *
 * catalog_sql.h
 *	  How the extension's own tables are read and written.
 *
 * NOTES
 *	  For the files that know one of these tables; everybody else reads
 *	  catalog.h and its like.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CATALOG_SQL_H
#define KAFKA_CATALOG_SQL_H

#include "executor/spi.h"

#define KAFKA_STATEMENT_ARGS 20

/* A statement; planned at its first use and kept. */
typedef struct KafkaStatement
{
	const char *sql;
	int			nargs;
	Oid			types[KAFKA_STATEMENT_ARGS];
	SPIPlanPtr	plan;
} KafkaStatement;

/* What kafka_catalog_enter() has changed, for kafka_catalog_leave(). */
typedef struct KafkaCatalogScope
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;
	MemoryContext context;		/* the caller's */
} KafkaCatalogScope;

extern void kafka_catalog_enter(KafkaCatalogScope *scope);
extern void kafka_catalog_leave(KafkaCatalogScope *scope);
extern void kafka_catalog_run(KafkaStatement *statement, Datum *values,
							  const bool *nulls);
extern Datum kafka_catalog_column(int row, int column);
extern Datum kafka_catalog_column_or_null(int row, int column, bool *isnull);
extern char *kafka_catalog_text(int row, int column);
extern List *kafka_catalog_names(int row, int column);
extern Bitmapset *kafka_catalog_numbers(int row, int column);
extern Datum kafka_catalog_put_text(const char *text, bool *isnull);
extern Datum kafka_catalog_put_names(const List *names, bool *isnull);
extern Datum kafka_catalog_put_numbers(const Bitmapset *numbers, bool *isnull);

#endif							/* KAFKA_CATALOG_SQL_H */
