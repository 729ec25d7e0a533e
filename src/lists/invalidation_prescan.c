/*-------------------------------------------------------------------------
 *
 * invalidation_prescan.c
 *	  Finding stale lists before reco's lock is taken.
 *
 * Scanning the rows of a million users takes some 0.3 s.  The follow worker
 * does so before it takes reco's lock to write the mirror, in short
 * transactions, while everybody else continues.  Under the lock, only those
 * rows remain to be checked that were found, and those that have been written
 * meanwhile, which the change queue names.
 *
 * A prescan is valid for the mirror as it was, and for the products as they
 * were expected to become.  If anything else has changed meanwhile, or the
 * table has been rewritten, all rows are scanned under the lock, as they are
 * when reco.product is written by SQL.
 *
 * reco_prescan_run() runs transactions of its own; reco_prescan_finish() runs
 * in that of the change.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/int.h"
#include "common/spi.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "lib/qunique.h"
#include "lists/invalidation_prescan.h"
#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* A change of more products is not prescanned. */
#define MAX_PRODUCTS 10000

/* Smaller tables are scanned under the lock, in less than a millisecond. */
#define MIN_BLOCKS 100

/* Blocks scanned in one transaction, in about 10 ms. */
#define STEP_BLOCKS 2000

/*
 * Limit of rows written meanwhile: one second at 100,000 events/s, while a
 * prescan takes less.
 */
#define MAX_WRITTEN (128 * 1024)

struct RecoPrescan
{
	bool		valid;
	bool		guessed;		/* some popularity, as the greatest: fewer lists may be stale */
	RecoState	state;			/* when the prescan began */
	uint64		position;		/* in the change queue, at that time */
	uint64		family;			/* of the products' versions, whose indexes of categories are used */
	RecoStringTable *fresh;		/* indexes that new categories will have */
	Oid			file;			/* of the users' rows */
	BlockNumber blocks;
	int			products;
	RecoStaleUsers found;
};

static RecoPlan products_plan = {
	"SELECT n.number, p.popularity FROM unnest($1) WITH ORDINALITY AS k(product_id, i)"
	" LEFT JOIN reco.product_number n USING (product_id) LEFT JOIN reco.product p USING (product_id)"
	" ORDER BY k.i",
	1, {TEXTARRAYOID}
};

/*
 * Ask the change queue to record all rows that others write from now on, those
 * on new pages included.  Returns false if there are so few rows that a
 * prescan is not worthwhile.
 */
static bool
prescan_watch(RecoPrescan *prescan)
{
	RecoWrite  *write;
	RecoUserRows *rows;
	bool		worth_it;

	reco_sql_begin();
	write = reco_write_begin(NoLock);
	rows = reco_user_rows_open();
	prescan->state = *reco_write_state(write);
	prescan->file = reco_user_rows_file(rows);
	prescan->blocks = reco_user_rows_blocks(rows);
	reco_user_rows_close(rows);
	worth_it = prescan->blocks >= MIN_BLOCKS;
	if (worth_it)
		prescan->position = reco_queue_watch();
	reco_write_end(write);
	reco_sql_commit();
	return worth_it;
}

/* The index of a category; one that will be new gets the one that the change will give it. */
static int32
prescan_category(RecoPrescan *prescan, RecoSlice name)
{
	int32		index = reco_product_find_category(name);
	int32	   *known;

	if (index != RECO_NO_CATEGORY)
		return index;
	known = reco_string_table_find(prescan->fresh, name);
	if (known != NULL)
		return *known;
	index = reco_product_categories() + reco_string_table_count(prescan->fresh);
	*reco_string_table_add(prescan->fresh, name) = index;
	return index;
}

/*
 * A product as it will be.  One that is new to the mirror starts with the
 * views that it already has: none if it has no number; otherwise they are not
 * counted here.
 */
static RecoProductDelta
prescan_expect(RecoPrescan *prescan, const RecoProductChange *product, uint64 row)
{
	RecoProductDelta delta = {.category = RECO_NO_CATEGORY};
	bool		no_number;
	bool		enters;

	delta.number = DatumGetInt32(reco_sql_value(row, 1, &no_number));
	delta.popularity = DatumGetInt64(reco_sql_value(row, 2, &enters));
	if (no_number)
		delta.number = RECO_NO_NUMBER;
	else						/* others are compared with its name, which must not be looked up then */
		reco_dictionary_learn(product->id, delta.number);
	if (product->category == NULL)
		return delta;
	delta.category = prescan_category(prescan, (RecoSlice) {VARDATA_ANY(product->category),
			VARSIZE_ANY_EXHDR(product->category)});
	if (enters)
	{
		delta.popularity = no_number ? 0 : PG_INT64_MAX;
		prescan->guessed |= !no_number;
	}
	return delta;
}

/*
 * Find out what to search for; after prescan_watch(), since a view gives a
 * product its number.
 */
