/*-------------------------------------------------------------------------
 *
 * window_top.c
 *	  The top K products of a window: rows of reco.window_top.
 *
 * A row has the whole top K of a window, because each batch of events changes
 * the counts of most of it.  With a row for each product, the versions kept by
 * an old snapshot cost 100 % of ingestion after 5 minutes at 5,000 events/s.
 *
 * Writers hold reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "shmem/change_queue.h"
#include "trending/window_top.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

/* Columns of reco.window_top, from 0. */
enum
{
	WINDOW_START, NUMBERS, VIEW_COUNTS, COLUMNS
};

static RecoTidCache *tid_cache = NULL;
static const RecoTableDef by_window = {
	"window_top", "window_top_pkey", 1, {F_TIMESTAMPTZ_EQ}, &tid_cache
};

/* Open the tops for writing. */
RecoTable *
reco_window_top_open(RecoWrite *write)
{
	return reco_table_open(write, &by_window);
}

/* Open the table for reading, without reco's lock. */
RecoTable *
reco_window_top_open_read(Snapshot snapshot)
{
	return reco_table_open_read(&by_window, snapshot);
}

static void
window_top_unpack(TupleTableSlot *row, RecoTopK *top)
{
	ArrayType  *numbers;
	ArrayType  *counts;
	int32	   *number;
	int64	   *views;

	slot_getallattrs(row);
	numbers = DatumGetArrayTypeP(row->tts_values[NUMBERS]);
	counts = DatumGetArrayTypeP(row->tts_values[VIEW_COUNTS]);
	top->count = ArrayGetNItems(ARR_NDIM(numbers), ARR_DIMS(numbers));
	number = reco_array_elements(numbers, INT4OID, top->count);
	views = reco_array_elements(counts, INT8OID, top->count);
	if (number == NULL || views == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of reco.window_top does not have two arrays of the same length"),
				 errhint("reco_verify() reports which one.  Run reco_rebuild().")));
	top->ranks = palloc_extended(top->count * sizeof(RecoRank), MCXT_ALLOC_HUGE);
	for (int i = 0; i < top->count; i++)
		top->ranks[i] = (RecoRank) {number[i], views[i]};
}

/* Read a row that was looked up; the top K is empty if row is NULL.  Returns row. */
static TupleTableSlot *
window_top_read(TupleTableSlot *row, RecoTopK *top)
{
	*top = (RecoTopK) {NULL, 0};
	if (row != NULL)
		window_top_unpack(row, top);
	return row;
}

/*
 * A window's row and the top K in it; NULL and an empty one if there is none.
 * tid: where to look first.
 */
TupleTableSlot *
reco_window_top_fetch_near(RecoTable *table, TimestampTz window, ItemPointer tid, RecoTopK *top)
{
	Datum		key = TimestampTzGetDatum(window);

	return window_top_read(reco_table_fetch_near(table, &key, tid), top);
}

/* The same by the TID cache. */
TupleTableSlot *
reco_window_top_fetch(RecoTable *table, TimestampTz window, RecoTopK *top)
{
	Datum		key = TimestampTzGetDatum(window);

	return window_top_read(reco_table_fetch(table, &key), top);
}

/* Write a window's top K, which differs from that of row (NULL: none), and queue it for the publisher. */
void
reco_window_top_write(RecoTable *table, TimestampTz window, TupleTableSlot *row, const RecoTopK *top)
{
	Datum	   *numbers;
	Datum	   *counts;
	Datum		values[COLUMNS] = {TimestampTzGetDatum(window)};
	bool		nulls[COLUMNS] = {false};

	if (top->count == 0)
	{
		reco_queue_add_window(window, &row->tts_tid);
		reco_table_delete(table, row);
		return;
	}
	numbers = palloc_extended(top->count * sizeof(Datum), MCXT_ALLOC_HUGE);
	counts = palloc_extended(top->count * sizeof(Datum), MCXT_ALLOC_HUGE);
	for (int i = 0; i < top->count; i++)
	{
		numbers[i] = Int32GetDatum(top->ranks[i].number);
		counts[i] = Int64GetDatum(top->ranks[i].views);
	}
	values[NUMBERS] = PointerGetDatum(reco_array(numbers, top->count, INT4OID));
	values[VIEW_COUNTS] = PointerGetDatum(reco_array(counts, top->count, INT8OID));
	if (row != NULL)
		reco_table_update(table, row, values, nulls);
	else
		reco_table_insert(table, values, nulls);
	reco_queue_add_window(window, reco_table_written_at(table));
}
