/*-------------------------------------------------------------------------
 *
 * product_cache.c
 *	  The mirror of the catalog as a process reads it in shared memory.
 *
 * Lists are computed from memory: the category of each product number, and each
 * category's products in order of popularity.  All of it is in a version that
 * product_version.c has in shared memory.  The process itself only keeps where
 * the pages of the version are that it has read last: 8 bytes for 512 numbers and
 * 32 for a category; and who changes the mirror, the categories by name.
 *
 * Who holds reco's lock reads the version that reco.state names, and builds it
 * if it is missing.  The versions that a transaction makes are its own until it
 * commits; a rollback, to a savepoint too, discards them.  A product's number and
 * id are right in every version of the same numbers_version, so who only reads
 * lists takes the newest version, for the time of a look-up.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "common/array.h"
#include "common/spi.h"
#include "common/string_table.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "engine/product_draft.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* So many products without an order, and half of all, and they are brought into order. */
#define MAX_UNORDERED 1000

/* A version that the transaction has made. */
typedef struct OwnVersion
{
	RecoVersion *version;
	int			level;			/* nest level */
	bool		complete;
} OwnVersion;

static OwnVersion *own = NULL;
static int	own_count = 0;
static int	own_size = 0;
static int	changed_level = 0;	/* at which the transaction has changed the mirror; 0: it has not */

/* The version in force that this process has pinned. */
static RecoVersion *pinned = NULL;

/* Made from the pinned version before reco's lock was taken, and not finished. */
static RecoVersion *prepared = NULL;
static RecoVersion *prepared_from = NULL;

/* What the holder of reco's lock is to see. */
static int	writing_level = 0;	/* nest level at which it was taken; 0: it is not held */
static int	wanted_level = 0;	/* at which these were set */
static Oid	wanted_table = InvalidOid;
static RecoVersions wanted;

/* The version that is read, and where its parts are. */
static RecoVersion *viewed = NULL;	/* NULL: none is, within this transaction */
static uint64 view_serial = 0;	/* the pages are those of this version */
static int32 view_end = 0;		/* of numbers */
static const RecoNumberPage **pages = NULL;
static int	pages_size = 0;
static RecoCategory *categories = NULL;
static int	categories_size = 0;
static const RecoDirectory *category_pages = NULL;
static const RecoIdIndex *view_index = NULL;
static RecoNumberPage empty_page;

/* The indexes of categories by name, as far as they were asked for. */
static MemoryContext names_context = NULL;
static RecoStringTable *names = NULL;
static int32 names_count = 0;
static uint64 names_family = 0;

/* What the transaction drops. */
static Oid	dropped_database = InvalidOid;
static object_access_hook_type next_object_access = NULL;

static void
product_forget_names(void)
{
	if (names_context != NULL)
		MemoryContextDelete(names_context);
	names_context = NULL;
	names = NULL;
}

static void
product_unpin(void)
{
	if (pinned != NULL)
		reco_version_unpin(pinned);
	pinned = NULL;
	viewed = NULL;
}

/* Give up the versions that were made at a nest level and below. */
static void
product_discard(int level)
{
	while (own_count > 0 && own[own_count - 1].level >= level)
	{
		RecoVersion *version = own[--own_count].version;

		if (version == prepared)
			prepared = NULL;
		reco_version_discard(version);
		product_forget_names();
		viewed = NULL;
	}
}

static void
product_commit(void)
{
	for (int i = 0; i < own_count; i++)
	{
		if (!own[i].complete || !reco_version_publish(own[i].version, false))
			reco_version_discard(own[i].version);
	}
	own_count = 0;
	/* last, or what the transaction has changed before the DROP would stay in force */
	if (OidIsValid(dropped_database))
		reco_version_forget_database(dropped_database);
}

static void
product_abort(void)
{
	product_discard(0);
}

static void
product_reset(void)
{
	product_unpin();
	prepared = NULL;
	changed_level = 0;
	writing_level = wanted_level = 0;
	dropped_database = InvalidOid;
}

