/*-------------------------------------------------------------------------
 *
 * worker_internal.h
 *	  A subscription worker, for its own files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_WORKER_INTERNAL_H
#define KAFKA_WORKER_INTERNAL_H

#include "batch.h"
#include "client/consumer.h"
#include "client/group.h"
#include "ingest/apply.h"
#include "ingest/batch_search.h"
#include "ingest/catalog.h"
#include "ingest/shmem.h"

/* What a partition has where its proof was. */
typedef enum KafkaProofFound
{
	KAFKA_PROOF_MISSING,
	KAFKA_PROOF_SAME,
	KAFKA_PROOF_OTHER,
	KAFKA_PROOF_NEW				/* there was no proof, and is one now */
} KafkaProofFound;

/* What is known of a partition. */
typedef struct KafkaWorkerPartition
{
	const char *topic;
	int32		partition;
	int64		seen;			/* stored position */
	int64		end;			/* of the log, when last asked */
	KafkaProof	proof;			/* stored with the position */
	KafkaProofFound found;		/* when looked for last */
	bool		asked;			/* it is to be proven */
	TimestampTz proven;			/* that it is the same */
	TimestampTz topic_proven;	/* that one of the topic's is */
	KafkaProof	ahead;			/* what is being read again */
	bool		same;			/* and has been found */
} KafkaWorkerPartition;

/* Rows of batches that were not written yet, and what their messages were. */
typedef struct KafkaCollection
{
	MemoryContext context;		/* of all of this */
	KafkaUpsertRows *rows;		/* made with the first batch */
	TimestampTz since;			/* when the first message was taken */
	TimestampTz newest;			/* time of the last message, or 0 */
	int64		messages;
	int64		bytes;			/* of their keys and values */
	KafkaMove  *moves;			/* next and proof of each partition */
} KafkaCollection;

/* How large Kafka's responses are to be, and what they have become. */
typedef struct KafkaResponses
{
	int			size;			/* bytes, as Kafka sends them; 0 before the
								 * first consumer */
	double		expansion;		/* memory that one of them takes, at most,
								 * since there was a backlog; 0 where unknown */
	/* since it was last seen whether they are waited for */
	TimestampTz since;			/* when the first messages came */
	int64		messages;
	int64		received;		/* bytes */
	int64		waited;			/* µs */
} KafkaResponses;

typedef struct KafkaWorker
{
	/* for the life of the process */
	KafkaWorkerSlot *slot;
	int32		id;				/* of the subscription */
	MemoryContext context;		/* of a round */
	TimestampTz group_at;		/* when positions were last shown to a group */
	TimestampTz group_warned;	/* that this has failed */
	bool		headers;		/* messages are to have them from the next
								 * round on */
	KafkaResponses responses;

	/* for a round */
	bool		outdated;		/* it is to end */
	Oid			catalog;		/* kafka.subscription */
	KafkaSubscription *subscription;
	KafkaTableOptions *options;
	KafkaConsumer *consumer;
	bool		has_headers;	/* its messages do */
	TimestampTz reading_since;	/* when it was started */
	KafkaWorkerPartition *partitions;	/* those of this worker, ordered by
										 * topic and partition */
	int			npartitions;
	MemoryContext answer;		/* of the offsets */
	List	   *topics;			/* that were asked for */
	KafkaPartitionOffsets *offsets; /* what Kafka has of them, in this order */
	int			noffsets;
	KafkaMove  *moves;			/* room for all partitions */
	int		   *moved;			/* the partition of each move, by index */
	TimestampTz asked;			/* for the offsets */
	KafkaConsumer *prover;		/* or NULL */
	int			proof_size;		/* bytes of its responses */
	TimestampTz proving;		/* when that has begun */
	TimestampTz ahead_since;	/* when proofs were asked for ahead, or 0 */
	int		   *ahead;			/* of these partitions, by index */
	int			nahead;
	KafkaGroup *group;			/* or NULL */
	bool		group_due;		/* it does not know the positions */
	bool		careful;		/* some messages cannot be decoded; for the
								 * next batch */
	int			part;			/* messages that it is tried in parts of, or 0 */

	KafkaCollection *collection;	/* or NULL */
	bool		collecting;		/* the batch's rows are put there */
	int			plain;			/* batches that are not collected */

	/* for a batch */
	TimestampTz first_message;	/* when the first one was taken */
	TimestampTz last_write;
	int			polled;			/* messages of the last poll */
	bool		may_extend;		/* what is there when the batch is being
								 * written may be added */
	bool		extended;		/* it has been */
	bool	   *extend_with;	/* messages of which partitions, by index */
	KafkaBatch *batch;			/* what is applied of them */
	KafkaBatchSearch *search;	/* what is tried next */

	/* for a transaction */
	int			first;			/* messages [first, last) of the batch */
	int			last;
	int			nmoves;
	KafkaApply	apply;
	const char *mode;			/* how rows are stored */
	bool		preparing;		/* does not look at messages yet */
	bool		written;		/* neither outdated nor failed */
	bool		failed;			/* with an ERROR */
	int			nbad;			/* messages that were passed by */
	int			excess;			/* the message that error_limit forbids to
								 * pass by, or -1 */
} KafkaWorker;

