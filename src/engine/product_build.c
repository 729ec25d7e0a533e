/*-------------------------------------------------------------------------
 *
 * product_build.c
 *	  How a version of the mirror is made.
 *
 * A draft holds the pages of a version while it is made: those of the base until
 * one is written to, then a copy.  So a change costs what it changes: the pages
 * of its products, and the categories that they leave and enter.
 *
 * A version is made under reco's lock, but for the order of products, which is
 * made from a pinned version before: it touches nothing that others write until
 * it is finished.  After an ERROR the caller discards the version.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "common/json_string.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "common/string_table.h"
#include "engine/product_build.h"
#include "engine/product_dictionary.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows that are fetched at once. */
#define FETCH_ROWS 10000

/* Texts are allocated so many bytes at a time, if there are many. */
#define TEXT_BLOCK (60 * 1024)

/* A product of the change whose old category is noted already. */
#define CHANGING (-2)

/* Pages of one kind. */
typedef struct DraftPages
{
	int			count;
	dsa_pointer *pages;
	void	  **own;			/* those that the version has made; NULL: of the base, or none */
	bool		written;
} DraftPages;

typedef struct Draft
{
	RecoVersion *version;
	bool		replaces;		/* pieces of the base are noted as replaced */
	DraftPages	numbers;
	DraftPages	categories;
	RecoTextBlock *block;		/* with room for texts */
	dsa_pointer block_pointer;
	Size		block_used;
	Size		block_size;
	StringInfoData json;		/* scratch space */
} Draft;

static RecoPlan all_plan = {
	"SELECT n.number, p.category, p.popularity, p.product_id"
	" FROM reco.product p JOIN reco.product_number n USING (product_id)"
	" ORDER BY p.popularity DESC, p.product_id"
};

uint32
reco_build_hash(RecoSlice id)
{
	return hash_bytes((const unsigned char *) id.data, id.length);
}

