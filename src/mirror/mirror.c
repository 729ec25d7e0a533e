/*-------------------------------------------------------------------------
 *
 * mirror.c
 *	  Bringing reco.product in line with the shop's catalog.
 *
 * This takes two transactions.  The first one compares, with a lock on the
 * catalog table that none of the shop's writers waits for; the second one
 * takes reco's lock and writes.  In between, invalidation.c runs some of its
 * own.  So reco's lock is never held while a lock of the shop's is waited
 * for.  What the shop changes in between is decoded later.  Only the follow
 * worker writes reco.product.
 *
 * The catalog is read by catalog_scan.c, which plans no query; the result is
 * compared with the mirror by a query of reco's own.  The delta is kept in a
 * tuplestore, which outlives the transaction and spills to disk.
 *
 * The delta of given keys is written in one transaction, so that no list
 * shows half of what the shop committed; that of the whole catalog is written
 * in steps.
 *
 * The contents of the catalog can also change without a change of rows.  Such
 * changes come as invalidations: of its tables, of the types of its columns,
 * of the functions that convert them to text, of names.  They make the source
 * stale; it is looked up again, and gets another fingerprint if its contents
 * may differ.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/monotonic.h"
#include "common/named_tuplestore.h"
#include "common/spi.h"
#include "executor/tstoreReceiver.h"
#include "mb/pg_wchar.h"
#include "mirror/catalog_scan.h"
#include "mirror/mirror.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Rows changed in one transaction, after a comparison of the whole catalog. */
#define STEP_ROWS 10000

/* A longer category counts as none: all of them are in shared memory. */
#define CATEGORY_MAX 2048

/* Interval at which such categories are reported, in ms. */
#define TOO_LONG_INTERVAL 60000

/* The delta of catalog and mirror, for all products. */
#define DIFFERENCES(condition) \
	"WITH c AS (SELECT product_id, min(nullif(category, '')) AS category" \
	" FROM reco_catalog GROUP BY 1)," \
	" p AS (SELECT product_id, category FROM reco.product" condition ")" \
	" SELECT CASE WHEN octet_length(c.product_id) NOT BETWEEN 1 AND 512 THEN 's'" \
	" WHEN c.product_id IS NULL THEN 'g' WHEN p.product_id IS NULL THEN 'n'" \
	" ELSE 'm' END, left(coalesce(c.product_id, p.product_id), 512), c.category" \
	" FROM c FULL JOIN p ON p.product_id = c.product_id" \
	" WHERE c.product_id IS NULL OR p.product_id IS NULL" \
	" OR c.category IS DISTINCT FROM p.category"

static RecoPlan look_up_plan = {DIFFERENCES(" WHERE product_id = ANY ($1)"), 1, {TEXTARRAYOID}};
static RecoPlan compare_plan = {DIFFERENCES("")};

static RecoSource *source = NULL;
static MemoryContext source_context = NULL;
static bool stale = true;

/* The catalog table, its list of partitions, or a composite type has changed. */
static void
mirror_table_altered(Datum arg, Oid table)
{
	if (!OidIsValid(table) || source == NULL || reco_source_uses_relation(source, table))
		stale = true;
}

/* A function that converts a column to text has been replaced, or has another owner. */
static void
mirror_function_altered(Datum arg, int cache, uint32 hash)
{
	if (hash == 0 || source == NULL || reco_source_uses_function(source, hash))
		stale = true;
}

/* Labels of enums, names of schemas, casts, superusers: rare enough to check all again. */
static void
mirror_name_altered(Datum arg, int cache, uint32 hash)
{
	stale = true;
}

void
reco_mirror_init(void)
{
	CacheRegisterRelcacheCallback(mirror_table_altered, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, mirror_function_altered, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, mirror_name_altered, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, mirror_name_altered, (Datum) 0);
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, mirror_name_altered, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, mirror_name_altered, (Datum) 0);
}

const RecoSource *
reco_mirror_source(void)
{
	return source;
}

bool
reco_mirror_is_stale(void)
{
	return stale;
}

/* Forget the table. */
void
reco_mirror_forget(void)
{
	source = NULL;
	stale = true;
	if (source_context != NULL)
		MemoryContextDelete(source_context);
	source_context = NULL;
}

/* Categories in the current comparison that are too long. */
static struct
{
	int			count;
	char		example[64];	/* the beginning of the ID of a product in one of them */
}			too_long;

static void
mirror_note_too_long(const text *product)
{
	int			length = pg_mbcliplen(VARDATA_ANY(product), VARSIZE_ANY_EXHDR(product),
									  sizeof(too_long.example) - 1);

	if (too_long.count++ > 0)
		return;
	memcpy(too_long.example, VARDATA_ANY(product), length);
	too_long.example[length] = '\0';
}

