/*-------------------------------------------------------------------------
 *
 * invalidation.c
 *	  The lists that a change of the mirror makes stale.
 *
 * The search covers all users' rows, or those found by a prescan
 * (invalidation_prescan.c).  Up to RECO_MAX_STALE_USERS stale lists are
 * computed in the transaction that changes the mirror.  If there are more, a
 * generation begins, and the sweep computes them in small steps.
 *
 * A change is an object: products are added to it, it may be planned before
 * reco's lock is taken, and it is applied once, after reco.product has been
 * written.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "engine/product_table.h"
#include "lists/invalidation.h"
#include "lists/invalidation_prescan.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "trending/counter_bucket.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Initial size of the array of products. */
#define FIRST_ROOM 64

struct RecoInvalidation
{
	MemoryContext context;		/* that everything here is allocated in */
	RecoProductChange *products;
	int			count;
	int			size;
	bool		everything;		/* any product may have changed */
	RecoPrescan *prescan;		/* NULL: there is none */
};

/* The views that products already have when they enter the mirror. */
static RecoPlan views_plan = {
	"SELECT n.product_id, sum(c.view_count)::bigint"
	" FROM reco.window_count c JOIN reco.product_number n USING (number)"
	" WHERE c.window_start > $1 AND c.bucket = ANY ($2) AND n.number = ANY ($3)"
	" GROUP BY n.product_id",
	3, {TIMESTAMPTZOID, INT4ARRAYOID, INT4ARRAYOID}
};

/* Create an empty change in the current memory context. */
RecoInvalidation *
reco_invalidation_create(void)
{
	RecoInvalidation *change = palloc0(sizeof(RecoInvalidation));

	change->context = CurrentMemoryContext;
	change->size = FIRST_ROOM;
	change->products = palloc(change->size * sizeof(RecoProductChange));
	return change;
}

static text *
invalidation_copy(const text *value)
{
	return value == NULL ? NULL : cstring_to_text_with_len(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * Add a product: category is its new one (NULL: none, or the product is gone),
 * enters says that it is new to the mirror.
 */
void
reco_invalidation_add(RecoInvalidation *change, const text *id, const text *category, bool enters)
{
	MemoryContext caller = MemoryContextSwitchTo(change->context);

	if (change->count == change->size)
	{
		change->size *= 2;
		change->products = repalloc_huge(change->products, change->size * sizeof(RecoProductChange));
	}
	change->products[change->count++] = (RecoProductChange) {
		invalidation_copy(id), invalidation_copy(category), enters
	};
	MemoryContextSwitchTo(caller);
}

/* Any product may have changed. */
void
reco_invalidation_add_everything(RecoInvalidation *change)
{
	change->everything = true;
}

void
reco_invalidation_plan(RecoInvalidation *change)
{
	MemoryContext caller = MemoryContextSwitchTo(change->context);

	if (!change->everything)
		change->prescan = reco_prescan_run(change->products, change->count);
	MemoryContextSwitchTo(caller);
}

/* The numbers of the products; assigns numbers to those that have none. */
static int32 *
invalidation_number(const RecoInvalidation *change, RecoWrite *write)
{
	RecoSlice  *ids = palloc_extended(Max(1, change->count) * sizeof(RecoSlice), MCXT_ALLOC_HUGE);
	int32	   *numbers = palloc_extended(Max(1, change->count) * sizeof(int32), MCXT_ALLOC_HUGE);

	for (int i = 0; i < change->count; i++)
		ids[i] = (RecoSlice) {VARDATA_ANY(change->products[i].id), VARSIZE_ANY_EXHDR(change->products[i].id)};
	reco_dictionary_resolve(write, ids, numbers, change->count);
	return numbers;
}

/*
 * Count the views of products that enter; returns the number of rows (id,
 * views) in SPI_tuptable, which the caller frees if there are any.
 */
static uint64
invalidation_count_views(const RecoInvalidation *change, const RecoState *state, const int32 *numbers)
{
	Datum	   *entering = palloc(change->count * sizeof(Datum));
	Datum	   *buckets = palloc(change->count * sizeof(Datum));
	Datum		values[3];
	uint64		found;
	int			n = 0;

	for (int i = 0; i < change->count; i++)
	{
		if (!change->products[i].enters)
			continue;
		buckets[n] = Int32GetDatum(numbers[i] / RECO_BUCKET_SIZE);
		entering[n++] = Int32GetDatum(numbers[i]);
	}
	if (n == 0)
		return 0;
	values[0] = TimestampTzGetDatum(state->clock - state->recent_window * USECS_PER_SEC);
	values[1] = PointerGetDatum(reco_array(buckets, n, INT4OID));
	values[2] = PointerGetDatum(reco_array(entering, n, INT4OID));
	found = reco_sql_query(&views_plan, values, NULL, 0);
	if (found == 0)
		SPI_freetuptable(SPI_tuptable);
	return found;
}

/* Products that enter the mirror start with the views that they already have. */
static void
invalidation_bring_popularity(const RecoInvalidation *change, RecoWrite *write, const int32 *numbers)
{
	uint64		count = invalidation_count_views(change, reco_write_state(write), numbers);
	SPITupleTable *views = SPI_tuptable;
	RecoTable  *table;

	if (count == 0)
		return;
	table = reco_product_table_open(write);
	for (uint64 i = 0; i < count; i++)
	{
		bool		null;
		Datum		id = SPI_getbinval(views->vals[i], views->tupdesc, 1, &null);
		int64		popularity = DatumGetInt64(SPI_getbinval(views->vals[i], views->tupdesc, 2, &null));
		TupleTableSlot *row = reco_table_fetch(table, &id);

		if (row != NULL && reco_product_table_popularity(row) == 0 && popularity != 0)
			reco_product_table_set_popularity(table, row, popularity);
	}
	reco_table_close(table);
	SPI_freetuptable(views);
}

/* The products as they are now. */
static RecoProductRow *
invalidation_read_products(const RecoInvalidation *change, RecoWrite *write, const int32 *numbers)
{
	RecoProductRow *rows = palloc_extended(Max(1, change->count) * sizeof(RecoProductRow), MCXT_ALLOC_HUGE);
	RecoTable  *table = reco_product_table_open(write);

	for (int i = 0; i < change->count; i++)
	{
		text	   *key = change->products[i].id;
		Datum		id = PointerGetDatum(key);
		TupleTableSlot *row = reco_table_fetch(table, &id);
		bool		none = true;
		Datum		category = (Datum) 0;

		rows[i] = (RecoProductRow) {.number = numbers[i],.id = {VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)}};
		if (row == NULL)
			continue;
		category = slot_getattr(row, RECO_PRODUCT_CATEGORY + 1, &none);
		rows[i].popularity = reco_product_table_popularity(row);
		if (!none)
		{
			text	   *name = invalidation_copy(DatumGetTextPP(category));

			rows[i].name = (RecoSlice) {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)};
		}
	}
	reco_table_close(table);
	return rows;
}

