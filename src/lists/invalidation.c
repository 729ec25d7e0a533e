/*-------------------------------------------------------------------------
 *
 * invalidation.c
 *	  The lists that a change of the mirror touches.
 *
 * Those that a change may make other ones (touched.c) are found among all users'
 * rows, or among those that the follow worker has foreseen (invalidation_prescan.c).  Up to
 * RECO_MAX_TOUCHED are brought up to date in the transaction that changes the mirror.
 * Where there are more, a generation begins, and the sweep brings them along in
 * small steps.
 *
 * What changed is collected first (trigger.c) and applied once.  The caller
 * of reco_affected_apply holds reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "lists/invalidation.h"
#include "lists/invalidation_prescan.h"
#include "lists/search.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "shmem/worker_status.h"
#include "trending/counter_bucket.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * Of the present transaction, in TopTransactionContext.  What a statement has
 * collected it applies, or is undone: so all of it is of one nest level.
 */
static RecoSlice *products = NULL;	/* that changed */
static bool *entered = NULL;
static int	count = 0;
static int	size = 0;
static bool everything = false;
static int	collected_at = 0;	/* the nest level */

/* The nest level at which changes need no maintenance; 0: they do. */
static int	ignored_at = 0;

/* A product that enters brings the views along that it has had already. */
static RecoPlan popularity_plan = {
	"UPDATE reco.product p SET popularity = v.views FROM ("
	" SELECT n.product_id, sum(c.view_count) AS views"
	" FROM reco.window_count c JOIN reco.product_number n USING (number)"
	" WHERE c.window_start > $1 AND c.bucket = ANY ($2) AND n.product_id = ANY ($3)"
	" GROUP BY n.product_id) v"
	" WHERE p.product_id = v.product_id AND p.popularity = 0",
	3, {TIMESTAMPTZOID, INT4ARRAYOID, TEXTARRAYOID}
};

static void
forget(void)
{
	products = NULL;
	entered = NULL;
	count = size = 0;
	everything = false;
	collected_at = 0;
}

static void
affected_reset_xact(void)
{
	forget();
	ignored_at = 0;
}

static void
affected_abort_sub(int level)
{
	if (collected_at >= level)
		forget();
	if (ignored_at >= level)
		ignored_at = 0;
}

const RecoXactModule reco_affected_xact = {
	.abort_sub = affected_abort_sub,.reset = affected_reset_xact
};

/* The change at hand needs no maintenance. */
bool
reco_affected_ignored(void)
{
	return ignored_at > 0;
}

static RecoSlice
keep(const text *value)
{
	RecoSlice	kept;

	kept.length = VARSIZE_ANY_EXHDR(value);
	kept.data = memcpy(MemoryContextAlloc(TopTransactionContext, kept.length + 1),
					   VARDATA_ANY(value), kept.length);
	return kept;
}

/* Collect a change: the product is another one now, is gone, or enters. */
void
reco_affected_product(const text *product, bool enters)
{
	if (count == size)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		size = size ? size * 2 : 256;
		products = products ? repalloc_huge(products, size * sizeof(RecoSlice)) :
			palloc(size * sizeof(RecoSlice));
		entered = entered ? repalloc(entered, size * sizeof(bool)) : palloc(size * sizeof(bool));
		MemoryContextSwitchTo(old);
	}
	products[count] = keep(product);
	entered[count++] = enters;
	collected_at = GetCurrentTransactionNestLevel();
}

/* All products have changed. */
void
reco_affected_everything(void)
{
	everything = true;
	collected_at = GetCurrentTransactionNestLevel();
}

static void
take_popularity(const RecoState *state, const int32 *numbers)
{
	Datum	   *ids = palloc(count * sizeof(Datum));
	Datum	   *buckets = palloc(count * sizeof(Datum));
	Datum		values[3];
	int			n = 0;

	for (int i = 0; i < count; i++)
	{
		if (!entered[i])
			continue;
		buckets[n] = Int32GetDatum(numbers[i] / RECO_BUCKET_SIZE);
		ids[n++] = PointerGetDatum(cstring_to_text_with_len(products[i].data, products[i].length));
	}
	if (n == 0)
		return;
	values[0] = TimestampTzGetDatum(state->clock - state->recent_window * USECS_PER_SEC);
	values[1] = PointerGetDatum(reco_array(buckets, n, INT4OID));
	values[2] = PointerGetDatum(reco_array(ids, n, TEXTOID));
	ignored_at = GetCurrentTransactionNestLevel();
	reco_sql_execute(&popularity_plan, values, NULL);
	ignored_at = 0;
}

/* The products as they are now. */
static RecoTouched *
collect_touched(const RecoState *state, const int32 *numbers)
{
	RecoTouched *touched = reco_touched_create(state->max_recommendations);

	for (int i = 0; i < count; i++)
		reco_touched_change(touched, numbers[i]);
	for (int i = 0; i < count; i++)
	{
		int32		category = reco_product_category(numbers[i]);

		if (category != RECO_NO_CATEGORY)
			reco_touched_enter_best(touched, category);
	}
	return touched;
}

/* Find them among all rows. */
static void
look_through_all(RecoUserRows *rows, RecoSearch *search)
{
	BlockNumber blocks = reco_user_rows_blocks(rows);

	if (blocks > 0)
		reco_user_rows_scan(rows, 0, blocks, reco_search_visit, search);
}

/* Find them among some users. */
static void
look_at(RecoUserRows *rows, RecoUserPlace *candidates, int n, RecoSearch *search)
{
	for (int i = 0; i < n && !search->too_many; i++)
	{
		TupleTableSlot *row = reco_user_rows_fetch_near(rows, candidates[i].user_id, &candidates[i].place);

		CHECK_FOR_INTERRUPTS();
		if (row != NULL)
			reco_search_visit(rows, row, search);
	}
}

static void
find_lists(RecoWrite *write, RecoUserRows *rows, RecoSearch *search)
{
	RecoUserPlace *candidates;
	int			n;

	switch (reco_foresee_take(write, search->touched, &candidates, &n))
	{
		case RECO_FORESEEN_NOT:
			look_through_all(rows, search);
			break;
		case RECO_FORESEEN_SOME:
			look_at(rows, candidates, n, search);
			pfree(candidates);
			break;
		case RECO_FORESEEN_MANY:
			search->too_many = true;
	}
}

/* Bring the touched lists up to date; false if there are too many. */
static bool
refresh_lists(RecoWrite *write, const int32 *numbers)
{
	RecoUsers  *users = reco_user_open(write);
	RecoUserRows *rows = reco_user_rows(users);
	RecoSearch	search;

	reco_search_begin(&search, collect_touched(reco_write_state(write), numbers));
	find_lists(write, rows, &search);
	for (int i = 0; i < search.count && !search.too_many; i++)
	{
		TupleTableSlot *row = reco_user_rows_fetch_near(rows, search.users[i].user_id, &search.users[i].place);

		if (row != NULL)
			reco_user_refresh_row(users, row);
	}
	reco_user_close(users);
	return !search.too_many;
}

/* The mirror has changed as collected: maintain the lists. */
void
reco_affected_apply(RecoWrite *write)
{
	int32	   *numbers;

	if (count == 0 && !everything)
		return;
	numbers = palloc(Max(1, count) * sizeof(int32));
	reco_number_resolve(write, products, numbers, count);
	take_popularity(reco_write_state(write), numbers);
	reco_write_products_changed(write, everything ? NULL : numbers, count);
	if (everything || !refresh_lists(write, numbers))
		reco_write_next_generation(write);
	forget();
}