static void
product_commit_sub(int level)
{
	for (int i = 0; i < own_count; i++)
		own[i].level = Min(own[i].level, level - 1);
	changed_level = Min(changed_level, level - 1);
	writing_level = Min(writing_level, level - 1);
	wanted_level = Min(wanted_level, level - 1);
}

/*
 * What was wanted has been undone.  Whoever was writing before goes on, since a
 * trigger may have an EXCEPTION clause.
 */
static void
product_restore_wanted(void)
{
	const RecoVersion *before = own_count > 0 ? own[own_count - 1].version : pinned;

	viewed = NULL;
	if (before != NULL && (own_count > 0 ? own[own_count - 1].complete : changed_level == 0))
	{
		wanted = (RecoVersions) {before->mirror, before->numbers};
		wanted_level = own_count > 0 ? own[own_count - 1].level : writing_level;
	}
	else
		writing_level = 0;		/* until reco.state is read again */
}

static void
product_abort_sub(int level)
{
	product_discard(level);
	if (changed_level >= level)
		changed_level = 0;
	if (writing_level >= level)
		writing_level = 0;
	else if (writing_level > 0 && wanted_level >= level)
		product_restore_wanted();
	if (writing_level == 0 && prepared == NULL)
		product_unpin();
}

const RecoXactModule reco_product_xact = {
	.commit = product_commit,
	.abort = product_abort,
	.reset = product_reset,
	.commit_sub = product_commit_sub,
	.abort_sub = product_abort_sub,
};

/* Notice that the extension or a database is dropped: its versions are freed then. */
static void
product_object_access(ObjectAccessType access, Oid class, Oid object, int subid, void *arg)
{
	if (next_object_access)
		next_object_access(access, class, object, subid, arg);
	if (access != OAT_DROP)
		return;
	if (class == DatabaseRelationId)
		dropped_database = object;
	else if (class == ExtensionRelationId && object == get_extension_oid("reco", true))
		dropped_database = MyDatabaseId;
}

/* Called once, from _PG_init. */
void
reco_product_init(void)
{
	for (int i = 0; i < RECO_PAGE_NUMBERS; i++)
		empty_page.category[i] = RECO_NO_CATEGORY;
	next_object_access = object_access_hook;
	object_access_hook = product_object_access;
}

/* Find the number pages of a version. */
static void
product_map(const RecoVersion *version)
{
	int			count = RECO_PAGES(version->number_end, RECO_PAGE_NUMBERS);
	const RecoDirectory *directory = count > 0 ? reco_version_address(version->numbers_directory) : NULL;

	view_serial = 0;
	if (count > pages_size)
	{
		pages = reco_array_grow(pages, sizeof(RecoNumberPage *), pages_size, count * 2);
		pages_size = count * 2;
	}
	for (int i = 0; i < count; i++)
		pages[i] = DsaPointerIsValid(directory->pages[i]) ? reco_version_address(directory->pages[i]) : &empty_page;
	if (version->category_count > categories_size)
	{
		categories = reco_array_grow(categories, sizeof(RecoCategory), categories_size, version->category_count * 2);
		categories_size = version->category_count * 2;
	}
	category_pages = version->category_count > 0 ? reco_version_address(version->categories_directory) : NULL;
	view_end = version->number_end;
	view_serial = version->serial;
}

/* Read this version from now on; it stays pinned, or is the transaction's own. */
static void
product_view(RecoVersion *version)
{
	if (view_serial != version->serial)
		product_map(version);
	view_index = NULL;
	if (writing_level > 0)
		view_index = reco_version_address(version->ids);
	viewed = version;
}

/* Begin a version of the transaction's own. */
static RecoVersion *
product_begin_version(const RecoVersion *base)
{
	if (own_count == own_size)
	{
		own = reco_array_grow(own, sizeof(OwnVersion), own_size, Max(8, own_size * 2));
		own_size = Max(8, own_size * 2);
	}
	own[own_count].version = reco_version_create(base);
	own[own_count].level = GetCurrentTransactionNestLevel();
	own[own_count].complete = false;
	return own[own_count++].version;
}

