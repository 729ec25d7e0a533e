/*-------------------------------------------------------------------------
 *
 * keyed_table.c
 *	  Rows of reco's tables by primary key, through the table access method.
 *
 * A batch of events touches nearly as many users as it has events: the
 * executor's work for each would cost more than the maintenance itself
 * (it took 14 instead of 8 us an event).  This opens table and index once, finds
 * each row by its key and writes it at once, as the apply worker of logical
 * replication does.
 *
 * Who writes holds reco's lock in a READ COMMITTED transaction, so nobody else
 * writes the rows: they are read under a snapshot taken since, and a row is
 * never found to be updated concurrently.  Rows written after
 * reco_table_open are not seen by its scans: write each key once.
 *
 * Row triggers that a DBA has made fire, statement triggers do not, as with
 * logical replication: that of reco.product would take what reco writes itself
 * for a client's change of the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
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
	BlockNumber blocks;			/* when it was opened */
	RecoTidCache **places;		/* NULL: not remembered */
	int			nkeys;
	ScanKeyData keys[RECO_TABLE_MAX_KEYS];
	TupleTableSlot *found;
	TupleTableSlot *written;
};

static RecoTable *
open_table(const RecoTableDef *name, LOCKMODE mode, Snapshot snapshot)
{
	RecoTable  *table = palloc0(sizeof(RecoTable));

	Assert(name->nkeys <= RECO_TABLE_MAX_KEYS);
	table->heap = table_open(reco_sql_table(name->table), mode);
	table->index = index_open(reco_sql_table(name->index), mode);
	reco_own_tables_check();
	table->snapshot = RegisterSnapshot(snapshot);
	table->blocks = RelationGetNumberOfBlocks(table->heap);
	table->places = name->places;
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
	return open_table(name, AccessShareLock, snapshot);
}

/* Open a table of the schema reco for writing. */
RecoTable *
reco_table_open(const RecoTableDef *name)
{
	RecoTable  *table;

	CommandCounterIncrement();
	table = open_table(name, RowExclusiveLock, GetTransactionSnapshot());
	table->written = MakeSingleTupleTableSlot(RelationGetDescr(table->heap), &TTSOpsVirtual);
	table->estate = CreateExecutorState();
	table->estate->es_snapshot = table->snapshot;
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

	/* who only read may come to wait for reco's lock, whose holder may TRUNCATE */
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
 * Is there little room for a new version of the row?  Index scans prune as
 * soon as less is free than fillfactor leaves, that is after each update;
 * pruning only full pages took a tenth off the maintenance.
 */
static bool
is_crowded(TupleTableSlot *row)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) row;
	Size		length = slot->base.tuple->t_len;

	return PageGetHeapFreeSpace(BufferGetPage(slot->buffer)) < length + length / 2;
}

static void
prune(RecoTable *table, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(table->heap, block);

	heap_page_prune_opt(table->heap, buffer);
	ReleaseBuffer(buffer);
}

/* The row that stands at a place, NULL if none is visible there; good until the next fetch. */
TupleTableSlot *
reco_table_fetch_at(RecoTable *table, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	bool		found = block < table->blocks &&
		table_tuple_fetch_row_version(table->heap, tid, table->snapshot, table->found);

	if (found && table->result != NULL && is_crowded(table->found))
	{
		/* pruning moves rows, and wants nobody to look at them */
		ExecClearTuple(table->found);
		prune(table, block);
		found = table_tuple_fetch_row_version(table->heap, tid, table->snapshot, table->found);
	}
	return found ? table->found : NULL;
}

static bool
has_keys(RecoTable *table, TupleTableSlot *row, const Datum *keys)
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

/* A text as a number. */
static uint64
text_key(Datum key)
{
	text	   *value = DatumGetTextPP(key);

	return DatumGetUInt64(hash_any_extended((unsigned char *) VARDATA_ANY(value),
											VARSIZE_ANY_EXHDR(value), 0));
}

/* The keys, texts or passed by value, as one number; has_keys tells apart what shares it. */
static int64
place_key(TupleDesc desc, const Datum *keys, int nkeys)
{
	uint64		key = 0;

	for (int i = 0; i < nkeys; i++)
		key = key * UINT64CONST(0x9E3779B97F4A7C15) +
			(TupleDescAttr(desc, i)->attbyval ? keys[i] : text_key(keys[i]));
	return (int64) key;
}

/* The row of the keys, which may stand at a place (NULL: not known); or NULL. */
TupleTableSlot *
reco_table_fetch_near(RecoTable *table, const Datum *keys, ItemPointer place)
{
	TupleTableSlot *row = place != NULL ? reco_table_fetch_at(table, place) : NULL;

	if (row != NULL && has_keys(table, row, keys))
		return row;
	for (int i = 0; i < table->nkeys; i++)
		table->keys[i].sk_argument = keys[i];
	index_rescan(table->scan, table->keys, table->nkeys, NULL, 0);
	if (index_getnext_slot(table->scan, ForwardScanDirection, table->found))
		return table->found;
	return NULL;
}

