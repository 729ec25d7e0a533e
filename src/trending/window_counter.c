/*-------------------------------------------------------------------------
 *
 * window_counter.c
 *	  The windows' counters and the top K products of each.
 *
 * reco.window_counter has the views of each product in each window,
 * reco.window_top the top K of each window: down to a rank, with all ties, but
 * at most trending_max products, in the order of views and product_id.  As long
 * as counters only grow, the new top K is a subset of the old one and the
 * products that changed: every other product still has as many ahead of it.
 * When a counter shrinks (DELETE of activity), the window is scanned.
 *
 * The caller holds reco's lock, except for the sums.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "common/spi.h"
#include "engine/product_dictionary.h"
#include "heap/keyed_table.h"
#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "trending/counter_bucket.h"
#include "trending/window_counter.h"
#include "trending/window_top.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Up to this many surplus products are removed one by one. */
#define MAX_SURPLUS_SELECT 4

/* Columns of reco.window_counter, from 1. */
enum
{
	WINDOW_START = 1, BUCKET, COUNTS, COLUMNS = COUNTS
};

static RecoTidCache *tid_cache = NULL;
static const RecoTableDef by_bucket = {
	"window_counter", "window_counter_pkey", 2, {F_TIMESTAMPTZ_EQ, F_INT4EQ}, &tid_cache
};

/* Without product_id: ties are broken only where the rank leaves too many. */
static RecoPlan scan_plan = {
	"SELECT number, view_count FROM (SELECT number, view_count,"
	" rank() OVER (ORDER BY view_count DESC) AS r FROM reco.window_count"
	" WHERE window_start = $1) t WHERE r <= $2", 2, {TIMESTAMPTZOID, INT4OID}
};
static RecoPlan drop_counters_plan = {
	"DELETE FROM reco.window_counter WHERE window_start < $1", 1, {TIMESTAMPTZOID}
};
static RecoPlan drop_plan = {
	"DELETE FROM reco.window_top WHERE window_start < $1 RETURNING window_start, ctid",
	1, {TIMESTAMPTZOID}
};