static void
draft_begin_pages(DraftPages *pages, dsa_pointer directory, int count)
{
	pages->count = count;
	pages->pages = palloc_extended(Max(1, count) * sizeof(dsa_pointer), MCXT_ALLOC_HUGE);
	pages->own = palloc_extended(Max(1, count) * sizeof(void *), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	pages->written = false;
	if (count > 0)
		memcpy(pages->pages, ((RecoDirectory *) reco_version_address(directory))->pages,
			   count * sizeof(dsa_pointer));
}

static void
draft_replace(Draft *draft, dsa_pointer piece)
{
	if (draft->replaces)
		reco_version_replace(draft->version, piece);
}

/* The index with room for so many entries more. */
static RecoIdIndex *
draft_grow_index(Draft *draft, uint32 count)
{
	RecoVersion *version = draft->version;
	RecoIdIndex *old = DsaPointerIsValid(version->ids) ? reco_version_address(version->ids) : NULL;
	uint32		used = old != NULL ? old->used : 0;
	uint32		slots = 64;
	RecoIdIndex *index;
	dsa_pointer piece;

	if (old != NULL && used + count <= old->mask / 2)
		return old;
	while (used + count > (slots - 1) / 2)
		slots *= 2;
	piece = reco_version_allocate(version, offsetof(RecoIdIndex, slots) + slots * sizeof(RecoIdSlot), &index);
	index->mask = slots - 1;
	index->used = used;
	memset(index->slots, 0xff, slots * sizeof(RecoIdSlot));
	for (uint32 i = 0; old != NULL && i <= old->mask; i++)
	{
		uint32		at = old->slots[i].hash & index->mask;

		if (old->slots[i].number < 0)
			continue;
		while (index->slots[at].number >= 0)
			at = (at + 1) & index->mask;
		index->slots[at] = old->slots[i];
	}
	draft_replace(draft, version->ids);
	version->ids = piece;
	return index;
}

/* The version has been created from its base, and has its directories. */
static void
draft_begin(Draft *draft, RecoVersion *version, bool replaces)
{
	draft->version = version;
	draft->replaces = replaces;
	draft_begin_pages(&draft->numbers, version->numbers_directory,
					  RECO_PAGES(version->number_end, RECO_PAGE_NUMBERS));
	draft_begin_pages(&draft->categories, version->categories_directory,
					  RECO_PAGES(version->category_count, RECO_PAGE_CATEGORIES));
	draft->block = NULL;
	initStringInfo(&draft->json);
}

/* Make a page writable; *is_new: it is not initialized. */
static void *
draft_write_page(Draft *draft, DraftPages *pages, int at, Size size, bool *is_new)
{
	dsa_pointer old;
	dsa_pointer piece;
	char	   *copy;

	if (at >= pages->count)
	{
		int			count = Max(at + 1, pages->count + pages->count / 8);

		pages->pages = repalloc_huge(pages->pages, count * sizeof(dsa_pointer));
		pages->own = repalloc_huge(pages->own, count * sizeof(void *));
		memset(pages->pages + pages->count, 0, (count - pages->count) * sizeof(dsa_pointer));
		memset(pages->own + pages->count, 0, (count - pages->count) * sizeof(void *));
		pages->count = count;
	}
	*is_new = false;
	if (pages->own[at] != NULL)
		return pages->own[at];
	old = pages->pages[at];
	piece = reco_version_allocate(draft->version, size, &copy);
	*is_new = !DsaPointerIsValid(old);
	if (!*is_new)
	{
		memcpy(copy + sizeof(RecoPiece), (char *) reco_version_address(old) + sizeof(RecoPiece),
			   size - sizeof(RecoPiece));
		draft_replace(draft, old);
	}
	pages->pages[at] = piece;
	pages->own[at] = copy;
	pages->written = true;
	return copy;
}

/* The page of a number, to be written. */
static RecoNumberPage *
draft_write_number(Draft *draft, int32 number)
{
	bool		is_new;
	RecoNumberPage *page = draft_write_page(draft, &draft->numbers, number / RECO_PAGE_NUMBERS,
											sizeof(RecoNumberPage), &is_new);

	if (is_new)
	{
		memset(page->text, 0, sizeof(page->text));
		for (int i = 0; i < RECO_PAGE_NUMBERS; i++)
			page->category[i] = RECO_NO_CATEGORY;
	}
	draft->version->number_end = Max(draft->version->number_end, number + 1);
	return page;
}

/* The entry of a category, to be written. */
static RecoCategoryEntry *
draft_write_category(Draft *draft, int32 category)
{
	bool		is_new;
	RecoCategoryPage *page = draft_write_page(draft, &draft->categories, category / RECO_PAGE_CATEGORIES,
											  sizeof(RecoCategoryPage), &is_new);

	if (is_new)
		memset(page->entries, 0, sizeof(page->entries));
	return &page->entries[category % RECO_PAGE_CATEGORIES];
}

/* A page to be read; NULL: there is none. */
static void *
draft_read_page(const DraftPages *pages, int at)
{
	if (at >= pages->count || !DsaPointerIsValid(pages->pages[at]))
		return NULL;
	return pages->own[at] != NULL ? pages->own[at] : reco_version_address(pages->pages[at]);
}

static const RecoNumberPage *
draft_read_number(const Draft *draft, int32 number)
{
	return draft_read_page(&draft->numbers, number / RECO_PAGE_NUMBERS);
}

static const RecoProducts *
draft_read_products(const Draft *draft, int32 category)
{
	const RecoCategoryPage *page = draft_read_page(&draft->categories, category / RECO_PAGE_CATEGORIES);
	dsa_pointer products = page != NULL ? page->entries[category % RECO_PAGE_CATEGORIES].products : InvalidDsaPointer;

	return DsaPointerIsValid(products) ? reco_version_address(products) : NULL;
}

/* The id of a product that is in a category. */
static RecoSlice
draft_id(const Draft *draft, int32 number)
{
	const RecoNumberPage *page = draft_read_number(draft, number);
	const RecoProductText *text = reco_version_address(page->text[number % RECO_PAGE_NUMBERS]);

	return (RecoSlice) {text->data + 1, text->length};
}

static int
slice_compare(RecoSlice a, RecoSlice b)
{
	int			result = memcmp(a.data, b.data, Min(a.length, b.length));

	return result != 0 ? result : a.length - b.length;
}

/* Write a text, in an own block; expected: so many more are to follow. */
static dsa_pointer
draft_write_text(Draft *draft, RecoSlice text, int expected)
{
	Size		size = offsetof(RecoProductText, data) + text.length + 2;
	RecoProductText *written;
	bool		same;
	Size		at;

	resetStringInfo(&draft->json);
	reco_json_append(&draft->json, text.data, text.length);
	same = draft->json.len == text.length + 2 && memcmp(draft->json.data + 1, text.data, text.length) == 0;
	size = TYPEALIGN(sizeof(uint32), size + (same ? 0 : draft->json.len));
	if (draft->block == NULL || draft->block_used + size > draft->block_size)
	{
		Size		block = Max(size, Min((Size) expected * size, TEXT_BLOCK));

		draft->block_pointer = reco_version_allocate(draft->version, offsetof(RecoTextBlock, data) + block,
													 &draft->block);
		draft->block->older = draft->version->texts;
		draft->version->texts = draft->block_pointer;
		draft->block_used = 0;
		draft->block_size = block;
	}
	at = draft->block_used;
	draft->block_used += size;
	written = (RecoProductText *) (draft->block->data + at);
	written->length = text.length;
	written->escaped = same ? 0 : draft->json.len;
	written->data[0] = '"';
	memcpy(written->data + 1, text.data, text.length);
	written->data[text.length + 1] = '"';
	if (!same)
		memcpy(written->data + text.length + 2, draft->json.data, draft->json.len);
	return draft->block_pointer + offsetof(RecoTextBlock, data) + at;
}

/* Give a category its products. */
static void
draft_write_products(Draft *draft, int32 category, const RecoProduct *products, const int64 *popularity, int count)
{
	RecoCategoryEntry *entry = draft_write_category(draft, category);
	RecoProducts *list = DsaPointerIsValid(entry->products) ? reco_version_address(entry->products) : NULL;
	RecoVersion *version = draft->version;

	if (list != NULL)
	{
		version->product_count -= list->count;
		version->unordered -= list->unordered;
		draft_replace(draft, entry->products);
		entry->products = InvalidDsaPointer;
	}
	if (count == 0)
		return;
	entry->products = reco_version_allocate(version, RECO_PRODUCTS_SIZE(count), &list);
	list->count = count;
	list->unordered = 0;
	memcpy(list->products, products, count * sizeof(RecoProduct));
	memcpy(RECO_PRODUCTS_POPULARITY(list), popularity, count * sizeof(int64));
	for (int i = 0; i < count; i++)
		list->unordered += products[i].order == 0;
	version->product_count += count;
	version->unordered += list->unordered;
}

static dsa_pointer
draft_write_directory(Draft *draft, const DraftPages *pages, int count, dsa_pointer old)
{
	RecoDirectory *directory;
	dsa_pointer piece;

	if (!pages->written)
		return old;
	piece = reco_version_allocate(draft->version, offsetof(RecoDirectory, pages) + count * sizeof(dsa_pointer),
								  &directory);
	memcpy(directory->pages, pages->pages, count * sizeof(dsa_pointer));
	draft_replace(draft, old);
	return piece;
}

static void
draft_end(Draft *draft)
{
	RecoVersion *version = draft->version;

	version->numbers_directory = draft_write_directory(draft, &draft->numbers,
													   RECO_PAGES(version->number_end, RECO_PAGE_NUMBERS),
													   version->numbers_directory);
	version->categories_directory = draft_write_directory(draft, &draft->categories,
														  RECO_PAGES(version->category_count, RECO_PAGE_CATEGORIES),
														  version->categories_directory);
}

/* Add a category, which has no products yet; returns its index. */
static int32
draft_add_category(Draft *draft, RecoStringTable *names, RecoSlice name, int expected)
{
	int32		index = draft->version->category_count;
	RecoCategoryEntry *entry = draft_write_category(draft, index);
	RecoProductText *text;

	entry->name = draft_write_text(draft, name, expected);
	text = reco_version_address(entry->name);
	*reco_string_table_add(names, (RecoSlice) {text->data + 1, text->length}) = index;
	draft->version->category_count++;
	return index;
}

/* Put a number into the index, which has room for it. */
static void
index_add(RecoIdIndex *index, RecoSlice id, int32 number)
{
	uint32		hash = reco_build_hash(id);
	uint32		at = hash & index->mask;

	while (index->slots[at].number >= 0)
		at = (at + 1) & index->mask;
	index->slots[at] = (RecoIdSlot) {hash, number};
	index->used++;
}

/* A number stands for a product; true: this was not known. */
static bool
draft_learn(Draft *draft, RecoNumberPage *page, int32 number, RecoSlice id, int expected)
{
	dsa_pointer *text = &page->text[number % RECO_PAGE_NUMBERS];

	if (DsaPointerIsValid(*text))
		return false;
	*text = draft_write_text(draft, id, expected);
	return true;
}

/* A category that is filled, in the process's memory. */
typedef struct Filling
{
	int			count;
	int			size;
	RecoProduct *products;
	int64	   *popularity;
} Filling;

typedef struct Fillings
{
	int			size;
	Filling    *of_category;
	RecoStringTable *names;
	int32		order;
	int32		count;			/* of products */
} Fillings;

static void
filling_append(Filling *filling, RecoProduct product, int64 popularity)
{
	if (filling->count == filling->size)
	{
		filling->size = Max(16, filling->size * 2);
		filling->products = filling->products == NULL ? palloc(filling->size * sizeof(RecoProduct)) :
			repalloc_huge(filling->products, filling->size * sizeof(RecoProduct));
		filling->popularity = filling->popularity == NULL ? palloc(filling->size * sizeof(int64)) :
			repalloc_huge(filling->popularity, filling->size * sizeof(int64));
	}
	filling->popularity[filling->count] = popularity;
	filling->products[filling->count++] = product;
}

/* The category of a row. */
static int32
build_fill_category(Draft *draft, Fillings *fillings, RecoSlice name)
{
	int32	   *known = reco_string_table_find(fillings->names, name);
	int32		category = known != NULL ? *known : draft_add_category(draft, fillings->names, name, FETCH_ROWS);

	if (category >= fillings->size)
	{
		int			size = fillings->size * 2;

		fillings->of_category = repalloc_huge(fillings->of_category, size * sizeof(Filling));
		memset(fillings->of_category + fillings->size, 0, (size - fillings->size) * sizeof(Filling));
		fillings->size = size;
	}
	return category;
}

/* Take the rows that were fetched. */
static void
build_fill_rows(Draft *draft, Fillings *fillings)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		null;
		int32		number = DatumGetInt32(reco_sql_value(i, 1, &null));
		text	   *id = DatumGetTextPP(reco_sql_value(i, 4, &null));
		Datum		value = reco_sql_value(i, 2, &null);
		RecoNumberPage *page;
		text	   *name;
		int32		category;

		reco_dictionary_check(number);
		page = draft_write_number(draft, number);
		(void) draft_learn(draft, page, number, (RecoSlice) {VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)}, FETCH_ROWS);
		if (null)
			continue;
		name = DatumGetTextPP(value);
		category = build_fill_category(draft, fillings, (RecoSlice) {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)});
		page->category[number % RECO_PAGE_NUMBERS] = category;
		filling_append(&fillings->of_category[category], (RecoProduct) {number, ++fillings->order},
					   DatumGetInt64(reco_sql_value(i, 3, &null)));
	}
}

