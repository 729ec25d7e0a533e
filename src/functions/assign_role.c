/*-------------------------------------------------------------------------
 *
 * assign_role.c
 *	  reco.assign_role(): reco's objects are given to the role of the workers.
 *
 * All members of the extension go to the role that reco.role names: the schema,
 * the tables with their partitions, the views and the functions.  The function
 * itself and the extension stay a superuser's.  Without the setting they go
 * to the extension's owner.  Initial privileges go along, so that a dump holds
 * what was granted since and nothing else.
 *
 * A superuser is given nothing that belonged to another role: whatever that
 * one has put on the tables, or written into the functions, would run with a
 * superuser's rights from then on.
 *
 * Locks: reco's lock and each relation for itself.  The workers leave at the
 * commit and come back as the role of the moment.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/objectaddress.h"
#include "commands/alter.h"
#include "commands/extension.h"
#include "commands/schemacmds.h"
#include "commands/tablecmds.h"
#include "common/guc.h"
#include "common/init_privileges.h"
#include "common/spi.h"
#include "engine/write.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "worker/launcher.h"
#include "worker/role.h"

/* The owner of the extension. */
static Oid
extension_owner(Oid extension)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	Oid			owner = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return owner;
}

/* The members of the extension, as ObjectAddress. */
static List *
extension_members(Oid extension)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	List	   *members = NIL;
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2, key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *member;

		if (depend->deptype != DEPENDENCY_EXTENSION)
			continue;
		member = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*member, depend->classid, depend->objid);
		members = lappend(members, member);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return members;
}

/* An owner as a cached row has it; InvalidOid where there is no such object. */
static Oid
cached_owner(int cache, Oid object, AttrNumber column)
{
	HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
	Oid			owner;
	bool		null;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = DatumGetObjectId(SysCacheGetAttr(cache, tuple, column, &null));
	ReleaseSysCache(tuple);
	return owner;
}

static void
change_owner_of_function(Oid function, Oid role)
{
	Relation	catalog = table_open(ProcedureRelationId, RowExclusiveLock);

	reco_alter_owner(catalog, function, role);
	table_close(catalog, RowExclusiveLock);
}

/* A superuser must not come to run what another role has written. */
static void
require_trusted(const ObjectAddress *member, Oid before, Oid role)
{
	char	   *before_name;

	if (!superuser_arg(role) || superuser_arg(before))
		return;
	before_name = GetUserNameFromId(before, false);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot give reco's objects from role \"%s\" to superuser \"%s\"",
					before_name, GetUserNameFromId(role, false)),
			 errdetail("What role \"%s\" has made of %s would run with a superuser's rights.",
					   before_name, getObjectDescription(member, false)),
			 errhint("Run DROP EXTENSION reco and CREATE EXTENSION reco: the state is computed anew. Or set reco.role to a role that is not a superuser.")));
}

/* Give one object to the role, with its initial privileges. */
static void
assign_member(const ObjectAddress *member, Oid role)
{
	Oid			id = member->objectId;
	Oid			before;

	switch (member->classId)
	{
		case RelationRelationId:
			LockRelationOid(id, AccessExclusiveLock);
			before = cached_owner(RELOID, id, Anum_pg_class_relowner);
			break;
		case ProcedureRelationId:
			before = cached_owner(PROCOID, id, Anum_pg_proc_proowner);
			break;
		case NamespaceRelationId:
			before = cached_owner(NAMESPACEOID, id, Anum_pg_namespace_nspowner);
			break;
		default:
			return;				/* it has no owner */
	}
	if (!OidIsValid(before) || before == role)
		return;
	require_trusted(member, before, role);
	if (member->classId == RelationRelationId)
		ATExecChangeOwner(id, role, false, AccessExclusiveLock);
	else if (member->classId == ProcedureRelationId)
		change_owner_of_function(id, role);
	else
		AlterSchemaOwner_oid(id, role);
	reco_init_privileges_replace_role(member->classId, id, before, role);
}

/* Whom the objects are given to; InvalidOid: CREATE EXTENSION leaves them as they are. */
static Oid
assign_target(Oid extension)
{
	Oid			role;
	char	   *obstacle;
	char	   *hint;

	if (!reco_role_is_set())
		return extension_owner(extension);
	role = get_role_oid(reco_role, true);
	obstacle = reco_role_obstacle(role, InvalidOid, &hint);
	if (obstacle != NULL)
		ereport(OidIsValid(role) || creating_extension ? WARNING : ERROR,
				(errcode(OidIsValid(role) ? ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION : ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s", obstacle),
				 errdetail("It is the role that reco.role names."),
				 errhint("%s", hint)));
	return role;
}

/*
 * Take reco's lock and, for itself, the tables that others hold while they ask
 * for it; so none of them is waited for with the lock held.
 */
static void
lock_tables(void)
{
	for (;;)
	{
		Oid			tables[2];
		int			locked = 0;

		reco_write_lock(NoLock);
		tables[0] = reco_sql_table("product");
		tables[1] = reco_sql_table("activity");
		while (locked < lengthof(tables) &&
			   ConditionalLockRelationOid(tables[locked], AccessExclusiveLock))
			locked++;
		if (locked == lengthof(tables))
			return;
		reco_write_unlock();
		for (int i = 0; i < locked; i++)
			UnlockRelationOid(tables[i], AccessExclusiveLock);
		LockRelationOid(tables[locked], AccessExclusiveLock);
		UnlockRelationOid(tables[locked], AccessExclusiveLock);
	}
}

PG_FUNCTION_INFO_V1(reco_assign_role);

/* reco.assign_role(): to the role that reco.role names; without one, to the extension's owner. */
Datum
reco_assign_role(PG_FUNCTION_ARGS)
{
	Oid			extension = get_extension_oid("reco", false);
	Oid			role;
	List	   *members;
	ListCell   *cell;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to assign a role to reco")));
	role = assign_target(extension);
	if (!OidIsValid(role))
		PG_RETURN_VOID();
	lock_tables();
	members = extension_members(extension);
	foreach(cell, members)
	{
		ObjectAddress *member = lfirst(cell);

		if (member->objectId != fcinfo->flinfo->fn_oid)
			assign_member(member, role);
		CHECK_FOR_INTERRUPTS();
	}
	reco_launcher_announce();
	PG_RETURN_VOID();
}
