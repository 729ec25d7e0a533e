/*-------------------------------------------------------------------------
 *
 * product_build.c
 *	  A version of the mirror is built from the tables.
 *
 * By whoever holds reco's lock and finds it missing: after a start, or when
 * numbers were given free.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "engine/product_build.h"
#include "engine/product_dictionary.h"
#include "engine/product_draft.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows that are fetched at once. */
#define FETCH_ROWS 10000

static RecoPlan all_plan = {
	"SELECT n.number, p.category, p.popularity, p.product_id"
	" FROM reco.product p JOIN reco.product_number n USING (product_id)"
	" ORDER BY p.popularity DESC, p.product_id"
};

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
build_fill_category(RecoDraft *draft, Fillings *fillings, RecoSlice name)
{
	int32	   *known = reco_string_table_find(fillings->names, name);
	int32		category = known != NULL ? *known : reco_draft_add_category(draft, fillings->names, name, FETCH_ROWS);

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
build_fill_rows(RecoDraft *draft, Fillings *fillings)
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
		page = reco_draft_write_number(draft, number);
		(void) reco_draft_learn(draft, page, number, (RecoSlice) {VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)}, FETCH_ROWS);
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
build_read_all(RecoDraft *draft, Fillings *fillings)
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
build_index(RecoDraft *draft, int32 count)
{
	RecoIdIndex *index = reco_draft_grow_index(draft, count);

	for (int32 number = 0; number < draft->version->number_end; number++)
	{
		const RecoNumberPage *page = reco_draft_read_number(draft, number);

		if (page == NULL)
			number += RECO_PAGE_NUMBERS - 1 - number % RECO_PAGE_NUMBERS;
		else if (DsaPointerIsValid(page->text[number % RECO_PAGE_NUMBERS]))
			reco_draft_index(index, reco_draft_id(draft, number), number);
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
	RecoDraft		draft;

	fillings.of_category = palloc0(fillings.size * sizeof(Filling));
	fillings.names = reco_string_table_create(scratch);
	reco_draft_begin(&draft, version, false);
	build_push_snapshot(committed);
	build_read_all(&draft, &fillings);
	PopActiveSnapshot();
	for (int i = 0; i < version->category_count; i++)
	{
		const Filling *filling = &fillings.of_category[i];

		reco_draft_write_products(&draft, i, filling->products, filling->popularity, filling->count);
	}
	build_index(&draft, fillings.count);
	reco_draft_end(&draft);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
}