/* Read all products, in order. */
static void
build_read_all(Draft *draft, Fillings *fillings)
{
	MemoryContext caller = CurrentMemoryContext;
	Portal		portal = SPI_cursor_open(NULL, reco_sql_prepare(&all_plan), NULL, NULL, true);

	/* a table may have been altered before it was locked */
	reco_own_tables_check();
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		MemoryContextSwitchTo(caller);
		if (SPI_processed == 0)
			break;
		build_fill_rows(draft, fillings);
		fillings->count += SPI_processed;
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(caller);
	SPI_cursor_close(portal);
	MemoryContextSwitchTo(caller);
}

/* Index all products by id. */
static void
build_index(Draft *draft, int32 count)
{
	RecoIdIndex *index = draft_grow_index(draft, count);

	for (int32 number = 0; number < draft->version->number_end; number++)
	{
		const RecoNumberPage *page = draft_read_number(draft, number);

		if (page == NULL)
			number += RECO_PAGE_NUMBERS - 1 - number % RECO_PAGE_NUMBERS;
		else if (DsaPointerIsValid(page->text[number % RECO_PAGE_NUMBERS]))
			index_add(index, draft_id(draft, number), number);
	}
}

/*
 * What is committed is what others see, too, and so may be published whatever
 * becomes of the transaction: its own changes have command ids from the first on.
 */