/* It is built: it says what the mirror says in this version. */
static void
product_end_version(RecoVersion *version, RecoVersions versions)
{
	version->table = wanted_table;
	version->mirror = versions.mirror;
	version->numbers = versions.numbers;
	for (int i = 0; i < own_count; i++)
		if (own[i].version == version)
			own[i].complete = true;
	if (wanted.mirror != versions.mirror || wanted.numbers != versions.numbers)
		wanted_level = GetCurrentTransactionNestLevel();
	wanted = versions;
	product_view(version);
}

static bool
product_is_wanted(const RecoVersion *version)
{
	return version->table == wanted_table && version->mirror == wanted.mirror && version->numbers == wanted.numbers;
}

/*
 * Build the version that is missing.  One that the transaction has not made is
 * published at once: the transaction may take long, or be rolled back.
 */
static void
product_build(void)
{
	bool		committed = changed_level == 0;
	RecoVersion *version = product_begin_version(NULL);

	reco_build_all(version, committed);
	product_end_version(version, wanted);
	if (committed && reco_version_publish(version, true))
	{
		RecoVersion *before = pinned;

		own_count--;
		pinned = version;
		if (before != NULL)
			reco_version_unpin(before);
	}
}

/* Look for the version that the holder of reco's lock is to see; false: it is missing. */
static bool
product_find(void)
{
	for (int i = own_count - 1; i >= 0; i--)
	{
		if (!own[i].complete || !product_is_wanted(own[i].version))
			continue;
		product_view(own[i].version);
		return true;
	}
	if (pinned == NULL || !reco_version_is_newest(pinned))
	{
		product_unpin();
		pinned = reco_version_pin();
	}
	if (pinned == NULL || !product_is_wanted(pinned))
		return false;
	product_view(pinned);
	return true;
}

static void
product_acquire(void)
{
	if (writing_level == 0)
		elog(ERROR, "the mirror is read without reco's lock");
	if (!product_find())
		product_build();
}

static inline void
product_require(void)
{
	if (unlikely(viewed == NULL))
		product_acquire();
}

static RecoVersions
product_versions(const RecoState *state)
{
	return (RecoVersions) {state->mirror_version, state->numbers_version};
}

void
reco_product_sync(const RecoState *state)
{
	Oid			table = reco_sql_table("product");

	reco_version_reclaim();
	if (wanted_table != table || wanted.numbers != state->numbers_version)
		reco_dictionary_reset();
	if (writing_level == 0 || wanted_table != table || wanted.mirror != state->mirror_version ||
		wanted.numbers != state->numbers_version)
		wanted_level = GetCurrentTransactionNestLevel();
	if (writing_level == 0)
		writing_level = GetCurrentTransactionNestLevel();
	wanted_table = table;
	wanted = product_versions(state);
	product_acquire();
}

static void
product_set_changed(void)
{
	int			level = GetCurrentTransactionNestLevel();

	changed_level = changed_level == 0 ? level : Min(changed_level, level);
}

/* The transaction has changed n products, and the state. */
void
reco_product_change(const RecoState *after, RecoProductRow *rows, int n)
{
	RecoVersion *base;
	RecoVersion *version;

	product_require();
	base = viewed;
	product_set_changed();
	for (int i = 0; i < n; i++)
		rows[i].category = rows[i].name.data != NULL ? reco_product_find_category(rows[i].name) : RECO_NO_CATEGORY;
	version = product_begin_version(base);
	reco_build_change(version, base, rows, n);
	product_end_version(version, product_versions(after));
	if (version->unordered > MAX_UNORDERED && version->unordered > version->product_count / 2)
		reco_product_change_order(after, NULL, 0);
}

