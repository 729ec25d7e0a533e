/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Products by their number, for those who read lists.
 *
 * For readers of lists, without reco's lock: under the snapshot that shows the
 * lists, so that a number stands for what it stood for then.
 *
 * Products are looked up in shared memory: ids if no number was given free since,
 * categories if the mirror is the same version, which reco.state tells under the
 * snapshot.  What is not found there is read from the tables.  Writes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/json_string.h"
#include "common/spi.h"
#include "engine/lookup.h"
#include "engine/product_cache.h"
#include "engine/product_dictionary.h"
#include "engine/product_table.h"
#include "fmgr.h"
#include "heap/keyed_table.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

static const RecoTableDef by_number = {
	"product_number", "product_number_number_key", 1, {F_INT4EQ}
};

/* Between begin and end. */
static Snapshot reading = NULL; /* the reader's */
static bool has_products = false;	/* product_cache.c has a version that will do */
static bool has_categories = false;
static RecoTable *numbers = NULL;	/* opened when they are asked for */
static RecoTable *mirror = NULL;
static MemoryContext found = NULL;	/* what was read from the tables */

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
	RecoVersions versions;

	Assert(reading == NULL);
	reco_sql_require_primary();
	if (found == NULL)
		found = AllocSetContextCreate(TopMemoryContext, "reco look-up", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(found);
	versions = reco_state_versions(snapshot);
	has_products = reco_product_begin_read(versions);
	has_categories = has_products && reco_product_shows_mirror(versions.mirror);
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
	reco_product_end_read();
	lookup_reset_xact();
}

/* A text of a row, copied. */
static RecoSlice
lookup_copy_text(Datum value)
{
	text	   *name = DatumGetTextPP(value);
	int			length = VARSIZE_ANY_EXHDR(name);

	return (RecoSlice) {memcpy(MemoryContextAlloc(found, length + 1), VARDATA_ANY(name), length), length};
}

RecoSlice
reco_lookup_product(int32 number)
{
	RecoSlice	id = {NULL, 0};
	Datum		key = Int32GetDatum(number);
	TupleTableSlot *row;
	bool		null;

	if (has_products)
		id = reco_product_id(number);
	if (id.data != NULL)
		return id;
	if (numbers == NULL)
		numbers = reco_table_open_read(&by_number, reading);
	row = number >= 0 && number <= RECO_NUMBER_MAX ? reco_table_fetch(numbers, &key) : NULL;
	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("product number %d is not in reco.product_number", number),
				 errhint("Run reco_rebuild().")));
	return lookup_copy_text(slot_getattr(row, 1, &null));
}

RecoSlice
reco_lookup_quoted(int32 number)
{
	RecoSlice	id = {NULL, 0};
	StringInfoData string;

	if (has_products)
		id = reco_product_quoted(number);
	if (id.data != NULL)
		return id;
	id = reco_lookup_product(number);
	initStringInfo(&string);
	reco_json_append(&string, id.data, id.length);
	id = (RecoSlice) {memcpy(MemoryContextAlloc(found, string.len), string.data, string.len), string.len};
	pfree(string.data);
	return id;
}

RecoSlice
reco_lookup_category(int32 number)
{
	RecoSlice	none = {NULL, 0};
	RecoSlice	id;
	Datum		key;
	TupleTableSlot *row;
	Datum		category = (Datum) 0;
	bool		null = true;

	if (has_categories)
	{
		int32		index = reco_product_category(number);

		return index == RECO_NO_CATEGORY ? none : reco_product_category_name(index);
	}
	if (mirror == NULL)
		mirror = reco_product_table_open_read(reading);
	id = reco_lookup_product(number);
	key = PointerGetDatum(cstring_to_text_with_len(id.data, id.length));
	row = reco_table_fetch(mirror, &key);
	if (row != NULL)
		category = slot_getattr(row, RECO_PRODUCT_CATEGORY + 1, &null);
	return null ? none : lookup_copy_text(category);
}