typedef void (*KafkaWorkerStep) (KafkaWorker *worker);

/* worker.c */
extern void kafka_worker_serve_requests(KafkaWorker *worker);
extern bool kafka_worker_is_full(KafkaWorker *worker);
extern void kafka_worker_begin_asking(KafkaWorker *worker);
extern void kafka_worker_end_asking(void);
extern void kafka_worker_show_state(KafkaWorker *worker,
									KafkaWorkerState state);
extern KafkaConsumer *kafka_worker_open_consumer(KafkaWorker *worker,
												 const KafkaClientOptions *options);
extern void kafka_worker_start_consumer(KafkaWorker *worker,
										const KafkaRange *ranges);
extern void kafka_worker_end(KafkaWorker *worker);

/* worker_response.c */
extern KafkaClientOptions *kafka_worker_consumer_options(KafkaWorker *worker);
extern int	kafka_worker_proof_size(const KafkaWorker *worker);
extern void kafka_worker_watch_responses(KafkaWorker *worker);
extern void kafka_worker_note_poll(KafkaWorker *worker, TimestampTz start);
extern void kafka_worker_adapt_responses(KafkaWorker *worker);
extern void kafka_worker_forget_responses(KafkaWorker *worker);

/* worker_positions.c */
extern void kafka_worker_ask_offsets(KafkaWorker *worker);
extern void kafka_worker_settle_positions(KafkaWorker *worker);
extern void kafka_worker_check_positions(KafkaWorker *worker);
extern KafkaWorkerPartition *kafka_worker_find_partition(KafkaWorker *worker,
														 const char *topic,
														 int32 partition);
extern void kafka_worker_move_positions(KafkaWorker *worker);
extern bool kafka_worker_owns(KafkaWorker *worker, const char *topic,
							  int32 partition);
extern bool kafka_worker_finds_new(KafkaWorker *worker);
extern bool kafka_worker_has_moved(KafkaWorker *worker);
extern bool kafka_worker_at_log_end(KafkaWorker *worker);
extern void kafka_worker_show_lag(KafkaWorker *worker);

/* worker_proof.c */
extern void kafka_worker_prove_round(KafkaWorker *worker);
extern void kafka_worker_prove_batch(KafkaWorker *worker);
extern bool kafka_worker_proof_range(KafkaWorker *worker, int i,
									 KafkaRange *range);
extern void kafka_worker_open_prover(KafkaWorker *worker);
extern void kafka_worker_end_prover(KafkaWorker *worker);

/* worker_proof_due.c */
extern bool kafka_worker_is_proven(KafkaWorker *worker, int i,
								   TimestampTz now);
extern void kafka_worker_note_proven(KafkaWorker *worker, int i,
									 TimestampTz since);
extern bool kafka_worker_is_recent(TimestampTz proven);
extern bool kafka_worker_is_moved(KafkaWorker *worker, int i);
extern int	kafka_worker_choose_proofs(KafkaWorker *worker, TimestampTz now,
									   bool ahead);

/* worker_proof_ahead.c */
extern void kafka_worker_begin_ahead(KafkaWorker *worker);
extern void kafka_worker_take_ahead(KafkaWorker *worker);
extern void kafka_worker_cancel_ahead(KafkaWorker *worker);

/* worker_group.c */
extern void kafka_worker_report_group(KafkaWorker *worker);

/* worker_batch.c */
extern void kafka_worker_apply_batch(KafkaWorker *worker);
extern const KafkaMessage *kafka_worker_culprit(KafkaWorker *worker);

/* worker_extend.c */
extern int	kafka_worker_enough(const KafkaWorker *worker);
extern void kafka_worker_let_extend(KafkaWorker *worker);

/* worker_collect.c */
extern bool kafka_worker_collects(KafkaWorker *worker, bool full);
extern KafkaCollection *kafka_worker_collection(KafkaWorker *worker);
extern void kafka_worker_note_collected(KafkaWorker *worker);
extern void kafka_worker_forget_collected(KafkaWorker *worker, bool failed);

/* worker_error.c */
extern ErrorData *kafka_worker_try(KafkaWorker *worker, KafkaWorkerStep step);
extern void kafka_worker_do(KafkaWorker *worker, KafkaWorkerStep step);
extern void kafka_worker_stop(KafkaWorker *worker,
							  ErrorData *error);
extern char *kafka_worker_format_error(const ErrorData *error);

/* worker_bad.c */
extern void kafka_worker_write_bad_messages(KafkaWorker *worker);
extern void kafka_worker_forget_bad_messages(KafkaWorker *worker);
extern ErrorData *kafka_worker_excess_error(KafkaWorker *worker, int i);

#endif							/* KAFKA_WORKER_INTERNAL_H */
