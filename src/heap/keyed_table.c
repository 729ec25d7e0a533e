/*-------------------------------------------------------------------------
 *
 * keyed_table.c
 *	  Rows of reco's tables by primary key, through the table access method.
 *
 * A batch of events touches nearly as many users as it has events, and to run
 * the executor for each would cost more than the maintenance itself (14 instead
 * of 8 us an event).  This opens table and index once, looks up each row by its
 * key and writes it directly, as the apply worker of logical replication does.
 *
 * Writers hold reco's lock in a READ COMMITTED transaction and read under a
 * snapshot taken after it, so that no row is updated concurrently.  A table's
 * scans do not see rows written since reco_table_open: write each key once.  The
 * lock also keeps keys unique, so an update that leaves the key skips the check
 * of the index (keyed_table_update_plain).
 *
 * As in logical replication, row triggers fire, but not statement triggers: that
 * of reco.product would take reco's own writes for a client's change of the
 * catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "executor/executor.h"
#include "heap/keyed_table.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

struct RecoTable
{
	EState	   *estate;
	EPQState	epq;
	ResultRelInfo *result;
	bool		has_triggers;	/* a DBA's, or those of reco.product */
	Relation	heap;
	Relation	index;
	IndexScanDesc scan;
	Snapshot	snapshot;
	BlockNumber blocks;			/* number of blocks when it was opened */
	RecoTidCache **tid_cache;	/* NULL: none is kept */
	int			nkeys;
	ScanKeyData keys[RECO_TABLE_MAX_KEYS];
	TupleTableSlot *found;
	TupleTableSlot *written;
};

static RecoTable *
keyed_table_open(const RecoTableDef *name, LOCKMODE mode, Snapshot snapshot)
{
	RecoTable  *table = palloc0(sizeof(RecoTable));

	Assert(name->nkeys <= RECO_TABLE_MAX_KEYS);
	table->heap = table_open(reco_sql_table(name->table), mode);
	table->index = index_open(reco_sql_table(name->index), mode);
	reco_own_tables_check();
	table->snapshot = RegisterSnapshot(snapshot);
	table->blocks = RelationGetNumberOfBlocks(table->heap);
	table->tid_cache = name->tid_cache;
	table->nkeys = name->nkeys;
	for (int i = 0; i < name->nkeys; i++)
	{
		ScanKeyInit(&table->keys[i], i + 1, BTEqualStrategyNumber, name->equal[i], (Datum) 0);
		table->keys[i].sk_collation = table->index->rd_indcollation[i];
	}
	table->scan = reco_index_beginscan(table->heap, table->index, table->snapshot, name->nkeys);
	table->found = table_slot_create(table->heap, NULL);
	return table;
}

/* Open a table of the schema reco for reading, without reco's lock. */
RecoTable *
reco_table_open_read(const RecoTableDef *name, Snapshot snapshot)
{
	reco_sql_require_primary();
	return keyed_table_open(name, AccessShareLock, snapshot);
}

/* Open a table of the schema reco for writing. */
RecoTable *
reco_table_open(struct RecoWrite *write, const RecoTableDef *name)
{
	RecoTable  *table;

	CommandCounterIncrement();
	table = keyed_table_open(name, RowExclusiveLock, GetTransactionSnapshot());
	table->written = MakeSingleTupleTableSlot(RelationGetDescr(table->heap), &TTSOpsVirtual);
	table->estate = CreateExecutorState();
	table->estate->es_snapshot = table->snapshot;
	table->estate->es_output_cid = GetCurrentCommandId(true);	/* of rows that triggers may lock */
	table->result = makeNode(ResultRelInfo);
	InitResultRelInfo(table->result, table->heap, 0, NULL, 0);	/* of no query */
	ExecOpenIndices(table->result, false);
	reco_epq_init(&table->epq, table->estate);
	table->has_triggers = table->result->ri_TrigDesc != NULL;
	if (table->has_triggers)
		AfterTriggerBeginQuery();
	return table;
}

void
reco_table_close(RecoTable *table)
{
	if (table->result != NULL)
	{
		if (table->has_triggers)
			AfterTriggerEndQuery(table->estate);
		ExecCloseIndices(table->result);
		ExecCloseResultRelations(table->estate);
		ExecResetTupleTable(table->estate->es_tupleTable, false);
		ExecDropSingleTupleTableSlot(table->written);
		FreeExecutorState(table->estate);
	}
	ExecDropSingleTupleTableSlot(table->found);
	index_endscan(table->scan);
	UnregisterSnapshot(table->snapshot);

	/* a reader may wait for reco's lock next, whose holder may TRUNCATE */
	index_close(table->index, table->result != NULL ? NoLock : AccessShareLock);
	table_close(table->heap, table->result != NULL ? NoLock : AccessShareLock);
	pfree(table);
}

