/*-------------------------------------------------------------------------
 *
 * csv.h
 *	  The formats csv and text: what reading and writing share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CSV_H
#define KAFKA_CSV_H

#include "format/format.h"

/* what a byte is in a field outside of quotes */
#define KAFKA_CSV_PLAIN		0
#define KAFKA_CSV_DELIMITER	1
#define KAFKA_CSV_NEWLINE	2	/* \n or \r */
#define KAFKA_CSV_SPECIAL	3	/* csv: the quote, text: the backslash */

typedef struct KafkaCsv
{
	/* for the life of the map */
	bool		csv;			/* else text */
	char		delimiter;
	char		quote;			/* csv */
	char		escape;			/* csv */
	const char *null;
	int			null_len;
	uint8		class[256];		/* of bytes outside of quotes */
	int			last;			/* fields after this one are not converted */
	bool		plain_integers; /* they need neither quotes nor escapes */
	bool	   *quick;			/* payload columns read as plain integers */
	StringInfoData buffer;		/* a field without its quotes and escapes */

	/* the message under decode */
	const char *next;			/* where the next field begins */
	const char *end;
	bool		more;			/* there is another line */
	const char *line;			/* where the line begins that was begun last */
	int			row;			/* its number */
	bool		ended;			/* and its end has been found */
} KafkaCsv;

extern void kafka_csv_start(KafkaRowMap *map, const KafkaMessage *message);
extern bool kafka_csv_next(KafkaRowMap *map, Datum *values, bool *nulls);
extern void kafka_csv_encode(KafkaRowMap *map, const Datum *values,
							 const bool *nulls, StringInfo out);

#endif							/* KAFKA_CSV_H */
