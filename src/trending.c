/*-------------------------------------------------------------------------
 *
 * trending.c
 *	  The windows' counters and their most viewed products.
 *
 * reco.window_counter holds how often each product was viewed in each window,
 * reco.trending_products the top of each.  When counters only grow, the new
 * top is found among the present one and the products that changed; when one
 * shrinks (DELETE of activity), the window is scanned.
 *
 * The caller holds reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "counts.h"
#include "number.h"
#include "ring.h"
#include "sql.h"
#include "table.h"
#include "trending.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A product and its views in the window at hand. */
typedef struct Rank
{
	int32		number;
	int64		views;
} Rank;

static RecoPlan top_plan = {
	"SELECT n.number, t.view_count FROM reco.trending_products t"
	" JOIN reco.product_number n USING (product_id) WHERE t.window_start = $1 ORDER BY n.number",
	1, {TIMESTAMPTZOID}
};
static RecoPlan scan_plan = {
	"SELECT number, view_count FROM (SELECT number, view_count,"
	" rank() OVER (ORDER BY view_count DESC) AS r FROM reco.window_count"
	" WHERE window_start = $1) t WHERE r <= $2", 2, {TIMESTAMPTZOID, INT4OID}
};
static RecoPlan delete_plan = {
	"DELETE FROM reco.trending_products WHERE window_start = $1 AND product_id = ANY ($2)",
	2, {TIMESTAMPTZOID, TEXTARRAYOID}
};
static RecoPlan upsert_plan = {
	"INSERT INTO reco.trending_products (window_start, product_id, view_count)"
	" SELECT $1, * FROM unnest($2, $3)"
	" ON CONFLICT (window_start, product_id) DO UPDATE SET view_count = excluded.view_count",
	3, {TIMESTAMPTZOID, TEXTARRAYOID, INT8ARRAYOID}
};
static RecoPlan drop_counters_plan = {
	"DELETE FROM reco.window_counter WHERE window_start < $1", 1, {TIMESTAMPTZOID}
};
static RecoPlan drop_plan = {
	"WITH gone AS (DELETE FROM reco.trending_products WHERE window_start < $1"
	" RETURNING window_start) SELECT DISTINCT window_start FROM gone", 1, {TIMESTAMPTZOID}
};

