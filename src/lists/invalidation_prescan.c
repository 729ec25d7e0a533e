/*-------------------------------------------------------------------------
 *
 * invalidation_prescan.c
 *	  The lists that a change of the mirror will touch.
 *
 * To look through the rows of a million users takes some 0.3 s.  The follow worker
 * does that before it takes reco's lock to write the mirror: in short transactions,
 * while everybody else goes on.  Under the lock it then only looks at the rows that
 * it has found, and at those that were written meanwhile (written.c).
 *
 * What has been foreseen is good for the mirror as it was, for the products as they
 * were expected to become, and once.  Where anything else has come in between, or
 * the rows have moved to another file, the caller looks through all of them
 * under the lock; so does who writes reco.product by SQL.
 *
 * reco_foresee runs transactions of its own; reco_foresee_take runs in that of the
 * change, under reco's lock.
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
#include "lists/search.h"
#include "lists/user_rows.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Products whose change is foreseen, at most. */
#define MAX_PRODUCTS 1000

/* Tables of fewer blocks are looked through under the lock, in less than a millisecond. */
#define MIN_BLOCKS 100

/* Blocks of one transaction, about 10 ms. */
#define STEP_BLOCKS 2000

static MemoryContext context = NULL;

static struct
{
	bool		watching;
	bool		good;
	bool		guessed;		/* how popular a product will be: it touches fewer */
	RecoState	state;			/* by which it was foreseen */
	uint64		epoch;			/* of the cached mirror, whose indexes of categories are used */
	Oid			file;			/* of the users' rows */
	BlockNumber blocks;
	int			products;		/* that change */
	RecoSearch	search;
}			foreseen;

static RecoPlan products_plan = {
	"SELECT n.number, p.popularity FROM unnest($1) WITH ORDINALITY AS k(product_id, i)"
	" LEFT JOIN reco.product_number n USING (product_id) LEFT JOIN reco.product p USING (product_id)"
	" ORDER BY k.i",
	1, {TEXTARRAYOID}
};

/*
 * A product that changes.  One that the mirror does not hold yet brings the views along
 * that it has had: none if it has no number, and else it is not asked how many.
 */
static void
add_product(uint64 row, Datum id, Datum category, bool uncategorized)
{
	bool		no_number;
	bool		enters;
	int32		number = DatumGetInt32(reco_sql_value(row, 1, &no_number));
	int64		popularity = DatumGetInt64(reco_sql_value(row, 2, &enters));
	text	   *name;

	if (no_number)
		number = RECO_NO_NUMBER;
	else
	{
		/* by its name it is compared with others, which must not look it up now */
		reco_number_learn(DatumGetTextPP(id), number);
		reco_touched_change(foreseen.search.touched, number);
	}
	if (uncategorized)
		return;
	if (enters)
	{
		popularity = no_number ? 0 : PG_INT64_MAX;
		foreseen.guessed |= !no_number;
	}
	name = DatumGetTextPP(category);
	reco_touched_enter(foreseen.search.touched,
					   reco_product_find_category((RecoSlice) {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)}),
					   number, popularity);
}

/*
 * From here on it is noted which rows others write, those on new pages among them.
 * False: there are so few rows that it is not worth it.
 */
static bool
watch(void)
{
	RecoWrite  *write = reco_write_begin(NoLock);
	RecoUserRows *rows = reco_user_rows_open();

	foreseen.state = *reco_write_state(write);
	foreseen.file = reco_user_rows_file(rows);
	foreseen.blocks = reco_user_rows_blocks(rows);
	reco_user_rows_close(rows);
	foreseen.watching = foreseen.blocks >= MIN_BLOCKS;
	if (foreseen.watching)
		reco_written_watch();
	reco_write_end(write);
	return foreseen.watching;
}

