/*-------------------------------------------------------------------------
 *
 * product_change.c
 *	  A version of the mirror in which some products have changed.
 *
 * Made by whoever has changed the mirror, under reco's lock.  Of the version
 * before, it copies the pages of the products' numbers, and the categories that
 * they leave and enter.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/product_build.h"
#include "engine/product_draft.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* A product of the change whose old category is noted already. */
#define CHANGING (-2)

/* A product that enters a category. */
typedef struct Entering
{
	int32		category;
	const RecoProductRow *row;
} Entering;

static int
entering_compare(const void *a, const void *b)
{
	const Entering *x = a;
	const Entering *y = b;

	if (x->category != y->category)
		return x->category < y->category ? -1 : 1;
	if (x->row->popularity != y->row->popularity)
		return x->row->popularity > y->row->popularity ? -1 : 1;
	return reco_draft_compare_ids(x->row->id, y->row->id);
}

/* A change that is being made. */
typedef struct Change
{
	RecoDraft		draft;
	Entering   *entering;		/* the products, each once; then sorted by category */
	int			count;
	int32	   *categories;		/* those that are left or entered */
	int			category_count;
	RecoProduct *products;		/* scratch space for those of a category */
	int64	   *popularity;
	int			size;
} Change;

/* Note a product, and that it leaves its category. */
static void
change_add(Change *change, RecoIdIndex *index, RecoStringTable *fresh, const RecoProductRow *row, int expected)
{
	RecoNumberPage *page = reco_draft_write_number(&change->draft, row->number);
	int32	   *category = &page->category[row->number % RECO_PAGE_NUMBERS];
	int32	   *known;
	int32		enters = row->category;

	if (*category == CHANGING)
		return;
	if (reco_draft_learn(&change->draft, page, row->number, row->id, expected))
		reco_draft_index(index, row->id, row->number);
	if (enters == RECO_NO_CATEGORY && row->name.data != NULL)
	{
		known = reco_string_table_find(fresh, row->name);
		enters = known != NULL ? *known : reco_draft_add_category(&change->draft, fresh, row->name, 1);
	}
	if (*category != RECO_NO_CATEGORY)
		change->categories[change->category_count++] = *category;
	if (enters != RECO_NO_CATEGORY)
		change->categories[change->category_count++] = enters;
	*category = CHANGING;
	change->entering[change->count++] = (Entering) {enters, row};
}

static int
int32_compare(const void *a, const void *b)
{
	return (*(const int32 *) a > *(const int32 *) b) - (*(const int32 *) a < *(const int32 *) b);
}

/* Where a product belongs among n others. */
static int
change_find_place(const Change *change, const RecoProductRow *row, int n)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		bool		after = change->popularity[middle] != row->popularity ?
			change->popularity[middle] > row->popularity :
			reco_draft_compare_ids(reco_draft_id(&change->draft, change->products[middle].number), row->id) < 0;

		if (after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Make room for n products. */
static void
change_make_room(Change *change, int n)
{
	if (n <= change->size)
		return;
	change->size = Max(n, change->size * 2);
	change->products = palloc_extended(change->size * sizeof(RecoProduct), MCXT_ALLOC_HUGE);
	change->popularity = palloc_extended(change->size * sizeof(int64), MCXT_ALLOC_HUGE);
}

/* Write a category anew: without the products that change, with those that enter. */
static void
change_write_category(Change *change, int32 category, const Entering *entering, int n)
{
	const RecoProducts *list = reco_draft_read_products(&change->draft, category);
	int			old = list != NULL ? list->count : 0;
	int			stay = 0;
	int			end;

	change_make_room(change, old + n);
	for (int i = 0; i < old; i++)
	{
		int32		number = list->products[i].number;

		if (reco_draft_read_number(&change->draft, number)->category[number % RECO_PAGE_NUMBERS] == CHANGING)
			continue;
		change->products[stay] = list->products[i];
		change->popularity[stay++] = RECO_PRODUCTS_POPULARITY(list)[i];
	}
	/* from the last one on, each moves what comes after it to its final place */
	end = stay;
	for (int i = n - 1; i >= 0; i--)
	{
		int			at = change_find_place(change, entering[i].row, end);

		memmove(&change->products[at + i + 1], &change->products[at], (end - at) * sizeof(RecoProduct));
		memmove(&change->popularity[at + i + 1], &change->popularity[at], (end - at) * sizeof(int64));
		change->products[at + i] = (RecoProduct) {entering[i].row->number, 0};
		change->popularity[at + i] = entering[i].row->popularity;
		end = at;
	}
	reco_draft_write_products(&change->draft, category, change->products, change->popularity, stay + n);
}

static void
change_write_categories(Change *change)
{
	int			next = 0;

	qsort(change->entering, change->count, sizeof(Entering), entering_compare);
	qsort(change->categories, change->category_count, sizeof(int32), int32_compare);
	while (next < change->count && change->entering[next].category == RECO_NO_CATEGORY)
		next++;
	for (int i = 0; i < change->category_count; i++)
	{
		int32		category = change->categories[i];
		int			first = next;

		if (i > 0 && category == change->categories[i - 1])
			continue;
		CHECK_FOR_INTERRUPTS();
		while (next < change->count && change->entering[next].category == category)
			next++;
		change_write_category(change, category, &change->entering[first], next - first);
	}
	for (int i = 0; i < change->count; i++)
	{
		int32		number = change->entering[i].row->number;

		reco_draft_write_number(&change->draft, number)->category[number % RECO_PAGE_NUMBERS] =
			change->entering[i].category;
	}
}

void
reco_build_change(RecoVersion *version, const RecoVersion *base, const RecoProductRow *rows, int n)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "reco changed products",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	RecoIdIndex *index;
	RecoStringTable *fresh = reco_string_table_create(scratch);
	Change		change = {.count = 0};

	reco_draft_begin(&change.draft, version, true);
	index = reco_draft_grow_index(&change.draft, n);
	change.entering = palloc_extended(Max(1, n) * sizeof(Entering), MCXT_ALLOC_HUGE);
	change.categories = palloc_extended(Max(1, n) * 2 * sizeof(int32), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		change_add(&change, index, fresh, &rows[i], n - i);
	change_write_categories(&change);
	reco_draft_end(&change.draft);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}
