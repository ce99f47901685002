/*-------------------------------------------------------------------------
 *
 * json.h
 *	  What the files of the JSON format share: paths, and the tree that they
 *	  make.
 *
 * NOTES
 *	  A tree has a node for each step of a path, so that the columns that
 *	  begin with the same steps find them together.  The decoder walks down
 *	  the tree as it walks down the message; the encoder writes the tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_JSON_H
#define KAFKA_JSON_H

#include "common/jsonapi.h"
#include "format/format.h"

/* A key of an object, or a subscript of an array. */
typedef struct KafkaJsonStep
{
	char	   *key;			/* NULL for a subscript */
	int			key_len;
	int			subscript;		/* from 0 */
} KafkaJsonStep;

typedef struct KafkaJsonPath
{
	bool		absolute;		/* began with $ */
	KafkaJsonStep *steps;
	int			nsteps;
} KafkaJsonPath;

typedef struct KafkaJsonNode
{
	/* for the life of the map */
	struct KafkaJsonNode *parent;
	KafkaJsonStep step;			/* that leads here from the parent */
	struct KafkaJsonNode **keys;	/* children by key, in order of creation */
	int			nkeys;
	struct KafkaJsonNode **subscripts;	/* children by subscript */
	int			nsubscripts;
	int		   *slots;			/* the caller's numbers of what ends here */
	int			nslots;
	bool		is_rows;		/* the array whose elements are rows */
	const char *label;			/* the key as it is written, with its colon */

	/* the message under decode */
	const char *start;			/* of the value */
	int			nelements;		/* begun so far, if it is an array */
	int			expected;		/* child whose key is probably the next */
} KafkaJsonNode;

/* A value as it stands in the message. */
typedef struct KafkaJsonSlice
{
	const char *start;			/* NULL where the value is missing */
	int			len;
} KafkaJsonSlice;

/* Texts that were read before: what they have in common. */
typedef struct KafkaJsonShapes KafkaJsonShapes;

typedef struct KafkaJsonParser
{
	/* for the life of the map */
	KafkaJsonShapes *shapes;	/* NULL with rows, or where nothing is wanted */
	KafkaJsonNode *message_tree;
	KafkaJsonNode *element_tree;	/* NULL without rows */
	StringInfoData key;			/* without its escapes */
	int			nslots;			/* of the message */
	int			nelement_slots;

	/* the message under decode */
	JsonLexContext lex;
	KafkaJsonNode *node;		/* of the innermost value that is wanted, or
								 * has parts that are */
	int			level;			/* the lexer's level of that value's parts */
	KafkaJsonSlice *slices;		/* nslots of the message */
	KafkaJsonSlice *rows;		/* nelement_slots for each element */
	int64		nrows;
	int64		allocated_rows;
	KafkaJsonSlice *scope;		/* slices that the node's slots are of: the
								 * message's, or an element's */
	char		rows_start;		/* first byte of what should be the array of
								 * rows, or 0 */
} KafkaJsonParser;

/* json_path.c */
extern void kafka_json_path_parse(const char *str, KafkaJsonPath *path);
extern void kafka_json_path_of_column(const KafkaColumn *column,
									  KafkaJsonPath *path);
extern KafkaJsonNode *kafka_json_node_create(void);
extern KafkaJsonNode *kafka_json_node_add(KafkaJsonNode *root,
										  const KafkaJsonPath *path);
extern void kafka_json_node_add_slot(KafkaJsonNode *node, int slot);

/* json_parse.c */
extern void kafka_json_parse(KafkaJsonParser *parser, const char *input,
							 int len);

/* json_shape.c */
extern KafkaJsonShapes *kafka_json_shapes_create(int nslots);
extern bool kafka_json_shapes_match(KafkaJsonShapes *shapes,
									const char *input, int len,
									KafkaJsonSlice *slices);
extern void kafka_json_shapes_learn(KafkaJsonShapes *shapes,
									const char *input, int len,
									const KafkaJsonSlice *slices);

/* json_unescape.c */
extern char *kafka_json_unescape(const char *start, int len,
								 int *result_len);
extern bool kafka_json_unescape_key(StringInfo key, const char *start,
									int len);

/* json_exact.c */
extern Oid	kafka_json_element_type(Oid type);
extern bool kafka_json_is_exact(Oid type, Datum value);

/* json_encode.c */
typedef struct KafkaJsonEncoder KafkaJsonEncoder;

extern KafkaJsonEncoder *kafka_json_encoder_create(KafkaRowMap *map);
extern void kafka_json_encode(KafkaJsonEncoder *encoder, KafkaRowMap *map,
							  const Datum *values, const bool *nulls,
							  StringInfo out);

#endif							/* KAFKA_JSON_H */
