/*-------------------------------------------------------------------------
 *
 * product_draft.c
 *	  A version of the mirror while it is made.
 *
 * A draft has the pages of the version that it is made from until one is written
 * to, then a copy.  So a change costs what it changes.
 *
 * After an ERROR the caller discards the version, and what was allocated for it.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "common/json_string.h"
#include "engine/product_build.h"
#include "engine/product_draft.h"
#include "utils/memutils.h"

/* Texts are allocated so many bytes at a time, if there are many. */
#define TEXT_BLOCK (60 * 1024)

uint32
reco_draft_hash(RecoSlice id)
{
	return hash_bytes((const unsigned char *) id.data, id.length);
}

static void
draft_begin_pages(RecoDraftPages *pages, dsa_pointer directory, int count)
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
draft_replace(RecoDraft *draft, dsa_pointer piece)
{
	if (draft->replaces)
		reco_version_replace(draft->version, piece);
}

/* The index with room for so many entries more. */
RecoIdIndex *
reco_draft_grow_index(RecoDraft *draft, uint32 count)
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
void
reco_draft_begin(RecoDraft *draft, RecoVersion *version, bool replaces)
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
draft_write_page(RecoDraft *draft, RecoDraftPages *pages, int at, Size size, bool *is_new)
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
RecoNumberPage *
reco_draft_write_number(RecoDraft *draft, int32 number)
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
draft_write_category(RecoDraft *draft, int32 category)
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
draft_read_page(const RecoDraftPages *pages, int at)
{
	if (at >= pages->count || !DsaPointerIsValid(pages->pages[at]))
		return NULL;
	return pages->own[at] != NULL ? pages->own[at] : reco_version_address(pages->pages[at]);
}

const RecoNumberPage *
reco_draft_read_number(const RecoDraft *draft, int32 number)
{
	return draft_read_page(&draft->numbers, number / RECO_PAGE_NUMBERS);
}

const RecoProducts *
reco_draft_read_products(const RecoDraft *draft, int32 category)
{
	const RecoCategoryPage *page = draft_read_page(&draft->categories, category / RECO_PAGE_CATEGORIES);
	dsa_pointer products = page != NULL ? page->entries[category % RECO_PAGE_CATEGORIES].products : InvalidDsaPointer;

	return DsaPointerIsValid(products) ? reco_version_address(products) : NULL;
}

/* The id of a product that is in a category. */
RecoSlice
reco_draft_id(const RecoDraft *draft, int32 number)
{
	const RecoNumberPage *page = reco_draft_read_number(draft, number);
	const RecoProductText *text = reco_version_address(page->text[number % RECO_PAGE_NUMBERS]);

	return (RecoSlice) {text->data + 1, text->length};
}

int
reco_draft_compare_ids(RecoSlice a, RecoSlice b)
{
	int			result = memcmp(a.data, b.data, Min(a.length, b.length));

	return result != 0 ? result : a.length - b.length;
}

/* Write a text, with as_json its JSON form, too; expected: so many more are to follow. */
static dsa_pointer
draft_write_text(RecoDraft *draft, RecoSlice text, bool as_json, int expected)
{
	Size		size = offsetof(RecoProductText, data) + text.length + 2;
	RecoProductText *written;
	bool		same = true;
	Size		at;

	if (as_json)
	{
		resetStringInfo(&draft->json);
		reco_json_append(&draft->json, text.data, text.length);
		same = draft->json.len == text.length + 2 && memcmp(draft->json.data + 1, text.data, text.length) == 0;
	}
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
void
reco_draft_write_products(RecoDraft *draft, int32 category, const RecoProduct *products,
						  const int64 *popularity, int count)
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
draft_write_directory(RecoDraft *draft, const RecoDraftPages *pages, int count, dsa_pointer old)
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

void
reco_draft_end(RecoDraft *draft)
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
int32
reco_draft_add_category(RecoDraft *draft, RecoStringTable *names, RecoSlice name, int expected)
{
	int32		index = draft->version->category_count;
	RecoCategoryEntry *entry = draft_write_category(draft, index);
	RecoProductText *text;

	entry->name = draft_write_text(draft, name, false, expected);
	text = reco_version_address(entry->name);
	*reco_string_table_add(names, (RecoSlice) {text->data + 1, text->length}) = index;
	draft->version->category_count++;
	return index;
}

/* Put a number into the index, which has room for it. */
void
reco_draft_index(RecoIdIndex *index, RecoSlice id, int32 number)
{
	uint32		hash = reco_draft_hash(id);
	uint32		at = hash & index->mask;

	while (index->slots[at].number >= 0)
		at = (at + 1) & index->mask;
	index->slots[at] = (RecoIdSlot) {hash, number};
	index->used++;
}

/* A number stands for a product; true: this was not known. */
bool
reco_draft_learn(RecoDraft *draft, RecoNumberPage *page, int32 number, RecoSlice id, int expected)
{
	dsa_pointer *text = &page->text[number % RECO_PAGE_NUMBERS];

	if (DsaPointerIsValid(*text))
		return false;
	*text = draft_write_text(draft, id, true, expected);
	return true;
}
