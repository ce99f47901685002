/*-------------------------------------------------------------------------
 *
 * format.h
 *	  Messages to rows and rows to messages: what the rest of the project
 *	  sees of a format, and what a format provides.
 *
 * NOTES
 *	  A row map is the one reading of a foreign table's columns and options.
 *	  Metadata columns (topic, partition, offset, timestamp, key, value,
 *	  headers) are filled by the row map itself, the others (the payload
 *	  columns) by the format.  A dropped column is NULL and in no list.
 *
 *	  Errors raised while a message is decoded carry topic, partition, offset
 *	  and, where it is known, the column in their context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_FORMAT_H
#define KAFKA_FORMAT_H

#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "message.h"
#include "nodes/bitmapset.h"
#include "options.h"

struct KafkaFormat;

/* One live column of the foreign table. */
typedef struct KafkaColumn
{
	int			index;			/* in values[] and nulls[]: attnum - 1 */
	const char *name;
	Oid			type;
	int32		typmod;
	bool		not_null;		/* declared NOT NULL: a NULL is an error */
	bool		needed;			/* decode: the caller wants the value */
	KafkaColumnOptions *options;

	/* looked up by kafka_rowmap_create */
	FmgrInfo	input;			/* text to Datum */
	Oid			ioparam;
	FmgrInfo	output;			/* Datum to text */
} KafkaColumn;

typedef struct KafkaRowMap
{
	/* for the life of the map */
	const KafkaTableOptions *options;
	const struct KafkaFormat *format;
	void	   *state;			/* the format's own, from begin() */
	int			natts;			/* length of values[] and nulls[] */
	KafkaColumn *columns;		/* live columns in table order */
	int			ncolumns;
	KafkaColumn **payload;		/* those of source KAFKA_COLUMN_PAYLOAD */
	int			npayload;
	KafkaColumn **metadata;		/* the others */
	int			nmetadata;
	bool		needs_payload;	/* a needed payload column, a NOT NULL one, or
								 * rows: the value must be decoded */
	bool		needs_headers;	/* a needed headers column */

	/* the message under decode */
	const KafkaMessage *message;
	KafkaColumn *column;		/* the column under conversion, for errors */
	int			row;			/* rows handed out of this message */
	MemoryContext context;		/* holds what the message's rows need; reset
								 * by each kafka_rowmap_start */
} KafkaRowMap;

/*
 * A format.  All callbacks may raise errors; none keeps a pointer into the
 * message beyond the next start.
 *
 * check	raises an error where the options or the columns do not fit the
 *			format; called by begin and when the table is defined
 * begin	makes the format's state in the current memory context
 * start	takes a new message (its value is not NULL); rows are counted, or
 *			parsed, into map->context
 * next		fills values[] and nulls[] of the needed payload columns with the
 *			message's next row, in the current memory context; false when the
 *			message has no more rows
 * encode	appends the payload columns of a row to out
 */
typedef struct KafkaFormat
{
	const char *name;
	void		(*check) (const KafkaRowMap *map);
	void	   *(*begin) (KafkaRowMap *map);
	void		(*start) (KafkaRowMap *map, const KafkaMessage *message);
	bool		(*next) (KafkaRowMap *map, Datum *values, bool *nulls);
	void		(*encode) (KafkaRowMap *map, const Datum *values,
						   const bool *nulls, StringInfo out);
} KafkaFormat;

extern const KafkaFormat kafka_format_json;
extern const KafkaFormat kafka_format_csv;
extern const KafkaFormat kafka_format_text;
extern const KafkaFormat kafka_format_raw;

/* rowmap.c */
extern KafkaRowMap *kafka_rowmap_create(Relation rel,
										const KafkaTableOptions *options,
										const Bitmapset *needed);
extern void kafka_rowmap_start(KafkaRowMap *map, const KafkaMessage *message);
extern bool kafka_rowmap_next(KafkaRowMap *map, Datum *values, bool *nulls);
extern void kafka_rowmap_encode(KafkaRowMap *map, const Datum *values,
								const bool *nulls, KafkaMessage *message);

/* for formats */
extern Datum kafka_column_from_text(KafkaRowMap *map, KafkaColumn *column,
									char *str);
extern char *kafka_column_to_text(KafkaRowMap *map, KafkaColumn *column,
								  Datum value);

#endif							/* KAFKA_FORMAT_H */
