/*-------------------------------------------------------------------------
 *
 * assign_role.c
 *	  reco.assign_role(): gives reco's objects to the role of the workers.
 *
 * Changes the owner of all members of the extension (the schema, the tables with
 * their partitions, the views and the functions) to reco.role, or without that
 * setting to the extension's owner.  The function itself and the extension keep
 * their owner, a superuser.  Initial privileges are changed accordingly, so that
 * a dump only has privileges granted since.
 *
 * A superuser is not given objects of another role: its triggers on the tables,
 * or its code in the functions, would run with a superuser's privileges from then
 * on.
 *
 * Locks: reco's lock, and each relation by itself.  The workers exit at commit,
 * and restart as the new role.
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
assign_extension_owner(Oid extension)
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
assign_extension_members(Oid extension)
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

/* The owner of an object by the syscache; InvalidOid if it does not exist. */
static Oid
assign_cached_owner(int cache, Oid object, AttrNumber column)
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
assign_function(Oid function, Oid role)
{
	Relation	catalog = table_open(ProcedureRelationId, RowExclusiveLock);

	reco_alter_owner(catalog, function, role);
	table_close(catalog, RowExclusiveLock);
}

/* Raise an ERROR if a superuser would come to run another role's code. */
static void
assign_require_trusted(const ObjectAddress *member, Oid before, Oid role)
{
	char	   *before_name;

	if (!superuser_arg(role) || superuser_arg(before))
		return;
	before_name = GetUserNameFromId(before, false);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot give reco's objects from role \"%s\" to superuser \"%s\"",
					before_name, GetUserNameFromId(role, false)),
			 errdetail("What role \"%s\" has made of %s would run with a superuser's privileges.",
					   before_name, getObjectDescription(member, false)),
			 errhint("Run DROP EXTENSION reco and CREATE EXTENSION reco: the state is computed anew. Or set reco.role to a role that is not a superuser.")));
}

/* Give an object to the role, with its initial privileges. */
static void
assign_member(const ObjectAddress *member, Oid role)
{
	Oid			id = member->objectId;
	Oid			before;

	switch (member->classId)
	{
		case RelationRelationId:
			LockRelationOid(id, AccessExclusiveLock);
			before = assign_cached_owner(RELOID, id, Anum_pg_class_relowner);
			break;
		case ProcedureRelationId:
			before = assign_cached_owner(PROCOID, id, Anum_pg_proc_proowner);
			break;
		case NamespaceRelationId:
			before = assign_cached_owner(NAMESPACEOID, id, Anum_pg_namespace_nspowner);
			break;
		default:
			return;				/* it has no owner */
	}
	if (!OidIsValid(before) || before == role)
		return;
	assign_require_trusted(member, before, role);
	if (member->classId == RelationRelationId)
		ATExecChangeOwner(id, role, false, AccessExclusiveLock);
	else if (member->classId == ProcedureRelationId)
		assign_function(id, role);
	else
		AlterSchemaOwner_oid(id, role);
	reco_init_privileges_replace_role(member->classId, id, before, role);
}

/* The new owner; InvalidOid: CREATE EXTENSION does not change it. */
static Oid
assign_target(Oid extension)
{
	Oid			role;
	char	   *obstacle;
	char	   *hint;

	if (!reco_role_is_set())
		return assign_extension_owner(extension);
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
 * Take reco's lock, and locks on the tables that others lock before they take
 * reco's, without ever waiting for one of them while holding reco's.
 */
static void
assign_lock_tables(void)
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
	assign_lock_tables();
	members = assign_extension_members(extension);
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
