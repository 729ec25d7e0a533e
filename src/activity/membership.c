/*-------------------------------------------------------------------------
 *
 * membership.c
 *	  Partitions of reco.activity as members of the extension.
 *
 * Members are left out of dumps.  ALTER EXTENSION requires the extension's
 * owner, a superuser, which reco's workers need not be.  So the dependency is
 * recorded here, without a command that event triggers would see.
 *
 * pg_dump still dumps a member's privileges if they differ from the initial
 * ones, and since partitions change by the day, such a dump could not be
 * restored on another day.  Nobody needs a privilege on a partition, because
 * those on reco.activity count; but GRANT ... ON ALL TABLES IN SCHEMA grants
 * them.  So whatever the privileges on a partition are is recorded as
 * initial: when it is made, and at the end of each command that may have
 * changed them.
 *
 * Both run in the caller's transaction.  Locks: the extension's object, so
 * that DROP EXTENSION waits; after a GRANT that concerns partitions, those.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/relation.h"
#include "access/xact.h"
#include "activity/membership.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/init_privileges.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static ProcessUtility_hook_type next_utility = NULL;

/* Lock the extension, so that it is not dropped before the end of the transaction. */
static ObjectAddress
membership_locked_extension(void)
{
	ObjectAddress extension;
	Oid			oid = get_extension_oid("reco", false);

	LockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
	if (get_extension_oid("reco", true) != oid)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"reco\" was dropped concurrently")));
	ObjectAddressSet(extension, ExtensionRelationId, oid);
	return extension;
}

/* Record the privileges on a partition as initial. */
static void
membership_record_privileges(Oid partition)
{
	removeExtObjInitPriv(partition, RelationRelationId);
	recordExtObjInitPriv(partition, RelationRelationId);
}

#define MEMBERS 3

/*
 * The objects of a partition that are members: its table, and its types where
 * the server makes those members.
 */
static int
membership_of_partition(Oid partition, ObjectAddress *members)
{
	Oid			type = get_rel_type_id(partition);

	ObjectAddressSet(members[0], RelationRelationId, partition);
	if (!RECO_TYPES_ARE_MEMBERS)
		return 1;
	ObjectAddressSet(members[1], TypeRelationId, type);
	ObjectAddressSet(members[2], TypeRelationId, get_array_type(type));
	return MEMBERS;
}

/* Make a new partition a member. */
void
reco_membership_begin(Oid partition)
{
	if (!creating_extension)	/* otherwise CREATE TABLE has done it */
	{
		ObjectAddress extension = membership_locked_extension();
		ObjectAddress members[MEMBERS];
		int			count = membership_of_partition(partition, members);

		for (int i = 0; i < count; i++)
			recordDependencyOn(&members[i], &extension, DEPENDENCY_EXTENSION);
		CommandCounterIncrement();
	}
	membership_record_privileges(partition);
}

/* Remove the membership of a partition that is about to be dropped. */
void
reco_membership_end(Oid partition)
{
	ObjectAddress members[MEMBERS];
	int			count = membership_of_partition(partition, members);

	(void) membership_locked_extension();
	for (int i = 0; i < count; i++)
		(void) deleteDependencyRecordsForClass(members[i].classId, members[i].objectId,
											   ExtensionRelationId, DEPENDENCY_EXTENSION);
	CommandCounterIncrement();
}

/* The OID of reco.activity; InvalidOid in a database without it. */
static Oid
membership_activity_table(void)
{
	Oid			schema = InvalidOid;

	if (OidIsValid(get_extension_oid("reco", true)))
		schema = get_namespace_oid("reco", true);
	return OidIsValid(schema) ? get_relname_relid("activity", schema) : InvalidOid;
}

/* Record privileges on partitions that have changed. */
static void
membership_record_changed(void)
{
	Oid			activity = membership_activity_table();
	Oid			extension = get_extension_oid("reco", true);
	List	   *partitions;
	ListCell   *cell;

	if (!OidIsValid(activity))
		return;
	CommandCounterIncrement();
	partitions = find_inheritance_children(activity, NoLock);
	foreach(cell, partitions)
	{
		Oid			oid = lfirst_oid(cell);
		Relation	partition;

		if (reco_init_privileges_match(oid) ||
			getExtensionOfObject(RelationRelationId, oid) != extension)
			continue;
		partition = try_relation_open(oid, AccessShareLock);
		if (partition == NULL)
			continue;			/* dropped concurrently */
		membership_record_privileges(oid);
		relation_close(partition, NoLock);
	}
}

/* Does an ALTER TABLE change the owner, and so the privileges? */
static bool
membership_changes_owner(AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		if (lfirst_node(AlterTableCmd, cell)->subtype == AT_ChangeOwner)
			return true;
	}
	return false;
}

/* Can a command change privileges on a table? */
static bool
membership_changes_privileges(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_GrantStmt:
			return ((GrantStmt *) statement)->objtype == OBJECT_TABLE;
		case T_AlterTableStmt:
			return membership_changes_owner((AlterTableStmt *) statement);
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
			return true;
		default:
			return false;
	}
}

static void
membership_process_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
						   ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
						   DestReceiver *destination, QueryCompletion *completion)
{
	/* the command may free its parse tree */
	bool		concerned = membership_changes_privileges(planned->utilityStmt);

	if (next_utility)
		next_utility(planned, query, read_only_tree, context, params, environment,
					 destination, completion);
	else
		standard_ProcessUtility(planned, query, read_only_tree, context, params, environment,
								destination, completion);
	if (concerned && !creating_extension && IsTransactionState())
		membership_record_changed();
}

/* Called once, from _PG_init. */
void
reco_membership_init(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = membership_process_utility;
}
