/*-------------------------------------------------------------------------
 *
 * option_defs.h
 *	  The one table of options.
 *
 * NOTES
 *	  For options.c; everybody else reads options.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_OPTION_DEFS_H
#define KAFKA_OPTION_DEFS_H

/* where an option is allowed */
#define ON_SERVER	0x01
#define ON_MAPPING	0x02
#define ON_TABLE	0x04
#define ON_COLUMN	0x08

typedef enum KafkaOptionClass
{
	CLASS_OPEN,
	CLASS_SECRET,
	CLASS_FILE,
	CLASS_SUPERUSER,
	CLASS_NEVER
} KafkaOptionClass;

typedef enum KafkaOptionType
{
	TYPE_STRING,				/* not empty */
	TYPE_ANY,					/* may be empty */
	TYPE_BOOL,
	TYPE_INT,					/* min to max */
	TYPE_TIME,					/* min to max, ms or with a unit */
	TYPE_CHAR,					/* one byte of ASCII */
	TYPE_KERBEROS,				/* letters, digits and @ . / _ - */
	TYPE_ENCODING,
	TYPE_ENUM					/* one of values, separated by | */
} KafkaOptionType;

typedef struct KafkaOptionDef
{
	const char *name;
	int			where;			/* ON_... */
	int			clients;		/* KAFKA_FOR_..., 0: not a client property */
	KafkaOptionClass class;
	KafkaOptionType type;
	int64		min;
	int64		max;
	const char *values;
} KafkaOptionDef;

extern const KafkaOptionDef *kafka_option_find(const char *name);
extern void kafka_option_check_place(const KafkaOptionDef *def,
									 const char *name, int where);
extern void kafka_option_check_value(const KafkaOptionDef *def,
									 const char *value);
extern void kafka_option_reject_unknown(const char *name);

#endif							/* KAFKA_OPTION_DEFS_H */
