/*-------------------------------------------------------------------------
 *
 * product_cache.c
 *	  The mirror of the catalog as a process caches it.
 *
 * Lists are computed from memory: the category of each product number, and
 * each category's products in order of popularity.  The cache is valid for one
 * version of the mirror, which reco.state names: reco_write_begin() brings it
 * into step.  Only reco_product_load() and invalidation_prescan.c use it without
 * reco's lock.
 *
 * A backend that inserts an event once in a while loads what it asks for; a
 * process that asks for much loads everything in one go.  A later version is
 * caught up with by reco.mirror_change (which products) and reco.product_order
 * (how they stand after a popularity): to load 100,000 anew takes 0.3 s.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "engine/mirror_log.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define NOT_LOADED (-2)

/* After so many single look-ups all is loaded: 100 cost what 100k rows do. */
#define MAX_LOOKUPS 100

/* That there is no product of a number beyond is asked again: it is damage. */
#define MAX_REMEMBERED (16 * 1024 * 1024)

static MemoryContext cache = NULL;
static Oid	cached_table = InvalidOid;	/* differs after DROP and CREATE EXTENSION */
static int64 cached_version = 0;	/* of the mirror */
static int64 cached_numbers = 0;	/* of the dictionary */
static uint64 cached_epoch = 0;

static RecoStringTable *category_names = NULL;
static RecoCategory *categories = NULL;
static int	category_count = 0;
static int	category_size = 0;
static int32 *category_of = NULL;	/* by product number */
static int32 category_of_size = 0;
static bool loaded_all = false;
static int	lookups = 0;
static uint64 epoch = 0;

#define PRODUCT_COLUMNS "SELECT n.number, p.category, p.popularity, p.product_id" \
	" FROM reco.product p JOIN reco.product_number n USING (product_id)"

static RecoPlan all_plan = {
	PRODUCT_COLUMNS " WHERE p.category IS NOT NULL ORDER BY p.popularity DESC, p.product_id"
};
static RecoPlan category_plan = {
	PRODUCT_COLUMNS " WHERE p.category = $1 ORDER BY p.popularity DESC, p.product_id",
	1, {TEXTOID}
};
static RecoPlan number_plan = {
	PRODUCT_COLUMNS " WHERE n.number = $1 AND p.category IS NOT NULL", 1, {INT4OID}
};

static void
product_cache_reset(void)
{
	if (cache != NULL)
		MemoryContextDelete(cache);
	cache = AllocSetContextCreate(TopMemoryContext, "reco products", ALLOCSET_DEFAULT_SIZES);
	category_names = reco_string_table_create(cache);
	category_count = 0;
	category_size = 64;
	categories = MemoryContextAlloc(cache, category_size * sizeof(RecoCategory));
	category_of_size = 0;
	category_of = NULL;
	loaded_all = false;
	lookups = 0;
	epoch++;
}

/* Changes whenever the cache is begun anew, and indexes of categories with it. */
uint64
reco_product_epoch(void)
{
	return epoch;
}

/* The index of a category by its name; a new one has no products. */
int32
reco_product_find_category(RecoSlice name)
{
	int32	   *known = reco_string_table_find(category_names, name);
	RecoCategory *category;
	RecoSlice	kept;

	if (known)
		return *known;
	if (category_count == category_size)
	{
		category_size *= 2;
		categories = repalloc(categories, category_size * sizeof(RecoCategory));
	}
	category = &categories[category_count];
	memset(category, 0, sizeof(*category));
	category->name = MemoryContextAlloc(cache, VARHDRSZ + name.length);
	SET_VARSIZE(category->name, VARHDRSZ + name.length);
	memcpy(VARDATA(category->name), name.data, name.length);
	category->loaded = loaded_all;
	kept.data = VARDATA(category->name);
	kept.length = name.length;
	*reco_string_table_add(category_names, kept) = category_count;
	return category_count++;
}

