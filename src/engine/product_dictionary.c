/*-------------------------------------------------------------------------
 *
 * product_dictionary.c
 *	  The dictionary of product numbers.
 *
 * Packed views and counters hold a number for each product, dense and small,
 * from reco.product_number.  Those of the mirror's products are in shared memory
 * (product_cache.c); a process caches what it has seen of others.  All callers
 * hold reco's lock, but for those that learn numbers which they have read
 * themselves (invalidation_prescan.c).
 *
 * What a transaction adds is only true if it commits, so an abort, of a
 * savepoint too, throws the cache away.  A number that is given free raises
 * the numbers' version, and product_cache.c throws the cache away then.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/hashfn.h"
#include "common/spi.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/*
 * Products outside of the catalog that a process caches: made-up ids must not
 * fill its memory.  A worker reads the events of all.
 */
#define MAX_CACHED 50000
#define MAX_CACHED_BY_WORKER 2000000

typedef struct NameEntry
{
	int32		number;
	text	   *name;
	char		status;
} NameEntry;

#define SH_PREFIX namehash
#define SH_ELEMENT_TYPE NameEntry
#define SH_KEY_TYPE int32
#define SH_KEY number
#define SH_HASH_KEY(table, key) murmurhash32((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static MemoryContext cache = NULL;
static RecoStringTable *numbers_of = NULL;
static namehash_hash *names = NULL;
static bool dirty = false;		/* the transaction changed what is cached */

static RecoPlan find_plan = {
	"SELECT product_id, number FROM reco.product_number WHERE product_id = ANY ($1)",
	1, {TEXTARRAYOID}
};
static RecoPlan reuse_plan = {
	"DELETE FROM reco.free_number WHERE number IN"
	" (SELECT number FROM reco.free_number ORDER BY number LIMIT $1) RETURNING number",
	1, {INT8OID}
};
static RecoPlan fresh_plan = {
	"UPDATE reco.state SET next_number = next_number + $1 RETURNING next_number - $1",
	1, {INT4OID}
};
static RecoPlan insert_plan = {
	"INSERT INTO reco.product_number (product_id, number) SELECT * FROM unnest($1, $2)",
	2, {TEXTARRAYOID, INT4ARRAYOID}
};

static RecoPlan names_plan = {
	"SELECT product_id, number FROM reco.product_number WHERE number = ANY ($1)", 1, {INT4ARRAYOID}
};
static RecoPlan name_plan = {
	"SELECT product_id FROM reco.product_number WHERE number = $1", 1, {INT4OID}
};

/* Forget everything cached. */
void
reco_dictionary_reset(void)
{
	if (cache != NULL)
		MemoryContextDelete(cache);
	cache = NULL;
	numbers_of = NULL;
	names = NULL;
}

static void
dictionary_abort(void)
{
	if (dirty)
		reco_dictionary_reset();
}

static void
dictionary_abort_sub(int level)
{
	dictionary_abort();
}

static void
dictionary_reset_xact(void)
{
	dirty = false;
}

const RecoXactModule reco_dictionary_xact = {
	.abort = dictionary_abort,.abort_sub = dictionary_abort_sub,.reset = dictionary_reset_xact
};

/* A number in a table that a constraint should have rejected. */
void
reco_dictionary_check(int32 number)
{
	if (number < 0 || number > RECO_NUMBER_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("product number %d is out of range", number),
				 errhint("Run DROP EXTENSION reco and CREATE EXTENSION reco: the state is computed anew.")));
}

static RecoSlice
dictionary_slice(const text *name)
{
	return (RecoSlice) {VARDATA(name), VARSIZE(name) - VARHDRSZ};
}

static void
dictionary_init(void)
{
	if (cache != NULL)
		return;
	cache = AllocSetContextCreate(TopMemoryContext, "reco product numbers", ALLOCSET_DEFAULT_SIZES);
	numbers_of = reco_string_table_create(cache);
	names = namehash_create(cache, 256, NULL);
}

/*
 * Keep a pair of the dictionary; id is copied.
 *
 * A cached pair that contradicts it goes: its number has been given free since,
 * which who reads without reco's lock may see too early, or the table is damaged.
 */
