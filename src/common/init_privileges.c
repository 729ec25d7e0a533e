/*-------------------------------------------------------------------------
 *
 * init_privileges.c
 *	  The privileges that members of the extension came with (pg_init_privs).
 *
 * pg_dump leaves the members of an extension to CREATE EXTENSION, and writes
 * only the privileges that differ from the initial ones.  Core records those
 * while the extension's script runs, and offers recordExtObjInitPriv() for
 * later; here is what it does not offer on all versions.
 *
 * All run in the caller's transaction, and take no lock but the catalog's.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_init_privs.h"
#include "common/init_privileges.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* All entries of an object: of itself and of its columns. */
static SysScanDesc
entries_begin(Relation catalog, Oid classid, Oid object)
{
	ScanKeyData key[2];

	ScanKeyInit(&key[0], Anum_pg_init_privs_objoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	ScanKeyInit(&key[1], Anum_pg_init_privs_classoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	return systable_beginscan(catalog, InitPrivsObjIndexId, true, NULL, 2, key);
}

static Acl *
entry_acl(Relation catalog, HeapTuple entry)
{
	bool		null;

	return DatumGetAclPCopy(heap_getattr(entry, Anum_pg_init_privs_initprivs,
										 RelationGetDescr(catalog), &null));
}

/* A copy of what a cached row holds, NULL where that is NULL. */
static Acl *
cached_acl(int cache, HeapTuple tuple, AttrNumber column)
{
	bool		null;
	Datum		acl = SysCacheGetAttr(cache, tuple, column, &null);

	return null ? NULL : DatumGetAclPCopy(acl);
}

/* The privileges on a relation now, or with column > 0 on a column. */
static Acl *
current_acl(Oid relation, AttrNumber column)
{
	HeapTuple	tuple;
	Acl		   *acl = NULL;

	if (column == 0)
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	else
		tuple = SearchSysCacheAttNum(relation, column);
	if (!HeapTupleIsValid(tuple))
		return NULL;			/* a dropped column, or a relation that is gone */
	if (column == 0)
		acl = cached_acl(RELOID, tuple, Anum_pg_class_relacl);
	else
		acl = cached_acl(ATTNUM, tuple, Anum_pg_attribute_attacl);
	ReleaseSysCache(tuple);
	return acl;
}

/* Columns of a relation, dropped ones included; 0 where it is gone. */
static int
column_count(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	int			count;

	if (!HeapTupleIsValid(tuple))
		return 0;
	count = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return count;
}

static bool
same_acl(const Acl *a, const Acl *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return aclequal(a, b);
}

/* Are the privileges on a relation and its columns the initial ones? */
bool
reco_init_privileges_match(Oid relation)
{
	int			columns = column_count(relation);
	Acl		  **initial = palloc0((1 + columns) * sizeof(Acl *));
	Relation	catalog = table_open(InitPrivsRelationId, AccessShareLock);
	SysScanDesc scan = entries_begin(catalog, RelationRelationId, relation);
	HeapTuple	entry;
	bool		match = true;

	while ((entry = systable_getnext(scan)) != NULL)
	{
		int			column = ((Form_pg_init_privs) GETSTRUCT(entry))->objsubid;

		if (column <= columns)
			initial[column] = entry_acl(catalog, entry);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	for (int i = 0; match && i <= columns; i++)
		match = same_acl(initial[i], current_acl(relation, i));
	return match;
}

/*
 * Put another role in the place of one in an object's initial privileges, as
 * ALTER ... OWNER does in the present ones.
 */
void
reco_init_privileges_replace_role(Oid classid, Oid object, Oid before, Oid after)
{
	Relation	catalog = table_open(InitPrivsRelationId, RowExclusiveLock);
	SysScanDesc scan = entries_begin(catalog, classid, object);
	HeapTuple	entry;

	while ((entry = systable_getnext(scan)) != NULL)
	{
		int			column = ((Form_pg_init_privs) GETSTRUCT(entry))->objsubid;
		Acl		   *old = entry_acl(catalog, entry);
		Acl		   *new = aclnewowner(old, before, after);
		Datum		values[Natts_pg_init_privs] = {0};
		bool		nulls[Natts_pg_init_privs] = {0};
		bool		replaced[Natts_pg_init_privs] = {0};
		HeapTuple	changed;

		values[Anum_pg_init_privs_initprivs - 1] = PointerGetDatum(new);
		replaced[Anum_pg_init_privs_initprivs - 1] = true;
		changed = heap_modify_tuple(entry, RelationGetDescr(catalog), values, nulls, replaced);
		CatalogTupleUpdate(catalog, &changed->t_self, changed);
		reco_init_acl_changed(classid, object, column, old, new);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}