/* The row of the keys, NULL if there is none; good until the next fetch. */
TupleTableSlot *
reco_table_fetch(RecoTable *table, const Datum *keys)
{
	ItemPointer place = table->places == NULL ? NULL :
		reco_tid_cache_find(*table->places, place_key(RelationGetDescr(table->heap), keys, table->nkeys));

	return reco_table_fetch_near(table, keys, place);
}

/*
 * Learn where all rows stand, if the table is small enough to stay in shared
 * buffers: a worker that starts has a backlog, and reads them all anyway.
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
			reco_tid_cache_set(name->places, place_key(RelationGetDescr(heap), row->tts_values, name->nkeys),
							   &row->tts_tid, ((BufferHeapTupleTableSlot *) row)->buffer);
		}
		table_endscan(scan);
	}
	ExecDropSingleTupleTableSlot(row);
	table_close(heap, AccessShareLock);
}

/* Where the last row written stands. */
ItemPointer
reco_table_written_at(RecoTable *table)
{
	return &table->written->tts_tid;
}

static TupleTableSlot *
fill(RecoTable *table, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = table->written;
	int			natts = slot->tts_tupleDescriptor->natts;

	ResetPerTupleExprContext(table->estate);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, natts * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

/* A DBA's trigger may have suppressed the row: it stands nowhere then. */
static void
check_written(RecoTable *table)
{
	if (!ItemPointerIsValid(&table->written->tts_tid))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("a trigger has suppressed a row of reco.%s", RelationGetRelationName(table->heap)),
				 errhint("Drop the trigger, or let it return the row.")));
}

static void
remember(RecoTable *table, Buffer buffer)
{
	TupleTableSlot *row = table->written;

	if (table->places != NULL)
		reco_tid_cache_set(table->places, place_key(RelationGetDescr(table->heap), row->tts_values, table->nkeys),
						   &row->tts_tid, buffer);
}

void
reco_table_insert(RecoTable *table, const Datum *values, const bool *nulls)
{
	ExecSimpleRelationInsert(table->result, table->estate, fill(table, values, nulls));
	check_written(table);
	remember(table, InvalidBuffer);
}

/*
 * Has the table nothing but its primary key, which an update leaves as it is?
 * A DBA may have added indexes and triggers.
 */
static bool
is_plain(RecoTable *table)
{
	return table->result->ri_NumIndices == 1 && !table->has_triggers;
}

/*
 * Write a new version of a row whose key is the old one's.  The executor
 * would ask the index whether it is unique, and so visit each version of the
 * row that somebody's old snapshot keeps: 8 minutes beside one at 5,000
 * events/s, that was 70 % of ingestion, and growing.
 */
static void
update_plain(RecoTable *table, ItemPointer old, TupleTableSlot *row)
{
	RecoUpdateIndexes indexes;

	if (RelationGetDescr(table->heap)->constr)
		ExecConstraints(table->result, row, table->estate);
	simple_table_tuple_update(table->heap, old, row, table->snapshot, &indexes);
	if (reco_update_needs_index(indexes))
		index_insert(table->index, row->tts_values, row->tts_isnull, &row->tts_tid, table->heap,
					 UNIQUE_CHECK_NO, true, table->result->ri_IndexRelationInfo[0]);
}

/* The executor's way, with all indexes and row triggers, but without statement triggers. */
static void
update_without_statement_triggers(RecoTable *table, TupleTableSlot *old, TupleTableSlot *row)
{
	ExecSimpleRelationUpdate(table->result, table->estate, &table->epq, old, row);
}

/*
 * Write a new version of a row that a fetch or a scan has found; its keys,
 * the first columns, are the same.
 */
void
reco_table_update(RecoTable *table, TupleTableSlot *old, const Datum *values, const bool *nulls)
{
	TupleTableSlot *row = fill(table, values, nulls);
	bool		stays;

	if (is_plain(table))
		update_plain(table, &old->tts_tid, row);
	else
		update_without_statement_triggers(table, old, row);
	check_written(table);
	stays = ItemPointerGetBlockNumber(&old->tts_tid) == ItemPointerGetBlockNumber(&row->tts_tid);
	remember(table, stays ? ((BufferHeapTupleTableSlot *) old)->buffer : InvalidBuffer);
}

void
reco_table_delete(RecoTable *table, TupleTableSlot *old)
{
	ResetPerTupleExprContext(table->estate);
	ExecSimpleRelationDelete(table->result, table->estate, &table->epq, old);
}
