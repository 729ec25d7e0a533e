/*-------------------------------------------------------------------------
 *
 * init_privileges.c
 *	  Initial privileges of the extension's members (pg_init_privs).
 *
 * pg_dump leaves the members of an extension to CREATE EXTENSION, and dumps
 * only the privileges that differ from the initial ones.  Core records those
 * while the extension's script runs, and offers recordExtObjInitPriv() for
 * later; this file adds what core does not offer on all versions.
 *
 * All functions run in the caller's transaction and lock nothing but the
 * system catalog.
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

/* Scan the entries of an object and of its columns. */
static SysScanDesc
initprivs_begin_scan(Relation catalog, Oid classid, Oid object)
{
	ScanKeyData key[2];

	ScanKeyInit(&key[0], Anum_pg_init_privs_objoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	ScanKeyInit(&key[1], Anum_pg_init_privs_classoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	return systable_beginscan(catalog, InitPrivsObjIndexId, true, NULL, 2, key);
}

static Acl *
initprivs_entry_acl(Relation catalog, HeapTuple entry)
{
	bool		null;

	return DatumGetAclPCopy(heap_getattr(entry, Anum_pg_init_privs_initprivs,
										 RelationGetDescr(catalog), &null));
}

/* A copy of the ACL in a cached row; NULL if that is NULL. */
static Acl *
initprivs_cached_acl(int cache, HeapTuple tuple, AttrNumber column)
{
	bool		null;
	Datum		acl = SysCacheGetAttr(cache, tuple, column, &null);

	return null ? NULL : DatumGetAclPCopy(acl);
}

/* The current privileges on a relation, or with column > 0 on a column. */
static Acl *
initprivs_current_acl(Oid relation, AttrNumber column)
{
	HeapTuple	tuple;
	Acl		   *acl = NULL;

	if (column == 0)
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	else
		tuple = SearchSysCacheAttNum(relation, column);
	if (!HeapTupleIsValid(tuple))
		return NULL;			/* the column or relation has been dropped */
	if (column == 0)
		acl = initprivs_cached_acl(RELOID, tuple, Anum_pg_class_relacl);
	else
		acl = initprivs_cached_acl(ATTNUM, tuple, Anum_pg_attribute_attacl);
	ReleaseSysCache(tuple);
	return acl;
}

/* The number of a relation's columns, including dropped ones; 0 if it does not exist. */
static int
initprivs_column_count(Oid relation)
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
initprivs_same_acl(const Acl *a, const Acl *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return aclequal(a, b);
}

/* Are the privileges on a relation and its columns the initial ones? */
bool
reco_init_privileges_match(Oid relation)
{
	int			columns = initprivs_column_count(relation);
	Acl		  **initial = palloc0((1 + columns) * sizeof(Acl *));
	Relation	catalog = table_open(InitPrivsRelationId, AccessShareLock);
	SysScanDesc scan = initprivs_begin_scan(catalog, RelationRelationId, relation);
	HeapTuple	entry;
	bool		match = true;

	while ((entry = systable_getnext(scan)) != NULL)
	{
		int			column = ((Form_pg_init_privs) GETSTRUCT(entry))->objsubid;

		if (column <= columns)
			initial[column] = initprivs_entry_acl(catalog, entry);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	for (int i = 0; match && i <= columns; i++)
		match = initprivs_same_acl(initial[i], initprivs_current_acl(relation, i));
	return match;
}

/*
 * Replace a role in an object's initial privileges, as ALTER ... OWNER does in
 * the current ones.
 */
void
reco_init_privileges_replace_role(Oid classid, Oid object, Oid before, Oid after)
{
	Relation	catalog = table_open(InitPrivsRelationId, RowExclusiveLock);
	SysScanDesc scan = initprivs_begin_scan(catalog, classid, object);
	HeapTuple	entry;

	while ((entry = systable_getnext(scan)) != NULL)
	{
		int			column = ((Form_pg_init_privs) GETSTRUCT(entry))->objsubid;
		Acl		   *old = initprivs_entry_acl(catalog, entry);
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
