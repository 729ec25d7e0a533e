/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Products by their number, for those who read lists.
 *
 * For readers of lists, without reco's lock: under the snapshot that shows the
 * lists, so that a number stands for what it stood for then.
 *
 * A process keeps what it has looked up: twenty look-ups took three times as
 * long as fetching the list.  Ids are good while no number was given free,
 * categories while the mirror has not changed, which reco.state tells under the
 * same snapshot.  Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/json_string.h"
#include "common/spi.h"
#include "engine/lookup.h"
#include "engine/product_dictionary.h"
#include "engine/product_table.h"
#include "engine/state.h"
#include "fmgr.h"
#include "heap/keyed_table.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Made-up ids must not fill a process's memory: start again beyond this. */
#define MAX_CACHED 2000000

/* Entries are allocated so many at a time: who reads a list needs few of all. */
#define PAGE_ENTRIES 64

static const RecoTableDef by_number = {
	"product_number", "product_number_number_key", 1, {F_INT4EQ}
};

typedef struct Product
{
	text	   *id;				/* NULL: not looked up */
	RecoSlice	quoted;			/* as a JSON string; data NULL: not asked for yet */
	text	   *category;
	bool		has_category;	/* category is looked up */
} Product;

static MemoryContext cache = NULL;
static MemoryContext category_cache = NULL;
static Product **pages = NULL;	/* by number / PAGE_ENTRIES; NULL: nothing of it is known */
static int32 npages = 0;
static int32 cached = 0;		/* entries allocated */
static Oid	cached_table = InvalidOid;	/* differs after DROP and CREATE EXTENSION */
static RecoVersions cached_versions;
static uint64 cached_made = 0;	/* product_dictionary.c's epoch: our own numbers were rolled back */

/* Between begin and end. */
static Snapshot reading = NULL; /* the reader's */
static RecoTable *numbers = NULL;	/* opened when they are asked for */
static RecoTable *mirror = NULL;

static void
lookup_forget_all(void)
{
	if (cache == NULL)
	{
		cache = AllocSetContextCreate(TopMemoryContext, "reco products by number",
									  ALLOCSET_DEFAULT_SIZES);
		category_cache = AllocSetContextCreate(TopMemoryContext, "reco categories by number",
											   ALLOCSET_DEFAULT_SIZES);
	}
	MemoryContextReset(cache);
	MemoryContextReset(category_cache);
	pages = NULL;
	npages = cached = 0;
}

static void
lookup_forget_categories(void)
{
	MemoryContextReset(category_cache);
	for (int32 i = 0; i < npages; i++)
		for (int j = 0; pages[i] != NULL && j < PAGE_ENTRIES; j++)
			pages[i][j].has_category = false;
}

/* An ERROR between begin and end: tables and snapshot went with the transaction's resources. */
static void
lookup_reset_xact(void)
{
	reading = NULL;
	numbers = mirror = NULL;
}

static void
lookup_abort_sub(int level)
{
	lookup_reset_xact();
}

const RecoXactModule reco_lookup_xact = {
	.abort_sub = lookup_abort_sub,.reset = lookup_reset_xact
};

void
reco_lookup_begin(Snapshot snapshot)
{
	Oid			table;
	RecoVersions versions;

	Assert(reading == NULL);
	reco_sql_require_primary();
	table = reco_sql_table("product_number");
	versions = reco_state_versions(snapshot);
	if (cache == NULL || cached_table != table || cached > MAX_CACHED ||
		cached_versions.numbers != versions.numbers || cached_made != reco_dictionary_epoch())
		lookup_forget_all();
	else if (cached_versions.mirror != versions.mirror)
		lookup_forget_categories();
	cached_table = table;
	cached_versions = versions;
	cached_made = reco_dictionary_epoch();
	reading = RegisterSnapshot(snapshot);
}

void
reco_lookup_end(void)
{
	if (numbers != NULL)
		reco_table_close(numbers);
	if (mirror != NULL)
		reco_table_close(mirror);
	UnregisterSnapshot(reading);
	lookup_reset_xact();
}

/* The entry of a number that there is; an empty one if it is not known yet. */
static Product *
lookup_entry(int32 number)
{
	int32		page = number / PAGE_ENTRIES;

	if (page >= npages)
	{
		int32		wanted = Max(page + 1, Max(64, npages * 2));

		pages = pages == NULL ? MemoryContextAllocHuge(cache, wanted * sizeof(Product *)) :
			repalloc_huge(pages, wanted * sizeof(Product *));
		memset(pages + npages, 0, (wanted - npages) * sizeof(Product *));
		npages = wanted;
	}
	if (pages[page] == NULL)
	{
		pages[page] = MemoryContextAllocZero(cache, PAGE_ENTRIES * sizeof(Product));
		cached += PAGE_ENTRIES;
	}
	return &pages[page][number % PAGE_ENTRIES];
}

/* A text of a row, copied. */
static text *
lookup_copy_text(MemoryContext context, Datum value)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	text	   *kept = DatumGetTextPCopy(value);

	MemoryContextSwitchTo(caller);
	return kept;
}

/* The product's entry, with its id. */
static Product *
lookup_find(int32 number)
{
	Datum		key = Int32GetDatum(number);
	TupleTableSlot *row;
	Product    *product;
	bool		null;

	if (number >= 0 && number / PAGE_ENTRIES < npages && pages[number / PAGE_ENTRIES] != NULL)
	{
		product = &pages[number / PAGE_ENTRIES][number % PAGE_ENTRIES];
		if (product->id != NULL)
			return product;
	}
	if (numbers == NULL)
		numbers = reco_table_open_read(&by_number, reading);
	row = number >= 0 && number <= RECO_NUMBER_MAX ? reco_table_fetch(numbers, &key) : NULL;
	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("product number %d is not in reco.product_number", number),
				 errhint("Run reco_rebuild().")));
	product = lookup_entry(number);
	product->id = lookup_copy_text(cache, slot_getattr(row, 1, &null));
	return product;
}

text *
reco_lookup_product(int32 number)
{
	return lookup_find(number)->id;
}

RecoSlice
reco_lookup_quoted(int32 number)
{
	Product    *product = lookup_find(number);
	StringInfoData string;

	if (product->quoted.data != NULL)
		return product->quoted;
	initStringInfo(&string);
	reco_json_append(&string, VARDATA_ANY(product->id), VARSIZE_ANY_EXHDR(product->id));
	product->quoted.length = string.len;
	product->quoted.data = memcpy(MemoryContextAlloc(cache, string.len), string.data, string.len);
	pfree(string.data);
	return product->quoted;
}

text *
reco_lookup_category(int32 number)
{
	Product    *product = lookup_find(number);
	Datum		key;
	TupleTableSlot *row;
	Datum		category = (Datum) 0;
	bool		null = true;

	if (product->has_category)
		return product->category;
	if (mirror == NULL)
		mirror = reco_product_table_open_read(reading);
	key = PointerGetDatum(product->id);
	row = reco_table_fetch(mirror, &key);
	if (row != NULL)
		category = slot_getattr(row, RECO_PRODUCT_CATEGORY + 1, &null);
	product->category = null ? NULL : lookup_copy_text(category_cache, category);
	product->has_category = true;
	return product->category;
}
