/*-------------------------------------------------------------------------
 *
 * options.h
 *	  Options of servers, user mappings, foreign tables and columns, and the
 *	  configuration parameters (GUCs), as structs.
 *
 * NOTES
 *	  One table in options.c names every option: where it is allowed, its
 *	  type, its range and who may set it.  A client property that is not in
 *	  that table is refused, so that a property of a later librdkafka stays
 *	  refused until somebody has classified it.
 *
 *	  Everything returned is palloc'd in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_OPTIONS_H
#define KAFKA_OPTIONS_H

#include "nodes/pg_list.h"
#include "utils/rel.h"

/* Which clients a property is for. */
#define KAFKA_FOR_CONSUMER	0x01
#define KAFKA_FOR_PRODUCER	0x02
#define KAFKA_FOR_ALL		(KAFKA_FOR_CONSUMER | KAFKA_FOR_PRODUCER)

/* A librdkafka property by its own (dotted) name. */
typedef struct KafkaProperty
{
	const char *name;
	const char *value;
	int			clients;		/* KAFKA_FOR_... */
	bool		mapped;			/* set by the user mapping */
} KafkaProperty;

typedef enum KafkaDeliveryMode
{
	KAFKA_DELIVERY_COMMIT,
	KAFKA_DELIVERY_IMMEDIATE
} KafkaDeliveryMode;

/* What a client is opened with: server, user mapping and table merged. */
typedef struct KafkaClientOptions
{
	Oid			serverid;
	const char *server;			/* name, for messages */
	bool		owner_is_superuser; /* of the server */
	Oid			userid;			/* whose connection it is */
	const char *user;			/* name, for messages */
	bool		user_is_superuser;
	bool		lent;			/* password_required is off */
	List	   *properties;		/* of KafkaProperty, later ones win */
	int			timeout;		/* ms without an answer that make an ERROR */
	const char *transaction_prefix; /* of transactional ids, or NULL */
	KafkaDeliveryMode delivery; /* of the server, or else the parameter */
} KafkaClientOptions;

/* What becomes of a message that cannot be converted. */
typedef enum KafkaOnError
{
	KAFKA_ON_ERROR_ERROR,
	KAFKA_ON_ERROR_SKIP,		/* it has no row */
	KAFKA_ON_ERROR_NULL			/* what cannot be converted is NULL */
} KafkaOnError;

typedef struct KafkaTableOptions
{
	KafkaClientOptions *client;
	const char *topic;
	const char *format;			/* name of a KafkaFormat */
	const char *key_format;		/* the same, of columns from the key */

	/* how messages become rows */
	const char *rows;			/* JSON path of an array, or NULL */
	KafkaOnError on_error;
	bool		strict;			/* missing and extra fields are errors */
	const char *delimiter;		/* csv, text: NULL is the format's default */
	const char *quote;			/* csv */
	const char *escape;			/* csv */
	const char *null;			/* csv, text */
	const char *encoding;		/* of the value; NULL is UTF-8 */
} KafkaTableOptions;

/* Where a column's value comes from. */
typedef enum KafkaColumnSource
{
	KAFKA_COLUMN_PAYLOAD,		/* decoded from the message's value */
	KAFKA_COLUMN_TOPIC,
	KAFKA_COLUMN_PARTITION,
	KAFKA_COLUMN_OFFSET,
	KAFKA_COLUMN_TIMESTAMP,
	KAFKA_COLUMN_KEY,
	KAFKA_COLUMN_VALUE,			/* the value's bytes as they are */
	KAFKA_COLUMN_HEADERS,
	KAFKA_COLUMN_TIMESTAMP_TYPE,
	KAFKA_COLUMN_LEADER_EPOCH,
	KAFKA_COLUMN_ORDINALITY,	/* of the row in its message, from 1 */
	KAFKA_COLUMN_ERROR,			/* that made a part of the row NULL */
	KAFKA_COLUMN_JUNK,			/* the value, where there is an error */
	KAFKA_COLUMN_HEADER,		/* the last header of a name */
	KAFKA_COLUMN_KEY_FIELD		/* decoded from the message's key */
} KafkaColumnSource;

typedef enum KafkaEpoch
{
	KAFKA_EPOCH_NONE,
	KAFKA_EPOCH_S,
	KAFKA_EPOCH_MS,
	KAFKA_EPOCH_US
} KafkaEpoch;

typedef struct KafkaColumnOptions
{
	KafkaColumnSource source;
	const char *path;			/* as given, or NULL: the column's name is one
								 * key, whatever characters it has; the name
								 * of a header */
	const char *key;			/* a key whatever characters it has, or NULL */
	KafkaEpoch	epoch;
	bool		force_null;		/* csv, as in COPY */
	bool		force_not_null; /* csv, as in COPY */
} KafkaColumnOptions;

/* bytes that a broker sends at once, as long as it is not known to how many they
 * are unpacked */
#define KAFKA_SMALL_RESPONSE (64 * 1024)

/* configuration parameters, defined in kafka_fdw.c */
extern PGDLLIMPORT int kafka_timeout;	/* ms */
extern PGDLLIMPORT int kafka_delivery;	/* KafkaDeliveryMode */
extern PGDLLIMPORT int kafka_commit_memory; /* kB held back for the commit */
extern PGDLLIMPORT int kafka_fetch_memory;	/* kB a consumer may hold */
extern PGDLLIMPORT int kafka_idle_timeout;	/* ms, 0: keep none */
extern PGDLLIMPORT char *kafka_allowed_brokers; /* "": all */
extern PGDLLIMPORT char *kafka_kinit_command;	/* "": none */
extern PGDLLIMPORT int kafka_max_workers;	/* subscription workers */

extern KafkaClientOptions *kafka_options_copy(const KafkaClientOptions *client);
extern bool kafka_options_equal(const KafkaClientOptions *a,
								const KafkaClientOptions *b);
extern bool kafka_options_is_ours(Oid fdwid);
extern const char *kafka_options_get(const KafkaClientOptions *client,
									 const char *name);
extern void kafka_options_set(KafkaClientOptions *client, const char *name,
							  const char *value);
extern void kafka_options_default(KafkaClientOptions *client, const char *name,
								  const char *value);
extern void kafka_options_limit(KafkaClientOptions *client, const char *name,
								int64 value);
extern void kafka_options_validate(List *options, Oid catalog);
extern KafkaClientOptions *kafka_options_client(Oid serverid, Oid userid);
extern void kafka_options_check_credentials(const KafkaClientOptions *client);
extern KafkaTableOptions *kafka_options_table(Oid relid, Oid userid);
extern KafkaColumnOptions *kafka_options_column(Oid relid, AttrNumber attnum,
												const char *name);
extern const char *kafka_column_source_name(KafkaColumnSource source);

#endif							/* KAFKA_OPTIONS_H */
