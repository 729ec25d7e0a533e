/*-------------------------------------------------------------------------
 *
 * product_order.c
 *	  A version of the mirror in which the products are in order.
 *
 * With a new popularity, or because many have come since the last one, and have
 * no place in the order: lists that merge categories compare places, which are
 * cheaper than popularity and id.
 *
 * It can be made before reco's lock is taken, from a pinned version: it touches
 * nothing of that until it is finished under the lock.  reco.product is locked
 * against writers then.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/product_build.h"
#include "engine/product_draft.h"
#include "utils/memutils.h"

/* A product on its way to its order. */
typedef struct Ordered
{
	int64		popularity;
	uint64		prefix;			/* bytes of the id, after those that all ids have in common */
	RecoSlice	id;
	int32		number;
	int32		category;
} Ordered;

static int
ordered_compare(const void *a, const void *b)
{
	const Ordered *x = a;
	const Ordered *y = b;

	if (x->popularity != y->popularity)
		return x->popularity > y->popularity ? -1 : 1;
	if (x->prefix != y->prefix)
		return x->prefix < y->prefix ? -1 : 1;
	return reco_draft_compare_ids(x->id, y->id);
}

/* Gather all products of a draft; first: where those of each category begin. */
static int
order_gather(RecoDraft *draft, Ordered *products, int *first, const int64 *by_number, int32 size)
{
	int			count = 0;

	for (int32 category = 0; category < draft->version->category_count; category++)
	{
		const RecoProducts *list = reco_draft_read_products(draft, category);

		first[category] = count;
		for (int i = 0; list != NULL && i < list->count; i++)
		{
			int32		number = list->products[i].number;
			int64		popularity = RECO_PRODUCTS_POPULARITY(list)[i];

			if (by_number != NULL)
				popularity = number < size ? by_number[number] : 0;
			products[count++] = (Ordered) {popularity, 0, reco_draft_id(draft, number), number, category};
		}
	}
	return count;
}

/* Compute prefixes: comparing these is most of sorting. */
static void
order_compute_prefixes(Ordered *products, int n)
{
	int			common = n > 0 ? products[0].id.length : 0;

	for (int i = 1; i < n; i++)
	{
		common = Min(common, products[i].id.length);
		while (memcmp(products[i].id.data, products[0].id.data, common) != 0)
			common--;
	}
	for (int i = 0; i < n; i++)
		for (int j = common; j < common + 8; j++)
			products[i].prefix = products[i].prefix << 8 |
				(j < products[i].id.length ? (unsigned char) products[i].id.data[j] : 0);
}

void
reco_build_order(RecoVersion *version, const RecoVersion *base, const int64 *by_number, int32 size)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "reco order of products",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	int			count = version->product_count;
	int			categories = version->category_count;
	Ordered    *sorted = palloc_extended(Max(1, count) * sizeof(Ordered), MCXT_ALLOC_HUGE);
	RecoProduct *products = palloc_extended(Max(1, count) * sizeof(RecoProduct), MCXT_ALLOC_HUGE);
	int64	   *popularity = palloc_extended(Max(1, count) * sizeof(int64), MCXT_ALLOC_HUGE);
	int		   *first = palloc((categories + 1) * sizeof(int));
	int		   *next = palloc((categories + 1) * sizeof(int));
	RecoDraft		draft;

	reco_draft_begin(&draft, version, false);
	first[categories] = order_gather(&draft, sorted, first, by_number, size);
	memcpy(next, first, (categories + 1) * sizeof(int));
	order_compute_prefixes(sorted, count);
	qsort(sorted, count, sizeof(Ordered), ordered_compare);
	for (int i = 0; i < count; i++)
	{
		int			at = next[sorted[i].category]++;

		products[at] = (RecoProduct) {sorted[i].number, i + 1};
		popularity[at] = sorted[i].popularity;
	}
	for (int i = 0; i < categories; i++)
		if (first[i + 1] > first[i])
			reco_draft_write_products(&draft, i, &products[first[i]], &popularity[first[i]], first[i + 1] - first[i]);
	reco_draft_end(&draft);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}

/* Note what of the base it replaces: under reco's lock, since others do that, too. */
void
reco_build_finish_order(RecoVersion *version, const RecoVersion *base)
{
	RecoDirectory *old;
	RecoDirectory *new;

	if (base->categories_directory == version->categories_directory)
		return;
	old = reco_version_address(base->categories_directory);
	new = reco_version_address(version->categories_directory);
	for (int i = 0; i < RECO_PAGES(base->category_count, RECO_PAGE_CATEGORIES); i++)
	{
		RecoCategoryPage *page = reco_version_address(old->pages[i]);

		if (old->pages[i] == new->pages[i])
			continue;
		for (int j = 0; j < RECO_PAGE_CATEGORIES; j++)
			reco_version_replace(version, page->entries[j].products);
		reco_version_replace(version, old->pages[i]);
	}
	reco_version_replace(version, base->categories_directory);
}