static void
prescan_index(RecoPrescan *prescan, const RecoProductChange *products, int n)
{
	MemoryContext caller = CurrentMemoryContext;
	RecoProductDelta *deltas;
	Datum	   *ids;
	Datum		values[1];

	reco_sql_begin();
	ids = palloc(n * sizeof(Datum));
	deltas = palloc(n * sizeof(RecoProductDelta));
	prescan->family = reco_product_read();
	prescan->valid = prescan->family != 0;
	if (!prescan->valid)
	{
		reco_sql_commit();
		return;
	}
	prescan->fresh = reco_string_table_create(CurrentMemoryContext);
	for (int i = 0; i < n; i++)
		ids[i] = PointerGetDatum(products[i].id);
	values[0] = PointerGetDatum(reco_array(ids, n, TEXTOID));
	reco_sql_query(&products_plan, values, NULL, 0);
	for (int i = 0; i < n; i++)
		deltas[i] = prescan_expect(prescan, &products[i], i);
	SPI_freetuptable(SPI_tuptable);
	prescan->products = n;
	MemoryContextSwitchTo(caller);
	reco_stale_users_init(&prescan->found, reco_strategy->stale_index(&prescan->state, deltas, n));
	reco_sql_commit();
}

/* Scan some of the rows; returns the next block. */
static BlockNumber
prescan_step(RecoPrescan *prescan, BlockNumber first)
{
	RecoUserRows *rows;

	reco_sql_begin();
	rows = reco_user_rows_open();
	prescan->valid = reco_user_rows_file(rows) == prescan->file && reco_product_read() == prescan->family;
	if (prescan->valid)
		first = reco_user_rows_scan(rows, first, Min(STEP_BLOCKS, prescan->blocks - first),
									reco_stale_users_visit, &prescan->found);
	reco_user_rows_close(rows);
	reco_sql_commit();
	return first;
}

/*
 * Search for the lists that these products make stale.  Allocates in the
 * current memory context, which outlives transactions; NULL if a prescan is
 * not worthwhile.
 */
RecoPrescan *
reco_prescan_run(const RecoProductChange *products, int n)
{
	RecoPrescan *prescan;

	if (n > MAX_PRODUCTS)
		return NULL;
	prescan = palloc0(sizeof(RecoPrescan));
	if (!prescan_watch(prescan))
		return NULL;
	prescan_index(prescan, products, n);
	for (BlockNumber block = 0; block < prescan->blocks && prescan->valid && !prescan->found.too_many;)
	{
		CHECK_FOR_INTERRUPTS();
		block = prescan_step(prescan, block);
	}
	return prescan;
}

/* Does the prescan fit the change, which has just been made? */
static bool
prescan_is_valid(const RecoPrescan *prescan, const RecoState *state, const RecoStale *stale)
{
	const RecoState *before = &prescan->state;

	return prescan->valid && prescan->family == reco_product_family() &&
		state->mirror_version == before->mirror_version + 1 &&
		state->numbers_version == before->numbers_version &&
		state->generation == before->generation &&
		state->max_recommendations == before->max_recommendations &&
		reco_strategy->stale_covers(prescan->found.stale, stale);
}

static int
prescan_compare_users(const void *a, const void *b)
{
	return pg_cmp_s64(((const RecoUserTid *) a)->user_id, ((const RecoUserTid *) b)->user_id);
}

/* Merge the users found with those written meanwhile. */
static int
prescan_merge(const RecoPrescan *prescan, const RecoKey *written, int n, RecoUserTid **users)
{
	int			count = prescan->found.count;

	*users = palloc((count + n) * sizeof(RecoUserTid));
	memcpy(*users, prescan->found.users, count * sizeof(RecoUserTid));
	for (int i = 0; i < n; i++)
		(*users)[count++] = (RecoUserTid) {written[i].id, written[i].tid};
	qsort(*users, count, sizeof(RecoUserTid), prescan_compare_users);
	return qunique(*users, count, sizeof(RecoUserTid), prescan_compare_users);
}

/*
 * Called under the lock when the change has been made; stale is its index.
 * Returns all users whose lists may be stale.
 */
RecoPrescanResult
reco_prescan_finish(RecoPrescan *prescan, RecoWrite *write, const RecoStale *stale,
					RecoUserTid **users, int *count)
{
	RecoKey	   *written;
	int			n = reco_queue_unwatch(prescan->position, &written, MAX_WRITTEN);
	RecoPrescanResult result = RECO_PRESCAN_SOME;

	if (prescan->found.too_many)
		result = prescan->guessed ? RECO_PRESCAN_INVALID : RECO_PRESCAN_MANY;
	else if (n < 0)
		result = RECO_PRESCAN_INVALID;
	if (!prescan_is_valid(prescan, reco_write_state(write), stale))
		result = RECO_PRESCAN_INVALID;
	if (result != RECO_PRESCAN_INVALID)
		reco_metrics_add(RECO_METRIC_PRESCANNED, prescan->products);
	if (result == RECO_PRESCAN_SOME)
		*count = prescan_merge(prescan, written, n, users);
	pfree(written);
	return result;
}
