/*-------------------------------------------------------------------------
 *
 * own_extension.c
 *	  Does the installed extension have the version of this library?
 *
 * It does not after an upgrade of the packages until ALTER EXTENSION UPDATE, nor
 * if that is run before the server is restarted.  Tables and packed columns may
 * then differ from what this library expects: all code that accesses them calls
 * reco_own_extension_check() first, and the workers wait.
 *
 * No invalidation is sent for a row of pg_extension, so the result is kept until
 * a function or one of reco's tables changes, which an update that matters here
 * does; the holder of reco's lock always reads the row.
 *
 * The functions behind reco_status() do not check: they must work with the
 * declarations of older versions as well (docs/development.md).
 *
 * Reads system catalogs only, and locks nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "common/own_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static bool fits = false;
static uint32 changes = 0;		/* of functions */

static void
extension_function_changed(Datum arg, int cache, uint32 hash)
{
	fits = false;
	changes++;
}

/* Compare versions, numbers separated by dots; negative: a is older than b. */
static int
extension_compare_versions(const char *a, const char *b)
{
	for (;;)
	{
		char	   *a_rest;
		char	   *b_rest;
		unsigned long x = strtoul(a, &a_rest, 10);
		unsigned long y = strtoul(b, &b_rest, 10);

		if (x != y)
			return x < y ? -1 : 1;
		if (*a_rest != '.' || *b_rest != '.')
			return strcmp(a_rest, b_rest);
		a = a_rest + 1;
		b = b_rest + 1;
	}
}

/* Fill in what follows from the version. */
static void
extension_judge(RecoOwnExtension *extension)
{
	int			order = extension_compare_versions(extension->version, RECO_VERSION);

	extension->remedy = extension->hint = NULL;
	if (order < 0)
	{
		extension->remedy = "ALTER EXTENSION reco UPDATE";
		extension->hint = "Run ALTER EXTENSION reco UPDATE in this database.";
	}
	else if (order > 0)
	{
		extension->remedy = "a restart of the server";
		extension->hint = "Restart the server: it loads the library that is installed.";
	}
}

bool
reco_own_extension_find(RecoOwnExtension *extension)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("reco"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool		null;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &null);

		extension->oid = form->oid;
		extension->owner = form->extowner;
		text_to_cstring_buffer(DatumGetTextPP(version), extension->version, sizeof(extension->version));
		extension_judge(extension);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

void
reco_own_extension_require(const RecoOwnExtension *extension)
{
	if (extension->remedy != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(RECO_OWN_EXTENSION_MISFIT, extension->version, RECO_VERSION),
				 errhint("%s", extension->hint)));
}

/*
 * ERROR if the version differs; anew: forget the result kept.  A missing
 * extension is reported by whoever looks up its tables.
 */
void
reco_own_extension_check(bool anew)
{
	static bool watching = false;
	RecoOwnExtension extension;
	uint32		seen;

	if (fits && !anew)
		return;
	if (!watching)
		CacheRegisterSyscacheCallback(PROCOID, extension_function_changed, (Datum) 0);
	watching = true;
	fits = false;
	seen = changes;
	if (!reco_own_extension_find(&extension))
		return;
	reco_own_extension_require(&extension);
	fits = seen == changes;
}