/* The transaction may have changed any product, or what numbers stand for. */
void
reco_product_change_all(const RecoState *after)
{
	product_set_changed();
	if (wanted.numbers != after->numbers_version)
		reco_dictionary_reset();
	wanted = product_versions(after);
	wanted_level = GetCurrentTransactionNestLevel();
	viewed = NULL;
}

/*
 * Make a version with another popularity (NULL: the same), in order, before
 * reco's lock is taken.  The caller has locked reco.product against writers.
 */
void
reco_product_prepare_order(const int64 *by_number, int32 size)
{
	if (reco_product_read() == 0 || (by_number == NULL && pinned->unordered == 0))
		return;
	prepared_from = pinned;
	prepared = product_begin_version(pinned);
	reco_build_order(prepared, pinned, by_number, size);
}

/* The popularity of products is another one (NULL: the same), and they are to be in order. */
void
reco_product_change_order(const RecoState *after, const int64 *by_number, int32 size)
{
	RecoVersion *base;
	RecoVersion *version = prepared;

	product_require();
	base = viewed;
	product_set_changed();
	if (version == NULL || base != prepared_from || base != pinned || !reco_version_is_newest(base))
	{
		version = product_begin_version(base);
		reco_build_order(version, base, by_number, size);
	}
	reco_build_finish_order(version, base);
	product_end_version(version, product_versions(after));
	prepared = NULL;
}

/*
 * Read the newest version for the rest of the transaction; its family, 0 if there
 * is none.  Who holds reco's lock reads no other version than that of the state.
 */
uint64
reco_product_read(void)
{
	if (viewed == NULL && writing_level > 0)
		(void) product_find();
	else if (viewed == NULL)
	{
		product_unpin();
		pinned = reco_version_pin();
		if (pinned != NULL && pinned->table == reco_sql_table("product"))
			product_view(pinned);
	}
	return viewed != NULL ? viewed->family : 0;
}

/* Read a version whose numbers stand for what they stand for in these; false: there is none. */
bool
reco_product_begin_read(RecoVersions versions)
{
	reco_product_end_read();
	return reco_product_read() != 0 && viewed->numbers == versions.numbers;
}

void
reco_product_end_read(void)
{
	if (writing_level == 0 && prepared == NULL)
		product_unpin();
}

/* Are categories, too, those of this version of the mirror? */
bool
reco_product_shows_mirror(int64 version)
{
	return viewed->mirror == version;
}

static inline const RecoNumberPage *
product_page(int32 number)
{
	return (uint32) number < (uint32) view_end ? pages[number / RECO_PAGE_NUMBERS] : &empty_page;
}

/* The category of a product, RECO_NO_CATEGORY if it has none. */
int32
reco_product_category(int32 number)
{
	product_require();
	return product_page(number)->category[(uint32) number % RECO_PAGE_NUMBERS];
}

/* Put the categories of products in the place of their numbers. */
void
reco_product_categorize(int32 *numbers, int n)
{
	product_require();
	for (int i = 0; i < n; i++)
		numbers[i] = product_page(numbers[i])->category[(uint32) numbers[i] % RECO_PAGE_NUMBERS];
}

static const RecoCategoryEntry *
product_category_entry(int32 category)
{
	const RecoCategoryPage *page = reco_version_address(category_pages->pages[category / RECO_PAGE_CATEGORIES]);

	return &page->entries[category % RECO_PAGE_CATEGORIES];
}

/* A category and its products. */
const RecoCategory *
reco_product_list(int32 category)
{
	RecoCategory *list;

	product_require();
	list = &categories[category];
	if (unlikely(list->serial != view_serial))
	{
		dsa_pointer piece = product_category_entry(category)->products;
		const RecoProducts *products = DsaPointerIsValid(piece) ? reco_version_address(piece) : NULL;

		list->count = products != NULL ? products->count : 0;
		list->products = products != NULL ? products->products : NULL;
		list->popularity = products != NULL ? RECO_PRODUCTS_POPULARITY(products) : NULL;
		list->serial = view_serial;
	}
	return list;
}

