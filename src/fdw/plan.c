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
#include "fdw/snapshot.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

/* rows of a topic of which nothing is known */
#define DEFAULT_ROWS 100000

/* the least rows of one whose size is known */
#define MIN_ROWS 1000

/* cost of connecting and of asking for offsets, in sequential pages */
#define STARTUP_COST 100

/* What paths are made from. */
typedef struct KafkaPlanState
{
	RelOptInfo *baserel;
	KafkaQualColumns columns;
	AttrNumber	attnum;			/* of the column looked for */
} KafkaPlanState;

static bool is_column(PlannerInfo *root, RelOptInfo *rel,
					  EquivalenceClass *ec, EquivalenceMember *em, void *arg);
static void add_join_paths(PlannerInfo *root, KafkaPlanState *state,
						   List *joins);
static void add_scan_path(PlannerInfo *root, RelOptInfo *baserel, Relids outer,
						  ParamPathInfo *param);
static void add_partial_scan_path(PlannerInfo *root, RelOptInfo *baserel);
static List *needed_columns(RelOptInfo *baserel, List *clauses);
static int	expected_messages(PlannerInfo *root, RelOptInfo *baserel);

/*
 * kafkaGetForeignRelSize
 *		Estimates the rows from what ANALYZE has found, or else from what a
 *		scan of this session has seen last.
 */
void
kafkaGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
					   Oid foreigntableid)
{
	if (baserel->tuples < 0)	/* never analyzed */
	{
		int64		size = kafka_snapshot_size(kafka_options_table(foreigntableid,
																   GetUserId()));

		/* what is small may grow, which is worse to be wrong about */
		baserel->tuples = size < 0 ? DEFAULT_ROWS : Max(size, MIN_ROWS);
	}
	set_baserel_size_estimates(root, baserel);
}

/*
 * kafkaGetForeignPaths
 *		Adds a plain path, and one for each set of other tables that give it a
 *		partition, an offset or a time to look for.
 */
void
kafkaGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
					 Oid foreigntableid)
{
	Relation	rel = table_open(foreigntableid, NoLock);
	KafkaPlanState state = {baserel, kafka_quals_columns(rel)};
	ListCell   *lc;

	table_close(rel, NoLock);
	add_scan_path(root, baserel, baserel->lateral_relids, NULL);
	if (baserel->consider_parallel && baserel->lateral_relids == NULL)
		add_partial_scan_path(root, baserel);
	for (int axis = 0; axis < KAFKA_AXES; axis++)
	{
		state.attnum = state.columns.attnum[axis];
		if (state.attnum == 0)
			continue;
		if (baserel->has_eclass_joins)
			add_join_paths(root, &state,
						   generate_implied_equalities_for_column(root, baserel,
																  is_column,
																  &state,
																  baserel->lateral_referencers));
	}
	foreach(lc, baserel->joininfo)
	{
		RestrictInfo *join = lfirst_node(RestrictInfo, lc);

		if (join_clause_is_movable_to(join, baserel))
			add_join_paths(root, &state, list_make1(join));
	}
}

/*
 * Says whether a member of an equivalence class is the column looked for.
 */
static bool
is_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
		  EquivalenceMember *em, void *arg)
{
	KafkaPlanState *state = arg;
	Var		   *var = (Var *) em->em_expr;

	return IsA(var, Var) && var->varno == rel->relid &&
		var->varattno == state->attnum;
}

/*
 * Adds a path for each join clause that narrows what has to be read.
 */
static void
add_join_paths(PlannerInfo *root, KafkaPlanState *state, List *joins)
{
	RelOptInfo *baserel = state->baserel;
	ListCell   *lc;

	foreach(lc, joins)
	{
		RestrictInfo *join = lfirst_node(RestrictInfo, lc);
		Relids		outer;

		if (!kafka_quals_pushable(join->clause, baserel->relid,
								  &state->columns))
			continue;
		outer = bms_union(join->clause_relids, baserel->lateral_relids);
		outer = bms_del_member(outer, baserel->relid);
		if (!bms_is_empty(outer))
			add_scan_path(root, baserel, outer,
						  get_baserel_parampathinfo(root, baserel, outer));
	}
}

/*
 * Adds a path whose parameters are of the outer tables.
 *
 * A scan that looks for something reads about as much as it returns, and each
 * of its rescans asks the broker anew.
 */
static void
add_scan_path(PlannerInfo *root, RelOptInfo *baserel, Relids outer,
			  ParamPathInfo *param)
{
	Cost		startup = STARTUP_COST * seq_page_cost;
	Cost		per_tuple = 10 * cpu_tuple_cost;
	double		rows = param != NULL ? param->ppi_rows : baserel->rows;
	double		tuples = param != NULL ? rows : baserel->tuples;
	ForeignPath *path;

	startup += baserel->baserestrictcost.startup;
	per_tuple += baserel->baserestrictcost.per_tuple;
	path = kafka_compat_foreignscan_path(root, baserel, rows, startup,
										 startup + per_tuple * tuples, outer);
	/* processes that scan each for itself would see different snapshots */
	path->path.parallel_safe = false;
	add_path(baserel, (Path *) path);
}

/*
 * Adds a path that several processes share, if the table is known to be large
 * enough.
 */
static void
add_partial_scan_path(PlannerInfo *root, RelOptInfo *baserel)
{
	Cost		startup = STARTUP_COST * seq_page_cost;
	Cost		per_tuple = 10 * cpu_tuple_cost;
	int			workers = compute_parallel_worker(baserel, baserel->pages, -1,
												  max_parallel_workers_per_gather);
	double		divisor = workers;
	ForeignPath *path;

	if (workers <= 0)
		return;
	/* as costsize.c counts the leader */
	if (parallel_leader_participation)
		divisor += Max(0, 1.0 - 0.3 * workers);
	startup += baserel->baserestrictcost.startup;
	per_tuple += baserel->baserestrictcost.per_tuple;
	path = kafka_compat_foreignscan_path(root, baserel,
										 clamp_row_est(baserel->rows / divisor),
										 startup, startup +
										 per_tuple * baserel->tuples / divisor,
										 NULL);
	path->path.parallel_aware = true;
	path->path.parallel_safe = true;
	path->path.parallel_workers = workers;
	add_partial_path(baserel, (Path *) path);
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
							list_make2(needed_columns(baserel, clauses),
									   makeInteger(expected_messages(root, baserel))),
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

/*
 * Returns how many messages are expected to be enough for a query with LIMIT,
 * or -1 where all have to be read.
 */
static int
expected_messages(PlannerInfo *root, RelOptInfo *baserel)
{
	double		messages = root->limit_tuples;

	if (messages < 0 || root->parse->sortClause != NIL ||
		bms_membership(root->all_baserels) != BMS_SINGLETON)
		return -1;
	if (baserel->rows > 0)
		messages *= Max(baserel->tuples / baserel->rows, 1);
	return (int) Min(messages, PG_INT32_MAX);
}