/* Learn what to look for; after watch(), since a view gives a product its number. */
static void
prepare(const Datum *ids, const Datum *categories, const bool *uncategorized, int n)
{
	Datum		values[1] = {PointerGetDatum(reco_array(ids, n, TEXTOID))};
	MemoryContext caller;

	reco_product_load(&foreseen.state);
	foreseen.epoch = reco_product_epoch();
	reco_sql_query(&products_plan, values, NULL, 0);
	caller = MemoryContextSwitchTo(context);
	reco_search_begin(&foreseen.search, reco_touched_create(foreseen.state.max_recommendations));
	foreseen.guessed = false;
	for (int i = 0; i < n; i++)
		add_product(i, ids[i], categories[i], uncategorized[i]);
	foreseen.products = n;
	MemoryContextSwitchTo(caller);
	SPI_freetuptable(SPI_tuptable);
}

/* Look through some of the rows; returns the block to go on with. */
static BlockNumber
look_through(BlockNumber first)
{
	RecoUserRows *rows;

	reco_sql_begin();
	rows = reco_user_rows_open();
	foreseen.good = reco_user_rows_file(rows) == foreseen.file;
	if (foreseen.good)
		first = reco_user_rows_scan(rows, first, Min(STEP_BLOCKS, foreseen.blocks - first),
									reco_search_visit, &foreseen.search);
	reco_user_rows_close(rows);
	reco_sql_commit();
	return first;
}

/* These products will be in these categories, or gone: find the lists that this touches. */
void
reco_foresee(const Datum *ids, const Datum *categories, const bool *uncategorized, int n)
{
	bool		watching;

	foreseen.good = false;
	if (n > MAX_PRODUCTS)
		return;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "reco foreseen", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(context);
	reco_sql_begin();
	watching = watch();
	reco_sql_commit();
	if (!watching)
		return;
	reco_sql_begin();
	prepare(ids, categories, uncategorized, n);
	reco_sql_commit();
	foreseen.good = true;
	for (BlockNumber block = 0; block < foreseen.blocks && foreseen.good && !foreseen.search.too_many;)
	{
		CHECK_FOR_INTERRUPTS();
		block = look_through(block);
	}
}

/* The change has been made, or there was none to make. */
void
reco_foresee_forget(void)
{
	foreseen.good = false;
}

/* Is it still what the change, which has just been made, needs? */
static bool
is_good(const RecoState *state, const RecoTouched *touched)
{
	const RecoState *before = &foreseen.state;

	return foreseen.good && foreseen.epoch == reco_product_epoch() &&
		state->mirror_version == before->mirror_version + 1 &&
		state->numbers_version == before->numbers_version &&
		state->generation == before->generation &&
		state->max_recommendations == before->max_recommendations &&
		reco_touched_covers(foreseen.search.touched, touched);
}

static int
by_id(const void *a, const void *b)
{
	return pg_cmp_s64(((const RecoUserPlace *) a)->user_id, ((const RecoUserPlace *) b)->user_id);
}

/* Sort, and keep each user once. */
static int
unique_users(RecoUserPlace *users, int n)
{
	qsort(users, n, sizeof(RecoUserPlace), by_id);
	return qunique(users, n, sizeof(RecoUserPlace), by_id);
}

/*
 * What was foreseen, under the lock: all users whose lists the change may touch.  The
 * state and the cached mirror are those of after the change.
 */
RecoForeseen
reco_foresee_take(RecoWrite *write, const RecoTouched *touched, RecoUserPlace **users, int *count)
{
	const RecoUserPlace *written;
	int			n;

	if (!foreseen.watching)
		return RECO_FORESEEN_NOT;
	foreseen.watching = false;
	n = reco_written_end(&written);
	if (!is_good(reco_write_state(write), touched) || (foreseen.search.too_many ? foreseen.guessed : n < 0))
		return RECO_FORESEEN_NOT;
	reco_metrics_add(RECO_METRIC_PRESCANNED, foreseen.products);
	if (foreseen.search.too_many)
		return RECO_FORESEEN_MANY;
	*users = palloc((n + foreseen.search.count) * sizeof(RecoUserPlace));
	memcpy(*users, written, n * sizeof(RecoUserPlace));
	memcpy(*users + n, foreseen.search.users, foreseen.search.count * sizeof(RecoUserPlace));
	*count = unique_users(*users, n + foreseen.search.count);
	return RECO_FORESEEN_SOME;
}