/* The name of a category. */
RecoSlice
reco_product_category_name(int32 category)
{
	const RecoProductText *text = reco_version_address(product_category_entry(category)->name);

	return (RecoSlice) {text->data + 1, text->length};
}

/* The index of a category by its name; RECO_NO_CATEGORY: there is no such category yet. */
int32
reco_product_find_category(RecoSlice name)
{
	int32	   *index;

	product_require();
	if (names == NULL || names_family != viewed->family)
	{
		product_forget_names();
		names_context = AllocSetContextCreate(TopMemoryContext, "reco category names", ALLOCSET_DEFAULT_SIZES);
		names = reco_string_table_create(names_context);
		names_count = 0;
		names_family = viewed->family;
	}
	for (; names_count < viewed->category_count; names_count++)
		*reco_string_table_add(names, reco_product_category_name(names_count)) = names_count;
	index = reco_string_table_find(names, name);
	return index != NULL && *index < viewed->category_count ? *index : RECO_NO_CATEGORY;
}

/* The number of categories; their indexes are below it. */
int32
reco_product_categories(void)
{
	product_require();
	return viewed->category_count;
}

/* All products that have a category have numbers below this. */
int32
reco_product_end(void)
{
	product_require();
	return view_end;
}

/* Products that have no place in the order of all. */
int64
reco_product_unordered(void)
{
	product_require();
	return viewed->unordered;
}

/* Versions of the same family have the same indexes of categories. */
uint64
reco_product_family(void)
{
	product_require();
	return viewed->family;
}

static inline const RecoProductText *
product_text(int32 number)
{
	dsa_pointer text;

	product_require();
	text = product_page(number)->text[(uint32) number % RECO_PAGE_NUMBERS];
	return DsaPointerIsValid(text) ? reco_version_address(text) : NULL;
}

/* The id of a product; data is NULL if it is not in the mirror, nor was. */
RecoSlice
reco_product_id(int32 number)
{
	const RecoProductText *text = product_text(number);

	return text != NULL ? (RecoSlice) {text->data + 1, text->length} : (RecoSlice) {NULL, 0};
}

/* The same as a JSON string in UTF-8. */
RecoSlice
reco_product_quoted(int32 number)
{
	const RecoProductText *text = product_text(number);

	if (text == NULL)
		return (RecoSlice) {NULL, 0};
	if (text->escaped == 0)
		return (RecoSlice) {text->data, text->length + 2};
	return (RecoSlice) {text->data + text->length + 2, text->escaped};
}

/* The number of a product, by its id; -1: it is not in the mirror, nor was.  Under reco's lock. */
int32
reco_product_number(RecoSlice id)
{
	uint32		hash = reco_draft_hash(id);

	product_require();
	Assert(writing_level > 0);
	for (uint32 at = hash & view_index->mask; view_index->slots[at].number >= 0; at = (at + 1) & view_index->mask)
	{
		const RecoIdSlot *slot = &view_index->slots[at];
		RecoSlice	known;

		if (slot->hash != hash)
			continue;
		known = reco_product_id(slot->number);
		if (known.data != NULL && known.length == id.length && memcmp(known.data, id.data, id.length) == 0)
			return slot->number;
	}
	return -1;
}

/* Where a category has a product; -1: nowhere. */
int
reco_category_find(const RecoCategory *category, int32 number)
{
	for (int i = 0; i < category->count; i++)
		if (category->products[i].number == number)
			return i;
	return -1;
}

/* Which of two products comes first in a list, all else being equal? */
int
reco_category_compare(const RecoCategory *a, int i, const RecoCategory *b, int j)
{
	const RecoProduct *x = &a->products[i];
	const RecoProduct *y = &b->products[j];

	if (x->order != 0 && y->order != 0)
		return x->order - y->order;
	if (a->popularity[i] != b->popularity[j])
		return a->popularity[i] > b->popularity[j] ? -1 : 1;
	return reco_dictionary_compare(x->number, y->number);
}
