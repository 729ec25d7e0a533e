/*-------------------------------------------------------------------------
 *
 * affected.c
 *	  The lists that a change of the mirror touches.
 *
 * A product that enters, leaves or moves changes the lists of the users who
 * viewed it, and of those who viewed anything in a category that it enters or
 * leaves.  One scan of the users' rows finds them; up to MAX_LISTS are brought
 * up to date in the transaction that changes the mirror.  Where there are
 * more, a generation begins, and the sweep brings them along in small steps.
 *
 * What changed is collected first (trigger.c) and applied once.  The caller
 * of reco_affected_apply holds reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/xact.h"
#include "affected.h"
#include "catalog/pg_type.h"
#include "counts.h"
#include "counters.h"
#include "number.h"
#include "product.h"
#include "shared.h"
#include "sql.h"
#include "user.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* More lists than this are left to the sweep. */
#define MAX_LISTS 10000

/* Of the present transaction, in TopTransactionContext. */
static RecoText *products = NULL;	/* that changed */
static RecoText *categories = NULL; /* the category of each; data NULL: none */
static bool *entered = NULL;
static int	count = 0;
static int	size = 0;
static bool everything = false;
static bool ignore_changes = false;

/* What the scan looks for, and what it has found. */
typedef struct Search
{
	bool	   *numbers;		/* by product number */
	int32		numbers_size;
	bool	   *wanted;			/* by category */
	int32		wanted_size;
	int64	   *user_ids;
	int			found;
	bool		too_many;
} Search;

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
	products = categories = NULL;
	entered = NULL;
	count = size = 0;
	everything = false;
	ignore_changes = false;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		forget();
}

static void
at_savepoint_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		ignore_changes = false;
}

/* Called once, from _PG_init. */
void
reco_affected_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_savepoint_end, NULL);
}

/* The change at hand needs no maintenance. */
bool
reco_affected_ignored(void)
{
	return ignore_changes;
}

static RecoText
keep(const text *value)
{
	RecoText	kept = {NULL, 0};

	if (value != NULL)
	{
		kept.length = VARSIZE_ANY_EXHDR(value);
		kept.data = memcpy(MemoryContextAlloc(TopTransactionContext, kept.length + 1),
						   VARDATA_ANY(value), kept.length);
	}
	return kept;
}

/* Collect a change: the product is, or was, in the category. */
void
reco_affected_product(const text *product, const text *category, bool enters)
{
	if (count == size)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		size = size ? size * 2 : 256;
		products = products ? repalloc_huge(products, size * sizeof(RecoText)) :
			palloc(size * sizeof(RecoText));
		categories = categories ? repalloc_huge(categories, size * sizeof(RecoText)) :
			palloc(size * sizeof(RecoText));
		entered = entered ? repalloc(entered, size * sizeof(bool)) : palloc(size * sizeof(bool));
		MemoryContextSwitchTo(old);
	}
	products[count] = keep(product);
	categories[count] = keep(category);
	entered[count++] = enters;
}

/* All products have changed. */
void
reco_affected_everything(void)
{
	everything = true;
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
		buckets[n] = Int32GetDatum(numbers[i] / RECO_BUCKET);
		ids[n++] = PointerGetDatum(cstring_to_text_with_len(products[i].data, products[i].length));
	}
	if (n == 0)
		return;
	values[0] = TimestampTzGetDatum(state->clock - state->recent_window * USECS_PER_SEC);
	values[1] = PointerGetDatum(construct_array(buckets, n, INT4OID, 4, true, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(ids, n, TEXTOID, -1, false, TYPALIGN_INT));
	ignore_changes = true;
	reco_sql_execute(&popularity_plan, values, NULL);
	ignore_changes = false;
}

static void
prepare_search(Search *search, const int32 *numbers)
{
	memset(search, 0, sizeof(*search));
	for (int i = 0; i < count; i++)
		search->numbers_size = Max(search->numbers_size, numbers[i] + 1);
	search->numbers = palloc0(search->numbers_size);
	for (int i = 0; i < count; i++)
		search->numbers[numbers[i]] = true;

	for (int i = 0; i < count; i++)
		if (categories[i].data != NULL)
			reco_product_find_category(categories[i]);
	search->wanted_size = reco_product_categories();
	search->wanted = palloc0(Max(1, search->wanted_size));
	for (int i = 0; i < count; i++)
		if (categories[i].data != NULL)
			search->wanted[reco_product_find_category(categories[i])] = true;
	search->user_ids = palloc(MAX_LISTS * sizeof(int64));
}

static bool
is_touched(const Search *search, const RecoRecent *recent)
{
	for (int i = 0; i < recent->count; i++)
	{
		int32		number = recent->views[i].number;
		int32		category;

		if (number < search->numbers_size && search->numbers[number])
			return true;
		category = reco_product_category(number);
		if (category >= 0 && category < search->wanted_size && search->wanted[category])
			return true;
	}
	return false;
}

static bool
visit(RecoUsers *users, TupleTableSlot *row, void *arg)
{
	Search	   *search = arg;

	if (!is_touched(search, reco_user_views(users, row)))
		return true;
	if (search->found == MAX_LISTS)
	{
		search->too_many = true;
		return false;
	}
	search->user_ids[search->found++] = reco_user_id(row);
	return true;
}

/* Bring the touched lists up to date; false if there are too many. */
static bool
refresh_lists(const RecoState *state, const int32 *numbers)
{
	RecoUsers  *users = reco_user_open(state);
	BlockNumber blocks = reco_user_blocks(users);
	Search		search;

	prepare_search(&search, numbers);
	if (blocks > 0)
		reco_user_scan(users, 0, blocks, visit, &search);
	if (!search.too_many)
		for (int i = 0; i < search.found; i++)
			reco_user_refresh(users, search.user_ids[i]);
	reco_user_close(users);
	return !search.too_many;
}

/* The mirror has changed as collected: maintain the lists. */
void
reco_affected_apply(void)
{
	RecoState	state;
	int32	   *numbers;

	if (count == 0 && !everything)
		return;
	reco_state_read(&state);
	reco_product_sync(&state);
	numbers = palloc(Max(1, count) * sizeof(int32));
	reco_number_resolve(products, numbers, count);
	take_popularity(&state, numbers);
	reco_product_changed(&state, everything ? NULL : numbers, count);
	if (everything || !refresh_lists(&state, numbers))
		state.generation++;
	reco_state_write(&state);
	forget();
}