/* Take a product out of the list of the category that it is known to be in. */
static void
product_cache_remove(int32 number)
{
	int32		index = number < category_of_size ? category_of[number] : NOT_LOADED;

	if (index >= 0)
		reco_category_remove(&categories[index], number);
}

static void
product_cache_set_category(int32 number, int32 category)
{
	if (number < category_of_size && category_of[number] != category)
		product_cache_remove(number);
	if (number >= category_of_size)
	{
		int32		size = Max(Max(1024, category_of_size * 2), number + 1);

		if (category_of == NULL)
			category_of = MemoryContextAllocHuge(cache, size * sizeof(int32));
		else
			category_of = repalloc_huge(category_of, size * sizeof(int32));
		for (int32 i = category_of_size; i < size; i++)
			category_of[i] = NOT_LOADED;
		category_of_size = size;
	}
	category_of[number] = category;
}

/*
 * Take a row of the result; into_list: also into its category's list, unless
 * that one is complete.  order: of the product in the whole mirror, 0 if not
 * known.
 */
static int32
product_cache_add_row(uint64 row, bool into_list, int32 order)
{
	bool		null;
	text	   *name = DatumGetTextPP(reco_sql_value(row, 2, &null));
	RecoSlice	category = {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)};
	int32		index = reco_product_find_category(category);
	RecoProduct product;

	product.order = order;
	product.number = DatumGetInt32(reco_sql_value(row, 1, &null));
	reco_dictionary_learn(DatumGetTextPP(reco_sql_value(row, 4, &null)), product.number);
	product_cache_set_category(product.number, index);
	if (into_list && !categories[index].loaded)
		reco_category_append(&categories[index], cache, product, DatumGetInt64(reco_sql_value(row, 3, &null)));
	return index;
}

/* Load the whole mirror; the indexes of categories known stay. */
static void
product_cache_load_all(void)
{
	uint64		count = reco_sql_query(&all_plan, NULL, NULL, 0);

	for (int i = 0; i < category_count; i++)
	{
		categories[i].count = 0;
		categories[i].loaded = false;
	}
	for (uint64 i = 0; i < count; i++)
		product_cache_add_row(i, true, i + 1);
	SPI_freetuptable(SPI_tuptable);
	reco_dictionary_set_mirrored(count);
	for (int i = 0; i < category_count; i++)
		categories[i].loaded = true;
	loaded_all = true;
}

static void
product_cache_load_category(int32 index)
{
	Datum		values[1] = {PointerGetDatum(categories[index].name)};
	uint64		count = reco_sql_query(&category_plan, values, NULL, 0);

	categories[index].count = 0;	/* an ERROR may have ended an earlier attempt */
	for (uint64 i = 0; i < count; i++)
		product_cache_add_row(i, true, 0);
	SPI_freetuptable(SPI_tuptable);
	categories[index].loaded = true;
}

static int32
product_cache_load_number(int32 number)
{
	Datum		values[1] = {Int32GetDatum(number)};
	int32		index = RECO_NO_CATEGORY;

	if (reco_sql_query(&number_plan, values, NULL, 1) > 0)
		index = product_cache_add_row(0, false, 0);
	else if (number < MAX_REMEMBERED)
		product_cache_set_category(number, RECO_NO_CATEGORY);
	SPI_freetuptable(SPI_tuptable);
	return index;
}

/* A row of reco_mirror_log_read_changes: the product as it is now. */
static void
product_cache_apply_change(uint64 row)
{
	bool		null;
	bool		no_category;
	RecoProduct product = {DatumGetInt32(reco_sql_value(row, 1, &null)), 0};	/* order: not known */
	Datum		category = reco_sql_value(row, 2, &no_category);
	Datum		id = reco_sql_value(row, 4, &null);
	int32		index = RECO_NO_CATEGORY;

	reco_dictionary_check(product.number);
	product_cache_remove(product.number);
	if (!no_category)
	{
		text	   *name = DatumGetTextPP(category);

		index = reco_product_find_category((RecoSlice) {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)});
		reco_dictionary_learn(DatumGetTextPP(id), product.number);
	}
	if (index >= 0 || product.number < category_of_size)
		product_cache_set_category(product.number, index);
	if (index >= 0 && categories[index].loaded)
		reco_category_insert(&categories[index], cache, product, DatumGetInt64(reco_sql_value(row, 3, &null)));
}

