/*-------------------------------------------------------------------------
 *
 * user_rows.c
 *	  Finding and reading rows of reco.user_state.
 *
 * Reading takes no lock, but rows may be written meanwhile, by user_state.c.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/tableam.h"
#include "lists/user_rows.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static RecoTidCache *tid_cache = NULL;
static const RecoTableDef by_user = {
	"user_state", "user_state_pkey", 1, {F_INT8EQ}, &tid_cache
};

/* Prepare to read rows of a table that is open for writing. */
void
reco_user_rows_init(RecoUserRows *rows, RecoTable *table)
{
	rows->table = table;
	reco_history_init(&rows->recent);
	reco_list_init(&rows->list);
}

/* Close the table, too. */
void
reco_user_rows_end(RecoUserRows *rows)
{
	reco_table_close(rows->table);
	pfree(rows->recent.views);
	pfree(rows->list.numbers);
}

/* Open the rows for writing; for user_state.c. */
RecoTable *
reco_user_rows_open_table(RecoWrite *write)
{
	return reco_table_open(write, &by_user);
}

/* Open the rows for scans, as they are now. */
RecoUserRows *
reco_user_rows_open(void)
{
	RecoUserRows *rows = palloc(sizeof(RecoUserRows));

	reco_user_rows_init(rows, reco_table_open_read(&by_user, GetTransactionSnapshot()));
	return rows;
}

void
reco_user_rows_close(RecoUserRows *rows)
{
	reco_user_rows_end(rows);
	pfree(rows);
}

/*
 * Fetch a user's row, which is probably at tid; NULL if there is none.  Valid
 * until the next fetch.
 */
TupleTableSlot *
reco_user_rows_fetch_near(RecoUserRows *rows, int64 user_id, ItemPointer tid)
{
	Datum		key = Int64GetDatum(user_id);

	return reco_table_fetch_near(rows->table, &key, tid);
}

/* Prefetch a user's row, which will be fetched soon. */
void
reco_user_rows_prefetch(RecoUserRows *rows, int64 user_id, RecoPrefetchStage stage)
{
	reco_tid_cache_prefetch(tid_cache, reco_table_relation(rows->table), user_id, stage);
}

int64
reco_user_row_id(TupleTableSlot *row)
{
	bool		null;

	return DatumGetInt64(slot_getattr(row, RECO_USER_ID + 1, &null));
}

/* The row's views, valid until the next row. */
const RecoHistory *
reco_user_row_views(RecoUserRows *rows, TupleTableSlot *row)
{
	bytea	   *packed;

	slot_getallattrs(row);
	packed = (bytea *) PG_DETOAST_DATUM_PACKED(row->tts_values[RECO_USER_RECENT]);
	reco_history_unpack(&rows->recent, packed);
	if ((Pointer) packed != DatumGetPointer(row->tts_values[RECO_USER_RECENT]))
		pfree(packed);
	return &rows->recent;
}

/* The row's list, valid until the next row. */
const RecoList *
reco_user_row_list(RecoUserRows *rows, TupleTableSlot *row)
{
	bool		null;
	Datum		list = slot_getattr(row, RECO_USER_LIST + 1, &null);

	rows->list.count = 0;
	if (!null)
		reco_list_unpack(&rows->list, list);
	return &rows->list;
}

/* Open the table for reading, without reco's lock. */
RecoTable *
reco_user_open_read(Snapshot snapshot)
{
	return reco_table_open_read(&by_user, snapshot);
}

/*
 * Fetch a user's list as stored, valid until the next fetch; false if there is
 * none.  tid: where the row probably is.
 */
bool
reco_user_fetch_list(RecoTable *table, int64 user_id, ItemPointer tid, Datum *list)
{
	Datum		key = Int64GetDatum(user_id);
	TupleTableSlot *row = reco_table_fetch_near(table, &key, tid);
	bool		null;

	if (row == NULL)
		return false;
	*list = slot_getattr(row, RECO_USER_LIST + 1, &null);
	return !null;
}

/* See keyed_table.h; needs a transaction with a snapshot. */
void
reco_user_fill_tid_cache(void)
{
	reco_table_fill_tid_cache(&by_user);
}

/* The size of the table, in blocks. */
BlockNumber
reco_user_rows_blocks(RecoUserRows *rows)
{
	return RelationGetNumberOfBlocks(reco_table_relation(rows->table));
}

/* Visit the rows of some blocks, which may be written meanwhile; returns the next block. */
BlockNumber
reco_user_rows_scan(RecoUserRows *rows, BlockNumber first, BlockNumber blocks,
			   RecoUserVisitor visit, void *arg)
{
	Relation	heap = reco_table_relation(rows->table);
	TupleTableSlot *row = table_slot_create(heap, NULL);
	TableScanDesc scan;
	ItemPointerData from;
	ItemPointerData upto;

	ItemPointerSet(&from, first, FirstOffsetNumber);
	ItemPointerSet(&upto, first + blocks - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(heap, reco_table_snapshot(rows->table), &from, &upto);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		if (!visit(rows, row, arg))
			break;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	return first + blocks;
}

/* The file of the table, which VACUUM FULL and TRUNCATE replace. */
Oid
reco_user_rows_file(RecoUserRows *rows)
{
	return reco_table_relation(rows->table)->rd_rel->relfilenode;
}
