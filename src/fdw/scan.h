/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  The state of a scan, and what its files share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_SCAN_H
#define KAFKA_SCAN_H

#include "fdw/work.h"
#include "format/format.h"
#include "nodes/execnodes.h"

/* What a process has done for a scan. */
typedef struct KafkaScanStats
{
	int64		chunks;
	int64		messages;
	int64		bytes;
	double		wait_time;		/* ms, with timing */
	double		decode_time;	/* ms, with timing */

	/* messages that gave no row, and the first of them */
	int64		skipped;
	int32		first_partition;
	int64		first_offset;
	char		first_error[256];
} KafkaScanStats;

/* What the processes of a parallel scan share. */
typedef struct KafkaParallelScan KafkaParallelScan;

typedef struct KafkaScanState
{
	/* for the life of the scan */
	KafkaTableOptions *options;
	List	   *quals;			/* of KafkaQual */
	Bitmapset  *needed;			/* columns, as in the plan */
	int			limit;			/* messages that are enough, or -1 */
	bool		timing;			/* time is to be measured */
	MemoryContext context;
	struct KafkaBatchRows *batch;	/* NULL, or read in place of the topic */

	/* from the first row on */
	KafkaRowMap *map;
	KafkaRows  *rows;			/* NULL, or decoded ahead to catch errors */
	KafkaConsumer *consumer;
	bool		small;			/* that does not fetch much ahead */
	bool		few;			/* which may be enough */
	int			response;		/* bytes that it is sent at once */
	KafkaView	view;			/* the snapshot */

	/* from start or rescan on */
	bool		started;
	bool		shut_down;		/* after which there is no row */
	MemoryContext work_context; /* boxes and work */
	bool		evaluated;		/* boxes is set */
	List	   *boxes;			/* of KafkaBox */
	KafkaWork  *summary;		/* the work as it was made, NULL in a worker */
	KafkaWork  *work;			/* NULL: nothing; may be shared */
	int			next_chunk;		/* where it is not */

	/* of the chunks that are read */
	int			first_chunk;
	int			nreading;
	int		   *spans;			/* of each, the wanted span it is at */
	bool		between;		/* there are messages that are not wanted */
	int64		read;			/* messages since the consumer was opened */

	/* of the batch */
	int			next;			/* message */
	bool		in_message;		/* the row map has a message */
	bool		sampled;		/* which is timed */

	/* for EXPLAIN ANALYZE */
	KafkaScanStats stats;

	/* of a parallel scan */
	KafkaParallelScan *shared;	/* NULL when there is none */
	int			readers;		/* processes */
	KafkaScanStats *workers;	/* what they did, after they have ended */
	int			nworkers;
} KafkaScanState;

/* scan.c */
extern void kafka_scan_prepare(ForeignScanState *node, int readers);

/* scan_read.c */
extern void kafka_scan_reset(KafkaScanState *state);
extern bool kafka_scan_fetch(KafkaScanState *state);
extern const KafkaMessage *kafka_scan_take(KafkaScanState *state);
extern void kafka_scan_open(KafkaScanState *state);

/* scan_parallel.c */
extern void kafka_parallel_attach(ForeignScanState *node);
extern int	kafka_parallel_next(KafkaParallelScan *shared);
extern void kafka_parallel_report(KafkaScanState *state);
extern void kafka_scan_add_stats(KafkaScanStats *total,
								 const KafkaScanStats *stats);

#endif							/* KAFKA_SCAN_H */
