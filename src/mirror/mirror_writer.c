/*-------------------------------------------------------------------------
 *
 * mirror_writer.c
 *	  Products that the catalog and the mirror do not agree on.
 *
 * They are taken from a tuplestore and kept until they are written, by
 * one statement for each kind.  Writing takes reco's lock, and the lists are
 * brought up to date once for all three.  The statements are planned for what
 * they have to do each time: ten thousand rows take another way than one.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/trigger.h"
#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "engine/write.h"
#include "lists/invalidation_prescan.h"
#include "mirror/mirror_writer.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Keys that are skipped are reported this often; in ms. */
#define SKIPPED_INTERVAL 60000

/* Rows that are expected of each kind. */
#define FIRST_ROOM 64

typedef struct Products
{
	Datum	   *ids;
	Datum	   *categories;
	bool	   *uncategorized;
	int			count;
	int			room;
} Products;

static MemoryContext context = NULL;
static Products gone;
static Products moved;
static Products fresh;

static RecoPlan delete_plan = {
	"DELETE FROM reco.product WHERE product_id = ANY ($1)", 1, {TEXTARRAYOID}
};

static RecoPlan update_plan = {
	"UPDATE reco.product p SET category = d.category"
	" FROM unnest($1, $2) AS d(product_id, category) WHERE p.product_id = d.product_id",
	2, {TEXTARRAYOID, TEXTARRAYOID}
};

static RecoPlan insert_plan = {
	"INSERT INTO reco.product (product_id, category) SELECT * FROM unnest($1, $2)",
	2, {TEXTARRAYOID, TEXTARRAYOID}
};

void
reco_difference_init(void)
{
	context = AllocSetContextCreate(TopMemoryContext, "reco differences",
									ALLOCSET_DEFAULT_SIZES);
}

static void
products_reset(Products *products, int room)
{
	products->ids = MemoryContextAlloc(context, Max(room, 1) * sizeof(Datum));
	products->categories = MemoryContextAlloc(context, Max(room, 1) * sizeof(Datum));
	products->uncategorized = MemoryContextAlloc(context, Max(room, 1) * sizeof(bool));
	products->room = Max(room, 1);
	products->count = 0;
}

static void
products_grow(Products *products)
{
	products->room *= 2;
	products->ids = repalloc(products->ids, products->room * sizeof(Datum));
	products->categories = repalloc(products->categories, products->room * sizeof(Datum));
	products->uncategorized = repalloc(products->uncategorized, products->room * sizeof(bool));
}

/* Copy a text of the present row, NULL if it is. */
static Datum
copy_text(TupleTableSlot *slot, int column, bool *isnull)
{
	Datum		value = slot_getattr(slot, column, isnull);

	return *isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}

/* Take the present row; the arrays grow as it needs. */
static void
products_add(Products *products, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	bool		isnull;

	if (products->count == products->room)
		products_grow(products);
	products->ids[products->count] = copy_text(slot, 2, &isnull);
	products->categories[products->count] =
		copy_text(slot, 3, &products->uncategorized[products->count]);
	products->count++;
	MemoryContextSwitchTo(caller);
}

/* Warn of keys that cannot be product_ids, now and then. */
static void
report_skipped(const char *catalog, int count, const char *example)
{
	static RecoMoment due = 0;

	if (!reco_monotonic_is_due(&due, SKIPPED_INTERVAL))
		return;
	ereport(WARNING,
			(errmsg("products of catalog table %s are skipped because their key is empty or longer than 512 bytes",
					catalog),
			 errdetail("The last look met %d, among them \"%.60s\".", count, example)));
}

bool
reco_difference_take(Tuplestorestate *rows, TupleTableSlot *slot, int limit, const char *catalog)
{
	int			taken = 0;
	int			skipped = 0;
	char	   *example = NULL;

	MemoryContextReset(context);
	products_reset(&gone, FIRST_ROOM);
	products_reset(&moved, FIRST_ROOM);
	products_reset(&fresh, FIRST_ROOM);
	while ((limit == 0 || taken < limit) && tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		isnull;

		taken++;
		switch ((RecoDifference) DatumGetChar(slot_getattr(slot, 1, &isnull)))
		{
			case RECO_GONE:
				products_add(&gone, slot);
				break;
			case RECO_MOVED:
				products_add(&moved, slot);
				break;
			case RECO_NEW:
				products_add(&fresh, slot);
				break;
			case RECO_SKIPPED:
				skipped++;
				if (example == NULL)
					example = TextDatumGetCString(slot_getattr(slot, 2, &isnull));
				break;
		}
	}
	ExecClearTuple(slot);
	if (skipped > 0)
		report_skipped(catalog, skipped, example);
	return limit > 0 && taken == limit;
}

/* Run a plan whose arguments are ids, and categories where it takes them. */
static void
run_for(RecoPlan *plan, const Products *products)
{
	int			dims[] = {products->count};
	int			lower[] = {1};
	Datum		arguments[2];

	if (products->count == 0)
		return;
	arguments[0] = PointerGetDatum(reco_array(products->ids, products->count, TEXTOID));
	arguments[1] = PointerGetDatum(construct_md_array(products->categories,
													  products->uncategorized, 1, dims, lower,
													  TEXTOID, -1, false, TYPALIGN_INT));
	reco_sql_execute(plan, arguments, NULL);
}

int
reco_difference_count(void)
{
	return gone.count + moved.count + fresh.count;
}

static void
append(Products *all, const Products *some)
{
	memcpy(all->ids + all->count, some->ids, some->count * sizeof(Datum));
	memcpy(all->categories + all->count, some->categories, some->count * sizeof(Datum));
	memcpy(all->uncategorized + all->count, some->uncategorized, some->count * sizeof(bool));
	all->count += some->count;
}

/* Find the lists that writing will touch, in transactions of its own. */
void
reco_difference_foresee(void)
{
	Products	all;

	products_reset(&all, reco_difference_count());
	append(&all, &gone);
	append(&all, &moved);
	append(&all, &fresh);
	reco_foresee(all.ids, all.categories, all.uncategorized, all.count);
}

void
reco_difference_write(void)
{
	int			count = reco_difference_count();
	RecoWrite  *write;

	if (count == 0)
		return;

	/* in the order in which the popularity takes them */
	LockRelationOid(reco_sql_table("product"), RowExclusiveLock);
	write = reco_write_begin(NoLock);
	reco_trigger_defer_mirror();
	run_for(&delete_plan, &gone);
	run_for(&update_plan, &moved);
	run_for(&insert_plan, &fresh);
	reco_trigger_apply_mirror(write);
	reco_write_end(write);
	reco_metrics_add(RECO_METRIC_CATALOG, count);
	gone.count = moved.count = fresh.count = 0;
}
