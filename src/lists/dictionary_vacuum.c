/*-------------------------------------------------------------------------
 *
 * dictionary_vacuum.c
 *	  Freeing product numbers that nothing refers to any more.
 *
 * Events may name products that do not exist, each a new one.  Their numbers
 * are freed, to be used again, when neither the mirror nor a user's row nor a
 * window's counter refers to them.  Since other processes may have cached the
 * numbers, a new numbers version begins.
 *
 * The users' rows are scanned without reco's lock, in a transaction before
 * the one that takes it.  A view that is stored in between appears in its
 * window's counter, which is kept as long as the view counts.  A list
 * contains only products of the mirror, which must still have the same
 * version.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/product_dictionary.h"
#include "engine/write.h"
#include "fmgr.h"
#include "lists/dictionary_vacuum.h"
#include "lists/user_state.h"
#include "trending/counter_bucket.h"
#include "utils/array.h"

/* Up to this many products outside of the catalog, nothing is freed. */
#define MIN_STRAY 10000

/* Numbers freed in one transaction. */
#define MAX_FREED 10000

static RecoPlan stray_plan = {
	"SELECT (SELECT count(*) FROM reco.product_number) - (SELECT count(*) FROM reco.product)"
};
static RecoPlan unused_plan = {
	"SELECT n.number FROM reco.product_number n"
	" WHERE number BETWEEN 0 AND $1"
	" AND NOT EXISTS (SELECT FROM reco.product p WHERE p.product_id = n.product_id)"
	" AND NOT EXISTS (SELECT FROM reco.window_count c WHERE c.number = n.number)",
	1, {INT4OID}
};
static RecoPlan free_plan = {
	"WITH gone AS (DELETE FROM reco.product_number n WHERE number = ANY ($1)"
	" AND NOT EXISTS (SELECT FROM reco.window_count c WHERE c.number = n.number AND c.bucket = ANY ($2))"
	" RETURNING number)"
	" INSERT INTO reco.free_number SELECT number FROM gone", 2, {INT4ARRAYOID, INT4ARRAYOID}
};

/* Numbers that may be freed, as flags by number. */
typedef struct Unused
{
	bool	   *flags;
	int32		size;
} Unused;

static void
vacuum_mark_used(Unused *unused, int32 number)
{
	if (number >= 0 && number < unused->size)
		unused->flags[number] = false;
}

/* Keep the numbers in a user's row; a list of an older generation may contain any. */
static bool
vacuum_visit(RecoUserRows *rows, TupleTableSlot *row, void *arg)
{
	const RecoHistory *recent = reco_user_row_views(rows, row);
	const RecoList *list = reco_user_row_list(rows, row);

	for (int i = 0; i < recent->count; i++)
		vacuum_mark_used(arg, recent->views[i].number);
	for (int i = 0; i < list->count; i++)
		vacuum_mark_used(arg, list->numbers[i]);
	return true;
}

/* Candidates: neither in the mirror nor counted in a window. */
static void
vacuum_read_candidates(Unused *unused)
{
	Datum		values[1] = {Int32GetDatum(RECO_NUMBER_MAX)};
	uint64		count = reco_sql_query(&unused_plan, values, NULL, 0);
	bool		null;

	unused->size = 0;
	for (uint64 i = 0; i < count; i++)
		unused->size = Max(unused->size, DatumGetInt32(reco_sql_value(i, 1, &null)) + 1);
	unused->flags = palloc0(Max(1, unused->size));
	for (uint64 i = 0; i < count; i++)
		unused->flags[DatumGetInt32(reco_sql_value(i, 1, &null))] = true;
	SPI_freetuptable(SPI_tuptable);
}

/* Find numbers that nothing refers to, at most MAX_FREED; returns how many. */
static int
vacuum_find_unused(int32 *numbers)
{
	RecoUserRows *rows;
	BlockNumber blocks;
	Unused		unused;
	int			n = 0;

	/* before the users' rows are scanned: their snapshot must not be older */
	vacuum_read_candidates(&unused);
	if (unused.size == 0)
		return 0;
	rows = reco_user_rows_open();
	blocks = reco_user_rows_blocks(rows);
	if (blocks > 0)
		reco_user_rows_scan(rows, 0, blocks, vacuum_visit, &unused);
	reco_user_rows_close(rows);
	for (int32 i = 0; i < unused.size && n < MAX_FREED; i++)
		if (unused.flags[i])
			numbers[n++] = i;
	return n;
}

/* Free them, except those that have been viewed again; under reco's lock. */
static void
vacuum_free_numbers(RecoWrite *write, const int32 *numbers, int n)
{
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *buckets = palloc(n * sizeof(Datum));
	Datum		values[2];

	for (int i = 0; i < n; i++)
	{
		ids[i] = Int32GetDatum(numbers[i]);
		buckets[i] = Int32GetDatum(numbers[i] / RECO_BUCKET_SIZE);
	}
	values[0] = PointerGetDatum(reco_array(ids, n, INT4OID));
	values[1] = PointerGetDatum(reco_array(buckets, n, INT4OID));
	reco_sql_execute(&free_plan, values, NULL);
	reco_write_numbers_changed(write);
}

static int64
vacuum_count_stray(void)
{
	bool		null;
	int64		stray;

	reco_sql_query(&stray_plan, NULL, NULL, 1);
	stray = DatumGetInt64(reco_sql_value(0, 1, &null));
	SPI_freetuptable(SPI_tuptable);
	return stray;
}

void
reco_dictionary_vacuum_step(void)
{
	static int64 checked = 0;	/* a generation */
	int32	   *numbers = palloc(MAX_FREED * sizeof(int32));
	RecoState	state;
	const RecoState *now;
	RecoWrite  *write;
	int			n = 0;

	reco_sql_begin();
	if (reco_state_peek(&state) && state.generation != checked)
	{
		checked = state.generation;
		if (vacuum_count_stray() > MIN_STRAY)
			n = vacuum_find_unused(numbers);
	}
	reco_sql_commit();
	if (n == 0)
	{
		pfree(numbers);
		return;
	}

	reco_sql_begin();
	write = reco_write_begin(NoLock);
	now = reco_write_state(write);
	if (now->mirror_version == state.mirror_version && now->numbers_version == state.numbers_version)
		vacuum_free_numbers(write, numbers, n);
	reco_write_end(write);
	reco_sql_commit();
	pfree(numbers);
}

PG_FUNCTION_INFO_V1(reco_reclaim);

/* reco.reclaim(): the same, immediately and however few there are. */
Datum
reco_reclaim(PG_FUNCTION_ARGS)
{
	RecoWrite  *write;
	int32	   *numbers = palloc(MAX_FREED * sizeof(int32));
	int			n;

	SPI_connect();
	write = reco_write_begin(NoLock);
	n = vacuum_find_unused(numbers);
	if (n > 0)
		vacuum_free_numbers(write, numbers, n);
	reco_write_end(write);
	SPI_finish();
	PG_RETURN_VOID();
}