/* All products stand in a new order; those that are new in it are a change of their own. */
static void
product_cache_apply_order(const RecoOrder *order)
{
	for (int i = 0; i < category_count; i++)
		categories[i].count = 0;
	for (int i = 0; i < order->count; i++)
	{
		RecoProduct product = {order->numbers[i], i + 1};
		bool		known = product.number >= 0 && product.number < category_of_size;
		int32		index = known ? category_of[product.number] : NOT_LOADED;

		if (index >= 0)
			reco_category_append(&categories[index], cache, product, order->popularity[i]);
	}
}

/* Take what changed since the cached version; false: that is not known. */
static bool
product_cache_catch_up(int64 version)
{
	int64		known;			/* versions of which that is known, -1: too much */
	RecoOrder	order;
	bool		reordered;
	int			count;

	if (version < cached_version)
		return false;
	reordered = loaded_all && reco_mirror_log_read_order(cached_version, version, &order);
	count = reco_mirror_log_read_changes(cached_version, version, &known);
	if (known >= 0 && known + (reordered ? 1 : 0) == version - cached_version)
	{
		if (reordered)
			product_cache_apply_order(&order);
		for (int i = 0; i < count; i++)
			product_cache_apply_change(i);
		cached_version = version;
	}
	SPI_freetuptable(SPI_tuptable);
	return cached_version == version;
}

/* Make sure that the cache shows the mirror of this transaction. */
void
reco_product_sync(const RecoState *state)
{
	Oid			table = reco_sql_table("product");

	if (cache != NULL && cached_table == table && cached_epoch == reco_dictionary_epoch() &&
		cached_numbers == state->numbers_version &&
		(cached_version == state->mirror_version || product_cache_catch_up(state->mirror_version)))
		return;
	if (cached_numbers != state->numbers_version || cached_table != table)
		reco_dictionary_reset();
	product_cache_reset();
	cached_table = table;
	cached_version = state->mirror_version;
	cached_numbers = state->numbers_version;
	cached_epoch = reco_dictionary_epoch();
}

/*
 * Load all products, unless they are known; for a process that will need them
 * under reco's lock, and does not hold it yet.  So rows may be newer than the
 * state: a change says how a product is, not what differs, and is none the
 * worse for being taken twice.
 */
void
reco_product_load(const RecoState *state)
{
	reco_product_sync(state);
	if (!loaded_all)
		product_cache_load_all();
}

/* The category of a product, RECO_NO_CATEGORY if it has none. */
int32
reco_product_category(int32 number)
{
	int32		category = number < category_of_size ? category_of[number] : NOT_LOADED;

	if (likely(category != NOT_LOADED))
		return category;
	if (!loaded_all && ++lookups > MAX_LOOKUPS)
	{
		product_cache_load_all();
		return reco_product_category(number);
	}
	return loaded_all ? RECO_NO_CATEGORY : product_cache_load_number(number);
}

/* Put the categories of products in the place of their numbers. */
void
reco_product_categorize(int32 *numbers, int n)
{
	for (int i = 0; i < n; i++)
	{
		int32		number = numbers[i];
		int32		category = number < category_of_size ? category_of[number] : NOT_LOADED;

		numbers[i] = likely(category != NOT_LOADED) ? category : reco_product_category(number);
	}
}

/* A category and its products; good until the next call that names a product. */
RecoCategory *
reco_product_list(int32 category)
{
	if (!categories[category].loaded)
	{
		lookups++;
		product_cache_load_category(category);
	}
	return &categories[category];
}

/* The number of categories known; their indexes are below it. */
int32
reco_product_categories(void)
{
	return category_count;
}

/* All products whose category is known have numbers below this. */
int32
reco_product_end(void)
{
	return category_of_size;
}