void
reco_dictionary_learn(text *id, int32 number)
{
	RecoSlice	name = {VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)};
	NameEntry  *entry;
	int32	   *other;
	bool		found;

	reco_dictionary_check(number);
	dictionary_init();
	entry = namehash_lookup(names, number);
	if (entry != NULL)
	{
		RecoSlice	known = dictionary_slice(entry->name);

		if (known.length == name.length && memcmp(known.data, name.data, name.length) == 0)
			return;
		reco_string_table_remove(numbers_of, known);
	}
	other = reco_string_table_find(numbers_of, name);
	if (other != NULL)
	{
		namehash_delete(names, *other);
		reco_string_table_remove(numbers_of, name);
	}
	id = MemoryContextAlloc(cache, VARHDRSZ + name.length);
	SET_VARSIZE(id, VARHDRSZ + name.length);
	memcpy(VARDATA(id), name.data, name.length);
	entry = namehash_insert(names, number, &found);
	entry->name = id;
	*reco_string_table_add(numbers_of, dictionary_slice(id)) = number;
}

/* The number of a product that the cache of the mirror or this one has; -1: neither. */
static int32
dictionary_known_number(RecoSlice id)
{
	int32		number = reco_product_number(id);
	int32	   *known;

	if (number >= 0 || numbers_of == NULL)
		return number;
	known = reco_string_table_find(numbers_of, id);
	return known != NULL ? *known : -1;
}

static Datum
dictionary_text_array(const RecoSlice *ids, const int *which, int n)
{
	Datum	   *values = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = PointerGetDatum(cstring_to_text_with_len(ids[which[i]].data, ids[which[i]].length));
	return PointerGetDatum(reco_array(values, n, TEXTOID));
}