static int
window_counter_compare(const void *a, const void *b)
{
	const RecoCounterDelta *x = a;
	const RecoCounterDelta *y = b;

	if (x->window != y->window)
		return x->window < y->window ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static int
rank_compare_number(const void *a, const void *b)
{
	const RecoRank *x = a;
	const RecoRank *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int
rank_compare_views(const void *a, const void *b)
{
	const RecoRank *x = a;
	const RecoRank *y = b;

	return (y->views > x->views) - (y->views < x->views);
}

/* Apply the deltas of one row, sorted by number; views become totals. */
static void
window_counter_write_bucket(RecoTable *table, RecoCounterDelta *counts, int n)
{
	Datum		values[3] = {TimestampTzGetDatum(counts[0].window),
	Int32GetDatum(counts[0].number / RECO_BUCKET_SIZE)};
	bool		nulls[3] = {false, false, false};
	TupleTableSlot *row = reco_table_fetch(table, values);
	RecoCounterBucket unpacked;
	bool		null;

	if (row != NULL)
		reco_counter_bucket_unpack(&unpacked, slot_getattr(row, COUNTS, &null));
	else
		reco_counter_bucket_clear(&unpacked);
	for (int i = 0; i < n; i++)
		counts[i].views = reco_counter_bucket_add(&unpacked, counts[i].number, counts[i].views);
	values[2] = PointerGetDatum(reco_counter_bucket_pack(&unpacked));
	if (row == NULL)
		reco_table_insert(table, values, nulls);
	else if (reco_counter_bucket_is_zero(&unpacked))
		reco_table_delete(table, row);
	else
		reco_table_update(table, row, values, nulls);
}

/* Apply deltas, sorted by their rows' key; views become totals. */
static void
window_counter_write(RecoWrite *write, RecoCounterDelta *counts, int n)
{
	RecoTable  *table = reco_table_open(write, &by_bucket);

	for (int first = 0, end; first < n; first = end)
	{
		for (end = first + 1; end < n; end++)
			if (counts[end].window != counts[first].window ||
				counts[end].number / RECO_BUCKET_SIZE != counts[first].number / RECO_BUCKET_SIZE)
				break;
		window_counter_write_bucket(table, &counts[first], end - first);
	}
	reco_table_close(table);
}

static const RecoRank *
top_k_find(const RecoRank *ranks, int n, int32 number)
{
	RecoRank	key = {number, 0};

	return bsearch(&key, ranks, n, sizeof(RecoRank), rank_compare_number);
}

static int
rank_compare_product(const void *a, const void *b)
{
	return reco_dictionary_compare(((const RecoRank *) a)->number, ((const RecoRank *) b)->number);
}

/*
 * Of n products that tie, move the first "keep" by product_id to the front.
 * Usually only few are too many, and selecting those is cheaper than sorting.
 */
static void
top_k_keep_first(RecoRank *ranks, int n, int keep)
{
	reco_dictionary_load(&ranks[0].number, n, sizeof(RecoRank));
	if (n - keep > MAX_SURPLUS_SELECT)
	{
		qsort(ranks, n, sizeof(RecoRank), rank_compare_product);
		return;
	}
	for (; n > keep; n--)
	{
		RecoRank	last = ranks[n - 1];
		int			greatest = n - 1;

		for (int i = 0; i < n - 1; i++)
			if (rank_compare_product(&ranks[i], &ranks[greatest]) > 0)
				greatest = i;
		ranks[n - 1] = ranks[greatest];
		ranks[greatest] = last;
	}
}

/*
 * Sort ranks and return how many belong to the top K: those that rank high
 * enough, with ties, but trending_max at most; of the last tie those that are
 * first by product_id.
 */
static int
top_k_cut(RecoRank *ranks, int n, const RecoState *state)
{
	int			count = 0;
	int			tie = 0;		/* the first that ties with the last one */

	qsort(ranks, n, sizeof(RecoRank), rank_compare_views);
	for (; count < n; count++)
	{
		if (count > 0 && ranks[count].views == ranks[count - 1].views)
			continue;
		if (count >= state->trending_size || count >= state->trending_max)
			break;
		tie = count;
	}
	if (count > state->trending_max)
	{
		top_k_keep_first(ranks + tie, count - tie, state->trending_max - tie);
		count = state->trending_max;
	}
	return count;
}

/* The top K of a window from all of its counters. */
static RecoTopK
top_k_scan(const RecoState *state, TimestampTz window)
{
	Datum		values[2] = {TimestampTzGetDatum(window), Int32GetDatum(state->trending_size)};
	RecoTopK	top;

	top.count = (int) reco_sql_query(&scan_plan, values, NULL, 0);
	top.ranks = palloc_extended(top.count * sizeof(RecoRank), MCXT_ALLOC_HUGE);
	for (int i = 0; i < top.count; i++)
	{
		bool		null;

		top.ranks[i].number = DatumGetInt32(reco_sql_value(i, 1, &null));
		top.ranks[i].views = DatumGetInt64(reco_sql_value(i, 2, &null));
	}
	SPI_freetuptable(SPI_tuptable);
	top.count = top_k_cut(top.ranks, top.count, state);
	return top;
}

/* The top K from the old one and n totals that have grown, sorted by number. */
static RecoTopK
top_k_merge(const RecoState *state, const RecoTopK *old, const RecoCounterDelta *counts, int n)
{
	RecoTopK	top;

	top.ranks = palloc_extended((n + old->count) * sizeof(RecoRank), MCXT_ALLOC_HUGE);
	for (top.count = 0; top.count < n; top.count++)
		top.ranks[top.count] = (RecoRank) {counts[top.count].number, counts[top.count].views};
	for (int i = 0; i < old->count; i++)
		if (top_k_find(top.ranks, n, old->ranks[i].number) == NULL)
			top.ranks[top.count++] = old->ranks[i];
	top.count = top_k_cut(top.ranks, top.count, state);
	return top;
}

static bool
top_k_equal(const RecoTopK *a, const RecoTopK *b)
{
	if (a->count != b->count)
		return false;
	for (int i = 0; i < a->count; i++)
		if (a->ranks[i].number != b->ranks[i].number || a->ranks[i].views != b->ranks[i].views)
			return false;
	return true;
}

/*
 * Bring a window's top K up to date.  counts: the totals of the n products that
 * changed, sorted by number; shrunk: one of them may have shrunk.
 */
static void
top_k_refresh(RecoTable *table, const RecoState *state, const RecoCounterDelta *counts, int n, bool shrunk)
{
	TimestampTz window = counts[0].window;
	RecoTopK	old;
	TupleTableSlot *row = reco_window_top_fetch(table, window, &old);
	RecoTopK	fresh = shrunk ? top_k_scan(state, window) : top_k_merge(state, &old, counts, n);

	qsort(fresh.ranks, fresh.count, sizeof(RecoRank), rank_compare_number);
	if (!top_k_equal(&old, &fresh))
		reco_window_top_write(table, window, row, &fresh);
}

/*
 * Add deltas, at most one for each counter, and bring the windows' top K up to
 * date.  The deltas are overwritten.
 */
void
reco_window_counter_add(RecoWrite *write, RecoCounterDelta *counts, int n)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "reco trending",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	RecoTable  *table;
	bool		shrunk = false;

	qsort(counts, n, sizeof(RecoCounterDelta), window_counter_compare);
	for (int i = 0; i < n; i++)
		shrunk |= counts[i].views < 0;
	window_counter_write(write, counts, n);
	table = reco_window_top_open(write);
	for (int first = 0, end; first < n; first = end)
	{
		for (end = first; end < n && counts[end].window == counts[first].window; end++)
			 /* find the window's end */ ;
		top_k_refresh(table, reco_write_state(write), &counts[first], end - first, shrunk);
	}
	reco_table_close(table);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Drop the windows before the horizon. */
void
reco_window_counter_drop(RecoWrite *write)
{
	Datum		values[1] = {TimestampTzGetDatum(reco_write_state(write)->horizon)};
	uint64		dropped;

	reco_sql_execute(&drop_counters_plan, values, NULL);
	dropped = reco_sql_execute(&drop_plan, values, NULL);
	for (uint64 i = 0; i < dropped; i++)
	{
		bool		null;
		TimestampTz window = DatumGetTimestampTz(reco_sql_value(i, 1, &null));

		reco_queue_add_window(window, (ItemPointer) DatumGetPointer(reco_sql_value(i, 2, &null)));
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The sum of each product's views in the windows that start after a moment, for
 * numbers below size; greater ones are damage, which reco_verify() reports.  To
 * aggregate the view reco.window_count took 1.4 s for 100,000 products in 24
 * windows.
 */
int64 *
reco_window_counter_sums(TimestampTz after, int32 size)
{
	RecoTable  *table = reco_table_open_read(&by_bucket, GetTransactionSnapshot());
	TupleTableSlot *row = table_slot_create(reco_table_relation(table), NULL);
	TableScanDesc scan = table_beginscan(reco_table_relation(table), reco_table_snapshot(table), 0, NULL);
	int64	   *sums = palloc_extended(Max(1, size) * sizeof(int64), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		bool		null;
		int64		first = (int64) DatumGetInt32(slot_getattr(row, BUCKET, &null)) * RECO_BUCKET_SIZE;
		RecoCounterBucket counts;

		CHECK_FOR_INTERRUPTS();
		if (first < 0 || DatumGetTimestampTz(slot_getattr(row, WINDOW_START, &null)) <= after)
			continue;
		reco_counter_bucket_unpack(&counts, slot_getattr(row, COUNTS, &null));
		for (int i = 0; i < RECO_BUCKET_SIZE && first + i < size; i++)
			sums[first + i] += counts.counts[i];
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	reco_table_close(table);
	return sums;
}
