/*-------------------------------------------------------------------------
 *
 * mirror.c
 *	  reco.product is made to say what the shop's catalog says.
 *
 * Two transactions, one after the other: the first one looks, with a lock on
 * the catalog table that no writer of the shop waits for, and finds what
 * differs; the second one takes reco's lock and writes it.  In between invalidation_prescan.c
 * has some of its own.  So reco's lock is never held while the shop's are waited
 * for.  What the shop changes between the two is decoded later.  Nobody else
 * writes reco.product.
 *
 * Keys are looked up as values of their own type, by the shop's index; what
 * the mirror holds is their cast to text.  Of a type that somebody else than a
 * superuser owns the output function serves instead: see source_table.c.
 *
 * All differences of some given keys are written in one transaction, so that
 * no list shows half of what the shop committed.  A comparison of everything
 * keeps them in a held cursor, which spills to disk, and writes them in steps.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "lists/invalidation_prescan.h"
#include "mirror/mirror.h"
#include "mirror/mirror_writer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

/* Rows that one transaction changes, when everything is compared. */
#define STEP_ROWS 10000

#define CURSOR_NAME "reco_differences"

static const RecoSource *source = NULL;
static MemoryContext source_context = NULL;
static bool stale = true;

static RecoPlan look_up_plan = {NULL, 1, {TEXTARRAYOID}};

/* The catalog's table, or the list of its partitions, is not what it was. */
static void
table_altered(Datum arg, Oid table)
{
	if (!OidIsValid(table) || source == NULL)
		stale = true;
	for (int i = 0; !stale && i < source->ntables; i++)
		stale = source->tables[i] == table;
}