static void
mirror_report_too_long(void)
{
	static RecoMoment due = 0;

	if (too_long.count == 0 || !reco_monotonic_is_due(&due, TOO_LONG_INTERVAL))
		return;
	ereport(WARNING,
			(errmsg("categories of catalog table %s that are longer than %d bytes count as none",
					source->name, CATEGORY_MAX),
			 errdetail("The last comparison found %d, among them that of product \"%s\".",
					   too_long.count, too_long.example)));
}

static void
mirror_put_row(void *sink, Datum *values, bool *nulls)
{
	if (!nulls[1] && VARSIZE_ANY_EXHDR(DatumGetPointer(values[1])) > CATEGORY_MAX)
	{
		mirror_note_too_long((text *) DatumGetPointer(values[0]));
		nulls[1] = true;
	}
	reco_tuplestore_put(sink, values, nulls);
}

/*
 * Read the catalog, or the rows with some keys (NULL: all), and compare it
 * with the mirror.  Without a source the mirror has to be empty.
 *
 * The snapshot is taken here, after the tables have been locked: to an older
 * one, a table that was truncated or rewritten meanwhile would look empty.
 */
static void
mirror_find_deltas(RecoMirrorDelta *delta, const Datum *keys, int nkeys)
{
	RecoTuplestore *store = reco_tuplestore_open("reco_catalog", reco_catalog_scan_desc());
	DestReceiver *receiver = CreateTuplestoreDestReceiver();
	Datum		products = (Datum) 0;

	too_long.count = 0;
	SetTuplestoreDestReceiverParams(receiver, delta->rows, delta->context, false, NULL, NULL);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (keys != NULL)
		products = reco_catalog_scan_keys(source, keys, nkeys, mirror_put_row, store);
	else if (source != NULL)
		reco_catalog_scan_all(source, mirror_put_row, store);
	reco_tuplestore_query(store, keys != NULL ? &look_up_plan : &compare_plan, &products, receiver);
	PopActiveSnapshot();
	receiver->rDestroy(receiver);
	mirror_report_too_long();

	/* Its file is not written to after the end of the transaction. */
	(void) tuplestore_advance(delta->rows, true);
	tuplestore_rescan(delta->rows);
}

/* Look up the table again, in the caller's transaction, which then holds its lock. */
static RecoMirrorResult
mirror_find_source(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco source",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	RecoSource *fresh;
	bool		same;

	PG_TRY();
	{
		stale = false;			/* an invalidation that arrives from now on sets it again */
		fresh = reco_source_open(false);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	if (fresh == NULL)
	{
		MemoryContextDelete(context);
		stale = true;
		return RECO_MIRROR_LOCKED;
	}
	same = source != NULL && strcmp(source->fingerprint, fresh->fingerprint) == 0 &&
		strcmp(source->name, fresh->name) == 0;
	if (same)
	{
		MemoryContextDelete(context);
		return RECO_MIRROR_DONE;
	}
	reco_mirror_forget();
	stale = false;
	source = fresh;
	source_context = context;
	return RECO_MIRROR_ALTERED;
}

/* Lock the table, after looking it up again if it may have been altered. */
static RecoMirrorResult
mirror_lock_source(void)
{
	if (!stale && source != NULL)
	{
		if (!reco_source_lock(source))
			return RECO_MIRROR_LOCKED;
		if (!stale)
			return RECO_MIRROR_DONE;
	}
	return mirror_find_source();
}

/* Has the table been altered so that all of it must be compared? */
RecoMirrorResult
reco_mirror_check_altered(void)
{
	RecoMirrorResult result;

	reco_sql_begin();
	result = mirror_lock_source();
	reco_sql_commit();
	return result;
}

/* Compare catalog and mirror for some keys. */
RecoMirrorResult
reco_mirror_lookup(RecoMirrorDelta *delta, const Datum *keys, int nkeys)
{
	RecoMirrorResult result;

	reco_sql_begin();
	result = mirror_lock_source();
	if (result == RECO_MIRROR_DONE)
		mirror_find_deltas(delta, keys, nkeys);
	reco_sql_commit();
	return result;
}

/* Compare the mirror with the whole catalog, or with no catalog. */
RecoMirrorResult
reco_mirror_compare_all(RecoMirrorDelta *delta)
{
	RecoMirrorResult result = RECO_MIRROR_DONE;

	reco_sql_begin();
	if (reco_source_is_configured())
		result = mirror_find_source();
	else
		reco_mirror_forget();
	if (result != RECO_MIRROR_LOCKED)
		mirror_find_deltas(delta, NULL, 0);
	reco_sql_commit();
	return result;
}

/* Write the whole delta at once; false if it is empty. */
bool
reco_mirror_apply(RecoMirrorDelta *delta)
{
	bool		more;

	return reco_mirror_delta_write(delta, 0, source->name, &more) > 0;
}

/* Write a step of the delta; true if there may be more. */
bool
reco_mirror_apply_some(RecoMirrorDelta *delta)
{
	bool		more;

	(void) reco_mirror_delta_write(delta, STEP_ROWS, source ? source->name : "", &more);
	return more;
}