Relation
reco_table_relation(RecoTable *table)
{
	return table->heap;
}

Snapshot
reco_table_snapshot(RecoTable *table)
{
	return table->snapshot;
}

/*
 * Is the page too full for a new version of the row?  Index scans prune as soon
 * as less is free than fillfactor leaves, that is after each update; to prune
 * only full pages saved a tenth of the maintenance.
 */
static bool
keyed_table_is_crowded(TupleTableSlot *row)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) row;
	Size		length = slot->base.tuple->t_len;

	return PageGetHeapFreeSpace(BufferGetPage(slot->buffer)) < length + length / 2;
}

static void
keyed_table_prune(RecoTable *table, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(table->heap, block);

	heap_page_prune_opt(table->heap, buffer);
	ReleaseBuffer(buffer);
}

/* The row at a TID, NULL if none is visible there; valid until the next fetch. */
TupleTableSlot *
reco_table_fetch_at(RecoTable *table, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	bool		found = block < table->blocks &&
		table_tuple_fetch_row_version(table->heap, tid, table->snapshot, table->found);

	if (found && table->result != NULL && keyed_table_is_crowded(table->found))
	{
		/* pruning moves rows, so none may be pinned */
		ExecClearTuple(table->found);
		keyed_table_prune(table, block);
		found = table_tuple_fetch_row_version(table->heap, tid, table->snapshot, table->found);
	}
	return found ? table->found : NULL;
}

static bool
keyed_table_has_keys(RecoTable *table, TupleTableSlot *row, const Datum *keys)
{
	bool		null;

	for (int i = 0; i < table->nkeys; i++)
	{
		Datum		value = slot_getattr(row, i + 1, &null);
		bool		same = value == keys[i];

		if (!TupleDescAttr(row->tts_tupleDescriptor, i)->attbyval)
			same = DatumGetBool(FunctionCall2Coll(&table->keys[i].sk_func,
												  table->keys[i].sk_collation, value, keys[i]));
		if (!same)
			return false;
	}
	return true;
}

/* Hash a text key. */
static uint64
keyed_table_hash_text(Datum key)
{
	text	   *value = DatumGetTextPP(key);

	return DatumGetUInt64(hash_any_extended((unsigned char *) VARDATA_ANY(value),
											VARSIZE_ANY_EXHDR(value), 0));
}

/* The key of a TID cache, which need not be unique, from keys that are texts or passed by value. */
static int64
keyed_table_tid_key(Relation heap, const Datum *keys, int nkeys)
{
	TupleDesc	desc = RelationGetDescr(heap);
	uint64		key = 0;

	for (int i = 0; i < nkeys; i++)
		key = key * UINT64CONST(0x9E3779B97F4A7C15) +
			(TupleDescAttr(desc, i)->attbyval ? keys[i] : keyed_table_hash_text(keys[i]));
	return (int64) key;
}

/* The row with these keys, or NULL; tid: where to look first, or NULL. */
TupleTableSlot *
reco_table_fetch_near(RecoTable *table, const Datum *keys, ItemPointer tid)
{
	TupleTableSlot *row = tid != NULL ? reco_table_fetch_at(table, tid) : NULL;

	if (row != NULL && keyed_table_has_keys(table, row, keys))
		return row;
	for (int i = 0; i < table->nkeys; i++)
		table->keys[i].sk_argument = keys[i];
	index_rescan(table->scan, table->keys, table->nkeys, NULL, 0);
	if (index_getnext_slot(table->scan, ForwardScanDirection, table->found))
		return table->found;
	return NULL;
}

/* The row with these keys, NULL if there is none; valid until the next fetch. */
TupleTableSlot *
reco_table_fetch(RecoTable *table, const Datum *keys)
{
	ItemPointer tid = table->tid_cache == NULL ? NULL :
		reco_tid_cache_find(*table->tid_cache, keyed_table_tid_key(table->heap, keys, table->nkeys));

	return reco_table_fetch_near(table, keys, tid);
}

/*
 * Fill the TID cache with all rows, if the table fits into shared buffers: a
 * worker that starts has a backlog, and will read most of them anyway.
 */
