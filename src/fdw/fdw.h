/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  The foreign data wrapper's callbacks, by file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_FDW_H
#define KAFKA_FDW_H

#include "access/parallel.h"
#include "compat.h"
#include "foreign/fdwapi.h"

/* Positions in a ForeignScan's fdw_private; fdw_exprs are pushed conditions. */
typedef enum KafkaScanPrivate
{
	KAFKA_SCAN_NEEDED,			/* IntList: attribute numbers, offset by
								 * FirstLowInvalidHeapAttributeNumber */
	KAFKA_SCAN_LIMIT			/* Integer: messages that are expected to be
								 * enough, or -1 */
} KafkaScanPrivate;

/* plan.c */
extern void kafkaGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
								   Oid foreigntableid);
extern void kafkaGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
								 Oid foreigntableid);
extern ForeignScan *kafkaGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
										Oid foreigntableid,
										ForeignPath *best_path, List *tlist,
										List *scan_clauses, Plan *outer_plan);

/* scan.c */
extern void kafkaBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *kafkaIterateForeignScan(ForeignScanState *node);
extern void kafkaReScanForeignScan(ForeignScanState *node);
extern void kafkaEndForeignScan(ForeignScanState *node);

/* scan_parallel.c */
extern bool kafkaIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel,
										   RangeTblEntry *rte);
extern Size kafkaEstimateDSMForeignScan(ForeignScanState *node,
										ParallelContext *pcxt);
extern void kafkaInitializeDSMForeignScan(ForeignScanState *node,
										  ParallelContext *pcxt,
										  void *coordinate);
extern void kafkaReInitializeDSMForeignScan(ForeignScanState *node,
											ParallelContext *pcxt,
											void *coordinate);
extern void kafkaInitializeWorkerForeignScan(ForeignScanState *node,
											 shm_toc *toc, void *coordinate);
extern void kafkaShutdownForeignScan(ForeignScanState *node);

/* explain.c */
extern void kafkaExplainForeignScan(ForeignScanState *node, ExplainState *es);

/* modify.c */
extern void kafkaAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
										 RangeTblEntry *target_rte,
										 Relation target_relation);
extern int	kafkaIsForeignRelUpdatable(Relation rel);
extern List *kafkaPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
									Index resultRelation, int subplan_index);
extern void kafkaBeginForeignModify(ModifyTableState *mtstate,
									ResultRelInfo *rinfo, List *fdw_private,
									int subplan_index, int eflags);
extern void kafkaBeginForeignInsert(ModifyTableState *mtstate,
									ResultRelInfo *rinfo);
extern TupleTableSlot *kafkaExecForeignInsert(EState *estate,
											  ResultRelInfo *rinfo,
											  TupleTableSlot *slot,
											  TupleTableSlot *planSlot);
extern void kafkaEndForeignModify(EState *estate, ResultRelInfo *rinfo);
extern void kafkaEndForeignInsert(EState *estate, ResultRelInfo *rinfo);

/* analyze.c */
extern bool kafkaAnalyzeForeignTable(Relation rel, AcquireSampleRowsFunc *func,
									 BlockNumber *totalpages);

/* import.c */
extern List *kafkaImportForeignSchema(ImportForeignSchemaStmt *stmt,
									  Oid serverOid);

#endif							/* KAFKA_FDW_H */
