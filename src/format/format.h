/*-------------------------------------------------------------------------
 *
 * format.h
 *	  Messages to rows and rows to messages: what the rest of the project
 *	  sees of a format, and what a format provides.
 *
 * NOTES
 *	  A row map is the one reading of a foreign table's columns and options.
 *	  Metadata columns (topic, partition, offset, timestamp, key, value,
 *	  headers, one header, ...) are filled by the row map itself, the others
 *	  (the payload columns) by the format.  A dropped column is NULL and in no
 *	  list.
 *
 *	  Columns decoded from the key have a row map of their own within the
 *	  table's, for which the key is the message's value.
 *
 *	  Errors raised while a message is decoded carry topic, partition, offset
 *	  and, where it is known, the column in their context.
 *
 *	  Bytes of a message are UTF-8, those of the value whatever the option
 *	  encoding says; "text" below is in the server's encoding.
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
#include "utils/jsonb.h"

struct KafkaFormat;

/* How text becomes a Datum: the first always works, the others are faster. */
typedef enum KafkaConversion
{
	KAFKA_CONVERT_INPUT,		/* the type's input function */
	KAFKA_CONVERT_EPOCH,		/* a number since 1970 to a timestamp */
	KAFKA_CONVERT_TEXT,
	KAFKA_CONVERT_BOOL,
	KAFKA_CONVERT_INT2,
	KAFKA_CONVERT_INT4,
	KAFKA_CONVERT_INT8,
	KAFKA_CONVERT_FLOAT8,
	KAFKA_CONVERT_TIMESTAMP,
	KAFKA_CONVERT_TIMESTAMPTZ
} KafkaConversion;

/* One live column of the foreign table. */
typedef struct KafkaColumn
{
	int			index;			/* in values[] and nulls[]: attnum - 1 */
	const char *name;
	Oid			type;
	int32		typmod;
	Oid			base;			/* type, or what it is a domain over */
	int			encoding;		/* of the bytes it comes from */
	bool		not_null;		/* declared NOT NULL: a NULL is an error */
	bool		needed;			/* decode: the caller wants the value */
	KafkaColumnOptions *options;

	/* looked up by kafka_rowmap_create */
	KafkaConversion conversion;
	FmgrInfo	input;			/* text to Datum */
	Oid			ioparam;
	FmgrInfo	output;			/* Datum to text */
	void	   *domain;			/* cache of domain_check() */
	void	   *headers;		/* cache of headers.c */

	/* the row under decode */
	bool		bad;			/* could not be converted, and is NULL */
} KafkaColumn;

typedef struct KafkaRowMap
{
	/* for the life of the map */
	const KafkaTableOptions *options;
	const struct KafkaFormat *format;
	int			encoding;		/* of the payload */
	const char *relname;		/* of the foreign table, for messages */
	void	   *state;			/* the format's own, from begin() */
	int			natts;			/* length of values[] and nulls[] */
	KafkaColumn *columns;		/* live columns in table order */
	int			ncolumns;
	KafkaColumn **payload;		/* those of source KAFKA_COLUMN_PAYLOAD */
	int			npayload;
	KafkaColumn **metadata;		/* the others, but those of the key */
	int			nmetadata;
	struct KafkaRowMap *key;	/* NULL, or whose payload columns come from
								 * the key; it has no other columns */
	KafkaOnError on_error;		/* for who decodes by rows.c */
	bool		needs_payload;	/* the value must be decoded: a payload column
								 * is needed, or rows are to be counted */
	bool		needs_headers;	/* a needed headers column */
	bool		tombstones;		/* one is a row, even with the option rows;
								 * set by who wants that */
	bool		one_row;		/* a message has no more */
	bool		checks_nulls;	/* a column may not like to be NULL */
	bool		prints_names;	/* as text, a value may depend on search_path */
	MemoryContext owner;		/* where the map is */
	StringInfoData scratch;		/* a NUL-terminated field */

	/* the message under decode */
	const KafkaMessage *message;
	KafkaColumn *column;		/* the column under conversion, for errors */
	int			row;			/* rows handed out of this message */
	bool		done;			/* and it has no more, for sure */
	const char *part;			/* "key" while that is decoded, for errors */
	bool		broken;			/* the payload could not be read, and is NULL */
	const char *error;			/* for the row's column of it, or NULL */
	MemoryContext context;		/* holds what the message's rows need; reset
								 * by each kafka_rowmap_start */
} KafkaRowMap;

/*
 * A format.  All callbacks may raise errors; none keeps a pointer into the
 * message beyond the next start.
 *
 * check	raises an error where the options or the columns do not fit the
 *			format
 * begin	makes the format's state in the current memory context, which
 *			lives as long as the map
 * start	takes a new message (its value is not NULL); current memory context
 *			is map->context
 * next		fills values[] and nulls[] of the needed payload columns that are
 *			not bad with the message's row of number map->row, in the current
 *			memory context; false when the message has no more rows.  It sets
 *			map->done where it knows that this row is the last one.  nulls[]
 *			comes all true.  After an error the same row may be asked for
 *			again, with one more bad column, or the next.
 * writable	raises an error where rows cannot become messages; NULL where they
 *			always can
 * encode	appends the payload columns of a row to out, as the message's bytes
 */