static int
by_key(const void *a, const void *b)
{
	const RecoCount *x = a;
	const RecoCount *y = b;

	if (x->window != y->window)
		return x->window < y->window ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static int
by_number(const void *a, const void *b)
{
	const Rank *x = a;
	const Rank *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int
by_views(const void *a, const void *b)
{
	const Rank *x = a;
	const Rank *y = b;

	return (y->views > x->views) - (y->views < x->views);
}

/* Change the counters of one row, which are sorted; views become totals. */
static void
write_bucket(RecoTable *table, RecoCount *counts, int n)
{
	Datum		values[3] = {TimestampTzGetDatum(counts[0].window),
	Int32GetDatum(counts[0].number / RECO_BUCKET)};
	bool		nulls[3] = {false, false, false};
	TupleTableSlot *row = reco_table_fetch(table, values);
	RecoCounts	packed;
	bool		null;

	if (row != NULL)
		reco_counts_unpack(&packed, slot_getattr(row, 3, &null));
	else
		reco_counts_clear(&packed);
	for (int i = 0; i < n; i++)
		counts[i].views = reco_counts_add(&packed, counts[i].number, counts[i].views);
	values[2] = PointerGetDatum(&packed);
	if (row == NULL)
		reco_table_insert(table, values, nulls);
	else if (reco_counts_are_zero(&packed))
		reco_table_delete(table, row);
	else
		reco_table_update(table, row, values, nulls);
}

/* Change counters, in the order of their rows' key; views become totals. */
static void
write_counters(RecoCount *counts, int n)
{
	static RecoPlaces *places = NULL;
	static const RecoTableName name = {
		"window_counter", 3, "window_counter_pkey", 2, {F_TIMESTAMPTZ_EQ, F_INT4EQ}, &places
	};
	RecoTable  *table = reco_table_open(&name);

	for (int first = 0, end; first < n; first = end)
	{
		for (end = first + 1; end < n; end++)
			if (counts[end].window != counts[first].window ||
				counts[end].number / RECO_BUCKET != counts[first].number / RECO_BUCKET)
				break;
		write_bucket(table, &counts[first], end - first);
	}
	reco_table_close(table);
}

static Rank *
take_ranks(uint64 count, int room)
{
	Rank	   *ranks = palloc(Max(1, count + room) * sizeof(Rank));

	for (uint64 i = 0; i < count; i++)
	{
		bool		null;

		ranks[i].number = DatumGetInt32(reco_sql_value(i, 1, &null));
		ranks[i].views = DatumGetInt64(reco_sql_value(i, 2, &null));
	}
	SPI_freetuptable(SPI_tuptable);
	return ranks;
}

static const Rank *
find(const Rank *ranks, int n, int32 number)
{
	Rank		key = {number, 0};

	return bsearch(&key, ranks, n, sizeof(Rank), by_number);
}

/* The products that rank high enough; all that tie stay.  Reorders ranks. */
static int
cut(Rank *ranks, int n, int size)
{
	int			count = 0;

	qsort(ranks, n, sizeof(Rank), by_views);
	while (count < n && (count < size || ranks[count].views == ranks[count - 1].views))
		count++;
	return count;
}

/* Write the difference between the old and the new top; both by number. */
static bool
write_top(TimestampTz window, const Rank *old, int old_count, const Rank *fresh, int fresh_count)
{
	Datum	   *ids = palloc((old_count + fresh_count) * sizeof(Datum));
	Datum	   *views = palloc(Max(1, fresh_count) * sizeof(Datum));
	Datum		values[3] = {TimestampTzGetDatum(window)};
	int			gone = 0;
	int			changed = 0;

	for (int i = 0; i < old_count; i++)
		if (find(fresh, fresh_count, old[i].number) == NULL)
			ids[gone++] = PointerGetDatum(reco_number_name(old[i].number));
	if (gone > 0)
	{
		values[1] = PointerGetDatum(construct_array(ids, gone, TEXTOID, -1, false, TYPALIGN_INT));
		reco_sql_execute(&delete_plan, values, NULL);
	}
	for (int i = 0; i < fresh_count; i++)
	{
		const Rank *before = find(old, old_count, fresh[i].number);

		if (before != NULL && before->views == fresh[i].views)
			continue;
		ids[changed] = PointerGetDatum(reco_number_name(fresh[i].number));
		views[changed++] = Int64GetDatum(fresh[i].views);
	}
	if (changed > 0)
	{
		values[1] = PointerGetDatum(construct_array(ids, changed, TEXTOID, -1, false, TYPALIGN_INT));
		values[2] = PointerGetDatum(construct_array(views, changed, INT8OID, 8, FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		reco_sql_execute(&upsert_plan, values, NULL);
	}
	return gone > 0 || changed > 0;
}

/*
 * Bring a window's top up to date.  counts: the totals of the n products that
 * changed, by number; shrunk: one of them may have shrunk.
 */
static void
refresh_top(const RecoState *state, const RecoCount *counts, int n, bool shrunk)
{
	TimestampTz window = counts[0].window;
	Datum		values[2] = {TimestampTzGetDatum(window), Int32GetDatum(state->trending_size)};
	int			old_count = (int) reco_sql_query(&top_plan, values, NULL, 0);
	Rank	   *old = take_ranks(old_count, 0);
	Rank	   *fresh;
	int			fresh_count;

	if (shrunk)
	{
		fresh_count = (int) reco_sql_query(&scan_plan, values, NULL, 0);
		fresh = take_ranks(fresh_count, 0);
	}
	else
	{
		fresh = palloc((n + old_count) * sizeof(Rank));
		for (fresh_count = 0; fresh_count < n; fresh_count++)
		{
			fresh[fresh_count].number = counts[fresh_count].number;
			fresh[fresh_count].views = counts[fresh_count].views;
		}
		for (int i = 0; i < old_count; i++)
			if (find(fresh, n, old[i].number) == NULL)
				fresh[fresh_count++] = old[i];
		fresh_count = cut(fresh, fresh_count, state->trending_size);
	}
	qsort(fresh, fresh_count, sizeof(Rank), by_number);
	if (write_top(window, old, old_count, fresh, fresh_count))
		reco_ring_add_window(window);
}

/*
 * Add views to counters, each named once; negative ones take away.  The
 * counts are overwritten.
 */
void
reco_trending_add(const RecoState *state, RecoCount *counts, int n)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "reco trending",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	bool		shrunk = false;

	qsort(counts, n, sizeof(RecoCount), by_key);
	for (int i = 0; i < n; i++)
		shrunk |= counts[i].views < 0;
	write_counters(counts, n);
	for (int first = 0, end; first < n; first = end)
	{
		for (end = first; end < n && counts[end].window == counts[first].window; end++)
			 /* find the window's end */ ;
		refresh_top(state, &counts[first], end - first, shrunk);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Drop the windows before the horizon. */
void
reco_trending_drop(const RecoState *state)
{
	Datum		values[1] = {TimestampTzGetDatum(state->horizon)};
	uint64		dropped;

	reco_sql_execute(&drop_counters_plan, values, NULL);
	dropped = reco_sql_execute(&drop_plan, values, NULL);
	for (uint64 i = 0; i < dropped; i++)
	{
		bool		null;

		reco_ring_add_window(DatumGetTimestampTz(reco_sql_value(i, 1, &null)));
	}
	SPI_freetuptable(SPI_tuptable);
}