void
reco_table_fill_tid_cache(const RecoTableDef *name)
{
	Relation	heap = table_open(reco_sql_table(name->table), AccessShareLock);
	TupleTableSlot *row = table_slot_create(heap, NULL);

	reco_own_tables_check();
	if (RelationGetNumberOfBlocks(heap) < NBuffers)
	{
		TableScanDesc scan = table_beginscan(heap, GetActiveSnapshot(), 0, NULL);

		while (table_scan_getnextslot(scan, ForwardScanDirection, row))
		{
			CHECK_FOR_INTERRUPTS();
			slot_getsomeattrs(row, name->nkeys);
			reco_tid_cache_set(name->tid_cache, keyed_table_tid_key(heap, row->tts_values, name->nkeys),
							   &row->tts_tid, ((BufferHeapTupleTableSlot *) row)->buffer);
		}
		table_endscan(scan);
	}
	ExecDropSingleTupleTableSlot(row);
	table_close(heap, AccessShareLock);
}

/* The TID of the row written last. */
ItemPointer
reco_table_written_at(RecoTable *table)
{
	return &table->written->tts_tid;
}

static TupleTableSlot *
keyed_table_fill(RecoTable *table, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = table->written;
	int			natts = slot->tts_tupleDescriptor->natts;

	ResetPerTupleExprContext(table->estate);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, natts * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

/* A DBA's trigger may have suppressed the row, which then has no TID. */
static void
keyed_table_check_written(RecoTable *table)
{
	if (!ItemPointerIsValid(&table->written->tts_tid))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("a trigger has suppressed a row of reco.%s", RelationGetRelationName(table->heap)),
				 errhint("Drop the trigger, or let it return the row.")));
}

static void
keyed_table_cache_tid(RecoTable *table, Buffer buffer)
{
	TupleTableSlot *row = table->written;

	if (table->tid_cache != NULL)
		reco_tid_cache_set(table->tid_cache, keyed_table_tid_key(table->heap, row->tts_values, table->nkeys),
						   &row->tts_tid, buffer);
}

void
reco_table_insert(RecoTable *table, const Datum *values, const bool *nulls)
{
	ExecSimpleRelationInsert(table->result, table->estate, keyed_table_fill(table, values, nulls));
	keyed_table_check_written(table);
	keyed_table_cache_tid(table, InvalidBuffer);
}

/*
 * Has the table nothing but its primary key, which updates do not change?  A
 * DBA may have added indexes and triggers.
 */
static bool
keyed_table_is_plain(RecoTable *table)
{
	return table->result->ri_NumIndices == 1 && !table->has_triggers;
}

/*
 * Update a row, whose key stays.  The executor would check uniqueness in the
 * index, and so visit each version of the row that an old snapshot keeps: in a
 * drain beside one users' rows took 14 % longer after 4M events; after 8 minutes at
 * 5,000 events/s that was 70 % of ingestion, and growing.
 */
static void
keyed_table_update_plain(RecoTable *table, ItemPointer old, TupleTableSlot *row)
{
	RecoUpdateIndexes indexes;

	if (RelationGetDescr(table->heap)->constr)
		ExecConstraints(table->result, row, table->estate);
	simple_table_tuple_update(table->heap, old, row, table->snapshot, &indexes);
	if (reco_update_needs_index(indexes))
		index_insert(table->index, row->tts_values, row->tts_isnull, &row->tts_tid, table->heap,
					 UNIQUE_CHECK_NO, true, table->result->ri_IndexRelationInfo[0]);
}

/* Update through the executor, with all indexes and row triggers, but without statement triggers. */
static void
keyed_table_update_full(RecoTable *table, TupleTableSlot *old, TupleTableSlot *row)
{
	ExecSimpleRelationUpdate(table->result, table->estate, &table->epq, old, row);
}

/*
 * Update a row that a fetch or a scan has returned; its keys, the first
 * columns, must not change.
 */
void
reco_table_update(RecoTable *table, TupleTableSlot *old, const Datum *values, const bool *nulls)
{
	TupleTableSlot *row = keyed_table_fill(table, values, nulls);
	bool		stays;

	if (keyed_table_is_plain(table))
		keyed_table_update_plain(table, &old->tts_tid, row);
	else
		keyed_table_update_full(table, old, row);
	keyed_table_check_written(table);
	stays = ItemPointerGetBlockNumber(&old->tts_tid) == ItemPointerGetBlockNumber(&row->tts_tid);
	keyed_table_cache_tid(table, stays ? ((BufferHeapTupleTableSlot *) old)->buffer : InvalidBuffer);
}

void
reco_table_delete(RecoTable *table, TupleTableSlot *old)
{
	ResetPerTupleExprContext(table->estate);
	ExecSimpleRelationDelete(table->result, table->estate, &table->epq, old);
}
