/*-------------------------------------------------------------------------
 *
 * keyed_table.h
 *	  Rows of reco's tables by primary key, through the table access method.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_KEYED_TABLE_H
#define RECO_KEYED_TABLE_H

#include "access/tableam.h"
#include "executor/tuptable.h"
#include "heap/tid_cache.h"

#define RECO_TABLE_MAX_KEYS 2

/*
 * A table of the schema reco, and the unique index by which its rows are looked
 * up.  With a TID cache the keys must be the table's first columns.
 */
typedef struct RecoTableDef
{
	const char *table;
	const char *index;
	int			nkeys;
	RegProcedure equal[RECO_TABLE_MAX_KEYS];	/* operators of the index's columns */
	RecoTidCache **tid_cache;
} RecoTableDef;

typedef struct RecoTable RecoTable;

/* NULL: the table is not derived state, or the caller has a lock of its own on it. */
struct RecoWrite;
extern RecoTable *reco_table_open(struct RecoWrite *write, const RecoTableDef *name);
extern RecoTable *reco_table_open_read(const RecoTableDef *name, Snapshot snapshot);
extern void reco_table_close(RecoTable *table);
extern Relation reco_table_relation(RecoTable *table);
extern Snapshot reco_table_snapshot(RecoTable *table);

extern TupleTableSlot *reco_table_fetch(RecoTable *table, const Datum *keys);
extern TupleTableSlot *reco_table_fetch_near(RecoTable *table, const Datum *keys, ItemPointer tid);
extern TupleTableSlot *reco_table_fetch_at(RecoTable *table, ItemPointer tid);
extern void reco_table_fill_tid_cache(const RecoTableDef *name);
extern ItemPointer reco_table_written_at(RecoTable *table);
extern void reco_table_insert(RecoTable *table, const Datum *values, const bool *nulls);
extern void reco_table_update(RecoTable *table, TupleTableSlot *old,
							  const Datum *values, const bool *nulls);
extern void reco_table_delete(RecoTable *table, TupleTableSlot *old);

#endif							/* RECO_KEYED_TABLE_H */
