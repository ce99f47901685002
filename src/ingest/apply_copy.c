/*-------------------------------------------------------------------------
 *
 * apply_copy.c
 *	  Messages into a table through the COPY machinery.
 *
 * NOTES
 *	  The fast way, for tables and partitioned tables.  The COPY machinery asks
 *	  for one row after the other; a row is decoded in its per-row memory
 *	  context and copied once, into the table's buffer.
 *
 *	  Where the subscription's owner may act as the table's owner, triggers,
 *	  defaults and constraints run as the table's owner, as they do for
 *	  logical replication: else whoever owns a table could run code as whoever
 *	  subscribes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "ingest/apply_rows.h"
#include "ingest/copy_source.h"
#include "miscadmin.h"
#include "utils/guc.h"

static void check(KafkaApply *apply);
static void apply(KafkaApply *apply);
static uint64 copy_as_table_owner(Relation target, const List *attnums,
								  KafkaApplyRows *rows);

const KafkaApplyMethod kafka_apply_copy = {"copy", check, apply};

static void
check(KafkaApply *apply)
{
	apply->columns = kafka_map_columns(apply->source, apply->target);
	kafka_check_insert(apply->target, apply->subscription->owner,
					   apply->columns);
}

static void
apply(KafkaApply *apply)
{
	KafkaApplyRows rows;
	List	   *attnums = NIL;
	ListCell   *lc;

	foreach(lc, apply->columns)
		attnums = lappend_int(attnums,
							  ((KafkaColumnMap *) lfirst(lc))->target);
	kafka_apply_rows_begin(&rows, apply);
	apply->rows = copy_as_table_owner(apply->target, attnums, &rows);
	kafka_apply_rows_end(&rows);
}

static uint64
copy_as_table_owner(Relation target, const List *attnums, KafkaApplyRows *rows)
{
	Oid			owner = target->rd_rel->relowner;
	Oid			userid;
	int			sec_context;
	int			nestlevel;
	uint64		stored;

	GetUserIdAndSecContext(&userid, &sec_context);
	if (userid == owner || !kafka_compat_can_set_role(userid, owner))
		return kafka_copy_rows(target, attnums, kafka_apply_rows_next, rows,
							   rows->apply->one_by_one);

	SetUserIdAndSecContext(owner, sec_context | SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	kafka_apply_fire_triggers();
	stored = kafka_copy_rows(target, attnums, kafka_apply_rows_next, rows,
							 rows->apply->one_by_one);
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, sec_context);
	return stored;
}