/* Learn the pairs that a query has found. */
static void
dictionary_learn_rows(uint64 found)
{
	for (uint64 i = 0; i < found; i++)
	{
		bool		null;

		reco_dictionary_learn(DatumGetTextPP(reco_sql_value(i, 1, &null)),
							  DatumGetInt32(reco_sql_value(i, 2, &null)));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Learn those of the ids that the dictionary has. */
static void
dictionary_find(const RecoSlice *ids, const int *which, int n)
{
	Datum		values[1] = {dictionary_text_array(ids, which, n)};

	dictionary_learn_rows(reco_sql_query(&find_plan, values, NULL, 0));
}

/*
 * n numbers that nothing refers to: free ones first.  An old snapshot shows
 * rows that still hold them, and the dictionary that they refer to.
 */
static void
dictionary_allocate(Datum *numbers, int n)
{
	Datum		values[1] = {Int64GetDatum(n)};
	int			reused = (int) reco_sql_execute(&reuse_plan, values, NULL);
	bool		null;

	for (int i = 0; i < reused; i++)
		numbers[i] = reco_sql_value(i, 1, &null);
	SPI_freetuptable(SPI_tuptable);
	if (reused < n)
	{
		int32		first;

		values[0] = Int32GetDatum(n - reused);
		reco_sql_execute(&fresh_plan, values, NULL);
		first = DatumGetInt32(reco_sql_value(0, 1, &null));
		SPI_freetuptable(SPI_tuptable);
		for (int i = reused; i < n; i++)
			numbers[i] = Int32GetDatum(first + i - reused);
	}
}

/* Give numbers to ids that the dictionary does not have. */
static void
dictionary_add(RecoWrite *write, const RecoSlice *ids, const int *which, int n)
{
	Datum	   *numbers = palloc(n * sizeof(Datum));
	Datum		values[2];

	dirty = true;
	dictionary_allocate(numbers, n);
	values[0] = dictionary_text_array(ids, which, n);
	values[1] = PointerGetDatum(reco_array(numbers, n, INT4OID));
	reco_sql_execute(&insert_plan, values, NULL);
	for (int i = 0; i < n; i++)
		reco_dictionary_learn(cstring_to_text_with_len(ids[which[i]].data, ids[which[i]].length),
							  DatumGetInt32(numbers[i]));
}

/* Keep those of which that are not cached, each once; returns how many. */
static int
dictionary_drop_known(const RecoSlice *ids, int *which, int n, MemoryContext context)
{
	RecoStringTable *seen = reco_string_table_create(context);
	int			left = 0;

	for (int i = 0; i < n; i++)
	{
		RecoSlice	id = ids[which[i]];

		if (dictionary_known_number(id) < 0 && reco_string_table_find(seen, id) == NULL)
		{
			*reco_string_table_add(seen, id) = 0;
			which[left++] = which[i];
		}
	}
	return left;
}

/*
 * The numbers of products; those that are new get one.  Writes the dictionary
 * in that case.
 */
void
reco_dictionary_resolve(RecoWrite *write, const RecoSlice *ids, int32 *numbers, int n)
{
	int		   *missing = NULL;
	int			count = 0;

	if (numbers_of != NULL &&
		reco_string_table_count(numbers_of) > (AmBackgroundWorkerProcess() ? MAX_CACHED_BY_WORKER : MAX_CACHED))
		reco_dictionary_reset();
	for (int i = 0; i < n; i++)
	{
		numbers[i] = dictionary_known_number(ids[i]);
		if (numbers[i] < 0)
		{
			if (missing == NULL)
				missing = palloc_extended(n * sizeof(int), MCXT_ALLOC_HUGE);
			missing[count++] = i;
		}
	}
	if (count > 0)
	{
		MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "reco new products",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(scratch);
		int		   *which = palloc(count * sizeof(int));
		int			left;

		memcpy(which, missing, count * sizeof(int));
		left = dictionary_drop_known(ids, which, count, scratch);
		dictionary_find(ids, which, left);
		left = dictionary_drop_known(ids, which, left, scratch);
		if (left > 0)
			dictionary_add(write, ids, which, left);
		for (int i = 0; i < count; i++)
			numbers[missing[i]] = dictionary_known_number(ids[missing[i]]);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(scratch);
		pfree(missing);
	}
}

/* The product that a number stands for; data is NULL: it is not cached. */
static RecoSlice
dictionary_known_name(int32 number)
{
	RecoSlice	name = reco_product_id(number);
	NameEntry  *entry;

	if (name.data != NULL || names == NULL)
		return name;
	entry = namehash_lookup(names, number);
	return entry != NULL ? dictionary_slice(entry->name) : name;
}

/* Learn at once what n numbers stand for, of which each next one stands stride bytes further on. */
void
reco_dictionary_load(const int32 *first, int n, Size stride)
{
	Datum	   *missing = NULL;
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		int32		number = *(const int32 *) ((const char *) first + i * stride);

		if (dictionary_known_name(number).data != NULL)
			continue;
		if (missing == NULL)
			missing = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
		missing[count++] = Int32GetDatum(number);
	}
	if (count > 0)
	{
		Datum		values[1] = {PointerGetDatum(reco_array(missing, count, INT4OID))};

		dictionary_learn_rows(reco_sql_query(&names_plan, values, NULL, 0));
		pfree(missing);
	}
}

/* The product that a number stands for. */
static RecoSlice
dictionary_name(int32 number)
{
	RecoSlice	name = dictionary_known_name(number);
	Datum		values[1] = {Int32GetDatum(number)};
	bool		null;

	if (name.data != NULL)
		return name;
	if (reco_sql_query(&name_plan, values, NULL, 1) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("product number %d is not in reco.product_number", number),
				 errhint("Run reco_rebuild().")));
	reco_dictionary_learn(DatumGetTextPP(reco_sql_value(0, 1, &null)), number);
	SPI_freetuptable(SPI_tuptable);
	return dictionary_known_name(number);
}

/* Compare the products that two numbers stand for, as COLLATE "C" does. */
int
reco_dictionary_compare(int32 a, int32 b)
{
	RecoSlice	x = dictionary_name(a);
	RecoSlice	y = dictionary_name(b);
	int			result = memcmp(x.data, y.data, Min(x.length, y.length));

	return result != 0 ? result : x.length - y.length;
}