typedef struct KafkaFormat
{
	const char *name;
	bool		many_rows;		/* a message may hold several rows even
								 * without the option rows */
	void		(*check) (const KafkaRowMap *map);
	void	   *(*begin) (KafkaRowMap *map);
	void		(*start) (KafkaRowMap *map, const KafkaMessage *message);
	bool		(*next) (KafkaRowMap *map, Datum *values, bool *nulls);
	void		(*writable) (KafkaRowMap *map);
	void		(*encode) (KafkaRowMap *map, const Datum *values,
						   const bool *nulls, StringInfo out);
} KafkaFormat;

extern const KafkaFormat kafka_format_json;
extern const KafkaFormat kafka_format_csv;
extern const KafkaFormat kafka_format_text;
extern const KafkaFormat kafka_format_raw;

/*
 * rowmap.c, rowmap_decode.c, rowmap_encode.c
 *
 * needed holds attribute numbers less FirstLowInvalidHeapAttributeNumber; 0
 * there means all columns, and so does a NULL set.  Who needs no column at
 * all gives a set of one system column.
 */
extern KafkaRowMap *kafka_rowmap_create(Relation rel,
										const KafkaTableOptions *options,
										const Bitmapset *needed);
extern void kafka_rowmap_start(KafkaRowMap *map, const KafkaMessage *message);
extern bool kafka_rowmap_next(KafkaRowMap *map, Datum *values, bool *nulls);
extern void kafka_rowmap_check_writable(KafkaRowMap *map);
extern void kafka_rowmap_encode(KafkaRowMap *map, const Datum *values,
								const bool *nulls, KafkaMessage *message);
extern int	kafka_output_begin(bool prints_names);
extern bool kafka_output_prints_names(Oid type);
extern void kafka_rowmap_fill_delivery(KafkaRowMap *map,
									   const KafkaMessage *message,
									   Datum *values, bool *nulls);

extern KafkaColumn *kafka_rowmap_column(const KafkaRowMap *map);
extern void kafka_rowmap_forget_errors(KafkaRowMap *map);

/* rows.c: rows of several messages, for on_error other than error */

/*
 * Takes the error that leaves message i of those under decode without rows;
 * it may raise it.
 */
typedef void (*KafkaRowsFailed) (void *arg, int i, ErrorData *error);

typedef struct KafkaRows
{
	/* for the life of the scan */
	KafkaRowMap *map;
	MemoryContext owner;
	KafkaRowsFailed failed;		/* NULL: it is skipped, or with on_error null
								 * an error */
	void	   *failed_arg;

	/* of the messages under decode */
	const KafkaMessage **messages;
	int			nmessages;
	int			message;		/* the one that is decoded */
	int64		before;			/* rows before it */
	bool		found;			/* it had another row */

	/* decoded */
	MemoryContext context;		/* of all that follows, and the values */
	Datum	   *values;			/* map->natts for each row */
	bool	   *nulls;
	int		   *origins;		/* message of each row */
	int64		nrows;
	int64		allocated;		/* rows there is room for */
	int64		next;			/* row to hand out */

	/* of all messages so far */
	int64		skipped;
	int32		first_partition;	/* of the first one skipped */
	int64		first_offset;
	const char *first_error;
} KafkaRows;

extern KafkaRows *kafka_rows_create(KafkaRowMap *map);
extern void kafka_rows_clear(KafkaRows *rows);
extern void kafka_rows_decode(KafkaRows *rows, const KafkaMessage **messages,
							  int n);
extern bool kafka_rows_next(KafkaRows *rows, Datum *values, bool *nulls);
extern int	kafka_rows_origin(const KafkaRows *rows);
extern bool kafka_error_is_about_data(const ErrorData *error);

/* column.c: for the row map and the formats */
extern void kafka_column_lookup(KafkaColumn *column);
extern Datum kafka_column_from_text(KafkaRowMap *map, KafkaColumn *column,
									const char *str, int len);
extern void kafka_column_from_null(KafkaRowMap *map, KafkaColumn *column);
extern Datum kafka_column_from_bytes(KafkaRowMap *map, KafkaColumn *column,
									 const char *bytes, size_t len);
extern Datum kafka_column_check_domain(KafkaRowMap *map, KafkaColumn *column,
									   Datum value);
extern char *kafka_column_to_text(KafkaColumn *column, Datum value);
extern bool kafka_column_append_integer(const KafkaColumn *column, Datum value,
										StringInfo out);
extern const char *kafka_column_to_bytes(KafkaColumn *column, Datum value,
										 size_t *len);
extern const char *kafka_text_decode(const char *bytes, size_t len,
									 int encoding, int *text_len);
extern void kafka_text_encode(StringInfo text, int encoding);
extern const char *kafka_text_from_utf8(const char *bytes, size_t len,
										int *text_len);
extern void kafka_text_to_utf8(StringInfo text);

/* headers.c */
extern void kafka_headers_check_type(const KafkaColumn *column);
extern Datum kafka_headers_from_message(KafkaRowMap *map, KafkaColumn *column,
										const KafkaMessage *message);
extern void kafka_headers_to_message(KafkaColumn *column, Datum value,
									 KafkaMessage *message);
extern bool kafka_header_from_message(KafkaRowMap *map, KafkaColumn *column,
									  const KafkaMessage *message,
									  Datum *value);
extern void kafka_header_to_message(KafkaColumn *column, Datum value,
									KafkaMessage *message);
extern Datum kafka_headers_to_jsonb(const KafkaHeader *headers, int nheaders);
extern int	kafka_headers_from_jsonb(Jsonb *jsonb, KafkaHeader **headers);
extern int	kafka_headers_from_datum(Oid type, Datum value,
									 KafkaHeader **headers);

#endif							/* KAFKA_FORMAT_H */
