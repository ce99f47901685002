/*-------------------------------------------------------------------------
 *
 * apply_command.c
 *	  Messages into whatever the subscription's command does with them.
 *
 * NOTES
 *	  Scans of the source show the messages of the batch, and no others, until
 *	  the command has ended; several scans show the same ones.  So where a
 *	  message turns out bad while the command runs, its former scans have shown
 *	  what the later ones do not, and it has to be run again without the
 *	  message.
 *
 *	  All rows of a batch go through one command, so an error tells nothing
 *	  about which message it is of, unless it is raised in decoding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "batch.h"
#include "ingest/apply.h"
#include "ingest/command.h"
#include "utils/rel.h"

static void check(KafkaApply *apply);
static void apply_command(KafkaApply *apply);
static void run(KafkaApply *apply);

const KafkaApplyMethod kafka_apply_command = {"command", check, apply_command};

static void
check(KafkaApply *apply)
{
	kafka_command_check(apply->subscription);
}

static void
apply_command(KafkaApply *apply)
{
	KafkaBatch *batch = apply->batch;
	int			bad = batch->nbad;

	PG_TRY();
	{
		run(apply);
	}
	PG_CATCH();
	{
		apply->again = batch->nbad > bad;
		if (!batch->decoding)
		{
			batch->reached = apply->last;
			batch->ended = true;
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	batch->reached = apply->last;
	apply->again = batch->nbad > bad;
	if (apply->again)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("messages of the batch cannot be decoded")));
}

/*
 * Runs the command with the batch in the view of its scans.
 */
static void
run(KafkaApply *apply)
{
	KafkaBatchView view = {
		.relation = RelationGetRelid(apply->source),
		.batch = apply->batch,
		.first = apply->first,
		.last = apply->last,
		.careful = apply->careful
	};

	PG_TRY();
	{
		kafka_batch_view = &view;
		apply->rows = kafka_command_run(apply->subscription);
	}
	PG_FINALLY();
	{
		kafka_batch_view = NULL;
	}
	PG_END_TRY();
}
