/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Plans scans of foreign tables.
 *
 * NOTES
 *	  Planning does not talk to Kafka.  All conditions stay with the executor;
 *	  those that narrow what has to be read are, in addition, in fdw_exprs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "compat.h"
#include "fdw/fdw.h"
#include "fdw/quals.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

/* rows of a topic of which nothing is known */
#define DEFAULT_ROWS 100000

/* cost of connecting and of asking for offsets, in sequential pages */
#define STARTUP_COST 100

static List *needed_columns(RelOptInfo *baserel, List *clauses);

/*
 * kafkaGetForeignRelSize
 *		Estimates the rows from what ANALYZE or the user has said of the table.
 */
void
kafkaGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
					   Oid foreigntableid)
{
	if (baserel->tuples <= 0)
		baserel->tuples = DEFAULT_ROWS;
	set_baserel_size_estimates(root, baserel);
}

void
kafkaGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
					 Oid foreigntableid)
{
	Cost		startup = STARTUP_COST * seq_page_cost;
	Cost		per_tuple = 10 * cpu_tuple_cost;

	startup += baserel->baserestrictcost.startup;
	per_tuple += baserel->baserestrictcost.per_tuple;
	add_path(baserel, (Path *)
			 kafka_compat_foreignscan_path(root, baserel, baserel->rows,
										   startup,
										   startup + per_tuple * baserel->tuples));
}

ForeignScan *
kafkaGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
					Oid foreigntableid, ForeignPath *best_path, List *tlist,
					List *scan_clauses, Plan *outer_plan)
{
	Relation	rel = table_open(foreigntableid, NoLock);
	KafkaQualColumns columns = kafka_quals_columns(rel);
	List	   *clauses = extract_actual_clauses(scan_clauses, false);
	List	   *pushed = NIL;
	ListCell   *lc;

	table_close(rel, NoLock);
	foreach(lc, clauses)
	{
		if (kafka_quals_pushable(lfirst(lc), baserel->relid, &columns))
			pushed = lappend(pushed, lfirst(lc));
	}

	return make_foreignscan(tlist, clauses, baserel->relid, pushed,
							list_make1(needed_columns(baserel, clauses)),
							NIL, NIL, outer_plan);
}

/*
 * Returns the attribute numbers that the query uses of the table.
 */
static List *
needed_columns(RelOptInfo *baserel, List *clauses)
{
	Bitmapset  *attrs = NULL;
	List	   *needed = NIL;
	int			i = -1;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &attrs);
	pull_varattnos((Node *) clauses, baserel->relid, &attrs);
	while ((i = bms_next_member(attrs, i)) >= 0)
		needed = lappend_int(needed, i);
	return needed;
}