static void
build_push_snapshot(bool committed)
{
	if (!committed)
		CommandCounterIncrement();
	PushActiveSnapshot(committed ? GetLatestSnapshot() : GetTransactionSnapshot());
	if (committed)
		GetActiveSnapshot()->curcid = FirstCommandId;
}

void
reco_build_all(RecoVersion *version, bool committed)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "reco products", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	Fillings	fillings = {.size = 64};
	Draft		draft;

	fillings.of_category = palloc0(fillings.size * sizeof(Filling));
	fillings.names = reco_string_table_create(scratch);
	draft_begin(&draft, version, false);
	build_push_snapshot(committed);
	build_read_all(&draft, &fillings);
	PopActiveSnapshot();
	for (int i = 0; i < version->category_count; i++)
		draft_write_products(&draft, i, fillings.of_category[i].products, fillings.of_category[i].popularity,
							 fillings.of_category[i].count);
	build_index(&draft, fillings.count);
	draft_end(&draft);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}

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
	return slice_compare(x->row->id, y->row->id);
}

/* A change that is being made. */
typedef struct Change
{
	Draft		draft;
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
	RecoNumberPage *page = draft_write_number(&change->draft, row->number);
	int32	   *category = &page->category[row->number % RECO_PAGE_NUMBERS];
	int32	   *known;
	int32		enters = row->category;

	if (*category == CHANGING)
		return;
	if (draft_learn(&change->draft, page, row->number, row->id, expected))
		index_add(index, row->id, row->number);
	if (enters == RECO_NO_CATEGORY && row->name.data != NULL)
	{
		known = reco_string_table_find(fresh, row->name);
		enters = known != NULL ? *known : draft_add_category(&change->draft, fresh, row->name, 1);
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
			slice_compare(draft_id(&change->draft, change->products[middle].number), row->id) < 0;

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
	const RecoProducts *list = draft_read_products(&change->draft, category);
	int			old = list != NULL ? list->count : 0;
	int			stay = 0;
	int			end;

	change_make_room(change, old + n);
	for (int i = 0; i < old; i++)
	{
		int32		number = list->products[i].number;

		if (draft_read_number(&change->draft, number)->category[number % RECO_PAGE_NUMBERS] == CHANGING)
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
	draft_write_products(&change->draft, category, change->products, change->popularity, stay + n);
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

		draft_write_number(&change->draft, number)->category[number % RECO_PAGE_NUMBERS] =
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

	draft_begin(&change.draft, version, true);
	index = draft_grow_index(&change.draft, n);
	change.entering = palloc_extended(Max(1, n) * sizeof(Entering), MCXT_ALLOC_HUGE);
	change.categories = palloc_extended(Max(1, n) * 2 * sizeof(int32), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		change_add(&change, index, fresh, &rows[i], n - i);
	change_write_categories(&change);
	draft_end(&change.draft);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}

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
	return slice_compare(x->id, y->id);
}

/* Gather all products of a draft; first: where those of each category begin. */
static int
order_gather(Draft *draft, Ordered *products, int *first, const int64 *by_number, int32 size)
{
	int			count = 0;

	for (int32 category = 0; category < draft->version->category_count; category++)
	{
		const RecoProducts *list = draft_read_products(draft, category);

		first[category] = count;
		for (int i = 0; list != NULL && i < list->count; i++)
		{
			int32		number = list->products[i].number;
			int64		popularity = RECO_PRODUCTS_POPULARITY(list)[i];

			if (by_number != NULL)
				popularity = number < size ? by_number[number] : 0;
			products[count++] = (Ordered) {popularity, 0, draft_id(draft, number), number, category};
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
	Draft		draft;

	draft_begin(&draft, version, false);
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
			draft_write_products(&draft, i, &products[first[i]], &popularity[first[i]], first[i + 1] - first[i]);
	draft_end(&draft);
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