void
reco_mirror_init(void)
{
	reco_difference_init();
	CacheRegisterRelcacheCallback(table_altered, (Datum) 0);
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

/* Forget the table; what remains of a failed look goes with it. */
void
reco_mirror_forget(void)
{
	source = NULL;
	stale = true;
	if (look_up_plan.plan != NULL)
		SPI_freeplan(look_up_plan.plan);
	look_up_plan.plan = NULL;
	if (source_context != NULL)
		MemoryContextDelete(source_context);
	source_context = NULL;
}

/*
 * The catalog's products, as text; of several rows with one key the smallest
 * category counts.
 */
static void
append_catalog(StringInfo query, bool given_keys)
{
	appendStringInfo(query,
					 "SELECT (%s) COLLATE \"C\" AS product_id,"
					 " min(nullif(%s, '') COLLATE \"C\") AS category"
					 " FROM %s c WHERE ",
					 source->key_text, source->category_text, source->name);
	if (given_keys)
		appendStringInfo(query, "(%s) %s ANY ($1::%s[])", source->key_sql, source->key_equals,
						 source->key_type);
	else
		appendStringInfo(query, "c.%s IS NOT NULL", quote_identifier(source->key_column));
	appendStringInfoString(query, " GROUP BY 1");
}

/* Differences between catalog and mirror: kind, product_id, category. */
static char *
differences_query(bool given_keys)
{
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfoString(&query, "WITH c AS (");
	append_catalog(&query, given_keys);
	appendStringInfoString(&query, "), p AS (SELECT product_id, category FROM reco.product");
	if (given_keys)
		appendStringInfo(&query,
						 " WHERE product_id IN (SELECT k::text COLLATE \"C\""
						 " FROM unnest($1::%s[]) AS k UNION SELECT c.product_id FROM c)",
						 source->key_type);
	appendStringInfo(&query,
					 ") SELECT (CASE WHEN octet_length(c.product_id) NOT BETWEEN 1 AND 512 THEN '%c'"
					 " WHEN c.product_id IS NULL THEN '%c' WHEN p.product_id IS NULL THEN '%c'"
					 " ELSE '%c' END)::\"char\", left(coalesce(c.product_id, p.product_id), 512),"
					 " c.category FROM c FULL JOIN p ON p.product_id = c.product_id"
					 " WHERE c.product_id IS NULL OR p.product_id IS NULL"
					 " OR c.category IS DISTINCT FROM p.category",
					 RECO_SKIPPED, RECO_GONE, RECO_NEW, RECO_MOVED);
	return query.data;
}

/* All of the mirror differs from no catalog. */
static char *
no_catalog_query(void)
{
	return psprintf("SELECT '%c'::\"char\", product_id, NULL::text FROM reco.product", RECO_GONE);
}

/* Find the table anew, in the caller's transaction, which then holds its lock. */
static RecoLook
find_source(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco source",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	RecoSource *found;
	bool		same;

	PG_TRY();
	{
		stale = false;			/* whatever comes from now on makes it so again */
		found = reco_source_open();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	if (found == NULL)
	{
		MemoryContextDelete(context);
		stale = true;
		return RECO_LOOK_LOCKED;
	}
	same = source != NULL && strcmp(source->fingerprint, found->fingerprint) == 0 &&
		strcmp(source->name, found->name) == 0;
	if (same)
	{
		MemoryContextDelete(context);
		return RECO_LOOK_DONE;
	}
	reco_mirror_forget();
	stale = false;
	source = found;
	source_context = context;
	return RECO_LOOK_ALTERED;
}

/* Lock the table; find it again first if it may have been altered. */
static RecoLook
lock_source(void)
{
	if (!stale && source != NULL)
	{
		if (!reco_source_lock(source))
			return RECO_LOOK_LOCKED;
		if (!stale)
			return RECO_LOOK_DONE;
	}
	return find_source();
}

/* Rows that a policy hides must not look as if they were gone. */
static void
settle(void)
{
	reco_sql_set_local("row_security", "off");
}

/* Has the table been altered so that all of it must be looked at? */
RecoLook
reco_mirror_look_whether_altered(void)
{
	RecoLook	result;

	reco_sql_begin();
	result = lock_source();
	reco_sql_commit();
	return result;
}

/* Look up products by the text of their keys. */
RecoLook
reco_mirror_look_up(char **keys, int nkeys)
{
	RecoLook	result;

	reco_sql_begin();
	result = lock_source();
	if (result == RECO_LOOK_DONE)
	{
		Datum	   *texts = palloc(nkeys * sizeof(Datum));
		Datum		argument;

		for (int i = 0; i < nkeys; i++)
			texts[i] = CStringGetTextDatum(keys[i]);
		argument = PointerGetDatum(construct_array(texts, nkeys, TEXTOID, -1, false, TYPALIGN_INT));
		if (look_up_plan.plan == NULL)
			look_up_plan.query = MemoryContextStrdup(source_context, differences_query(true));
		settle();
		reco_difference_take(reco_sql_query(&look_up_plan, &argument, NULL, 0), source->name);
	}
	reco_sql_commit();
	return result;
}

/* Write what was found, all at once; false: nothing was. */
bool
reco_mirror_apply(void)
{
	if (reco_difference_count() == 0)
		return false;
	reco_difference_foresee();
	reco_sql_begin();
	reco_difference_write();
	reco_sql_commit();
	reco_foresee_forget();
	return true;
}

/* Compare all of the catalog, or no catalog, with the mirror. */
RecoLook
reco_mirror_look_at_all(void)
{
	RecoLook	result = RECO_LOOK_DONE;

	reco_sql_begin();
	if (reco_source_is_configured())
		result = find_source();
	else
		reco_mirror_forget();
	if (result != RECO_LOOK_LOCKED)
	{
		char	   *query = source ? differences_query(false) : no_catalog_query();

		settle();
		if (SPI_execute(psprintf("DECLARE %s NO SCROLL CURSOR WITH HOLD FOR %s", CURSOR_NAME, query),
						false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not declare cursor \"%s\"", CURSOR_NAME);
	}
	reco_sql_commit();
	return result;
}

/* Write a step of what was found; true: there is more. */
bool
reco_mirror_apply_some(void)
{
	Portal		portal;
	uint64		rows;

	reco_sql_begin();
	portal = SPI_cursor_find(CURSOR_NAME);
	if (portal == NULL)
		elog(ERROR, "cursor \"%s\" does not exist", CURSOR_NAME);
	SPI_cursor_fetch(portal, true, STEP_ROWS);
	rows = SPI_processed;
	reco_difference_take(rows, source ? source->name : "");
	if (rows < STEP_ROWS)
		SPI_cursor_close(portal);
	reco_sql_commit();
	reco_mirror_apply();
	return rows == STEP_ROWS;
}