static RecoStale *
invalidation_index(const RecoState *state, const RecoProductRow *rows, int n)
{
	RecoProductDelta *deltas = palloc_extended(Max(1, n) * sizeof(RecoProductDelta), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		deltas[i] = (RecoProductDelta) {rows[i].number, reco_product_category(rows[i].number), rows[i].popularity};
	return reco_strategy->stale_index(state, deltas, n);
}

/* Find the stale ones among some users. */
static void
invalidation_search_users(RecoUserRows *rows, RecoUserTid *users, int n, RecoStaleUsers *search)
{
	for (int i = 0; i < n && !search->too_many; i++)
	{
		TupleTableSlot *row = reco_user_rows_fetch_near(rows, users[i].user_id, &users[i].tid);

		CHECK_FOR_INTERRUPTS();
		if (row != NULL)
			reco_stale_users_visit(rows, row, search);
	}
}

static void
invalidation_search(const RecoInvalidation *change, RecoWrite *write, RecoUserRows *rows, RecoStaleUsers *search)
{
	RecoPrescanResult result = RECO_PRESCAN_INVALID;
	BlockNumber blocks = reco_user_rows_blocks(rows);
	RecoUserTid *users;
	int			n;

	if (change->prescan != NULL)
		result = reco_prescan_finish(change->prescan, write, search->stale, &users, &n);
	if (result == RECO_PRESCAN_SOME)
		invalidation_search_users(rows, users, n, search);
	else if (result == RECO_PRESCAN_MANY)
		search->too_many = true;
	else if (blocks > 0)
		reco_user_rows_scan(rows, 0, blocks, reco_stale_users_visit, search);
}

/* Compute the stale lists; false if there are too many. */
static bool
invalidation_refresh(const RecoInvalidation *change, RecoWrite *write, const RecoProductRow *rows)
{
	RecoUsers  *users;
	RecoUserRows *user_rows;
	RecoStaleUsers search;

	reco_stale_users_init(&search, invalidation_index(reco_write_state(write), rows, change->count));
	users = reco_user_open(write);
	user_rows = reco_user_rows(users);
	invalidation_search(change, write, user_rows, &search);
	for (int i = 0; i < search.count && !search.too_many; i++)
	{
		TupleTableSlot *row = reco_user_rows_fetch_near(user_rows, search.users[i].user_id, &search.users[i].tid);

		if (row != NULL)
			reco_user_refresh_row(users, row);
	}
	reco_user_close(users);
	return !search.too_many;
}

void
reco_invalidation_apply(RecoInvalidation *change, RecoWrite *write)
{
	int32	   *numbers;
	RecoProductRow *rows = NULL;

	if (change->count == 0 && !change->everything)
		return;
	numbers = invalidation_number(change, write);
	invalidation_bring_popularity(change, write, numbers);
	if (!change->everything)
		rows = invalidation_read_products(change, write, numbers);
	reco_write_products_changed(write, rows, change->count);
	if (change->everything || !invalidation_refresh(change, write, rows))
		reco_write_next_generation(write);
}
