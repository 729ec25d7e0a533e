/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the supported versions of PostgreSQL.
 *
 * The only file that tests PG_VERSION_NUM: the rest of the tree is written
 * against the newest API, which this header emulates on older servers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COMPAT_H
#define RECO_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "reco needs PostgreSQL 15 or later"
#endif

/* Keys and counters are passed as Datums. */
#if SIZEOF_VOID_P < 8
#error "reco needs a 64-bit platform"
#endif

/* 16 moved the macros of variable-length values to a header of their own. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 gives index_beginscan an argument for instrumentation. */
#if PG_VERSION_NUM >= 180000
#define reco_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define reco_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* 17 tells kinds of processes by macros. */
#if PG_VERSION_NUM < 170000
#define AmBackgroundWorkerProcess() IsBackgroundWorker
#endif

/* 17 compares integers in common/int.h. */
#if PG_VERSION_NUM < 170000
static inline int
pg_cmp_s64(int64 a, int64 b)
{
	return (a > b) - (a < b);
}
#endif

/* 17 fills in a JSON lexer in the caller's space; before, it is palloc'd. */
#if PG_VERSION_NUM >= 170000
#define reco_json_lexer(space, json, length) \
	makeJsonLexContextCstringLen(space, json, length, PG_UTF8, false)
#else
#define reco_json_lexer(space, json, length) \
	((void) (space), \
	 makeJsonLexContextCstringLen(unconstify(char *, json), length, PG_UTF8, false))
#endif

/* 17 gives an extension wait events of its own. */
#if PG_VERSION_NUM >= 170000
#define reco_wait_event_new(name) WaitEventExtensionNew(name)
#else
#define reco_wait_event_new(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/* 17 lets slots fail over to a standby, which temporary ones cannot. */
#if PG_VERSION_NUM >= 170000
#define reco_slot_create_temporary(name) \
	ReplicationSlotCreate(name, true, RS_TEMPORARY, false, false, false)
#else
#define reco_slot_create_temporary(name) \
	ReplicationSlotCreate(name, true, RS_TEMPORARY, false)
#endif

/* 17 hands plain tuples to output plugins; before, they are in a buffer. */
#if PG_VERSION_NUM >= 170000
#define reco_decoded_tuple(decoded) (decoded)
#else
#define reco_decoded_tuple(decoded) ((decoded) == NULL ? NULL : &(decoded)->tuple)
#endif

/* 16 calls the name of a relation's file a locator. */
#if PG_VERSION_NUM >= 160000
#define reco_relation_locator(relation) ((relation)->rd_locator)
#else
#define reco_relation_locator(relation) ((relation)->rd_node)
#endif

/* 16 wants the result relations too. */
#if PG_VERSION_NUM >= 160000
#define reco_epq_init(epq, estate) EvalPlanQualInit(epq, estate, NULL, NIL, -1, NIL)
#else
#define reco_epq_init(epq, estate) EvalPlanQualInit(epq, estate, NULL, NIL, -1)
#endif

/* 16 reports which indexes an update must be inserted into; before, whether any. */
#if PG_VERSION_NUM >= 160000
#define RecoUpdateIndexes TU_UpdateIndexes
#define reco_update_needs_index(update) ((update) == TU_All)
#else
#define RecoUpdateIndexes bool
#define reco_update_needs_index(update) (update)
#endif

/* 16 can skip all but summarizing indexes. */
#if PG_VERSION_NUM >= 160000
#define reco_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false)
#else
#define reco_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)
#endif

/* 17 makes the row type of an extension's table, and its array type, members as well. */
#define RECO_TYPES_ARE_MEMBERS (PG_VERSION_NUM >= 170000)

/* 17 can also accept a stronger lock. */
#if PG_VERSION_NUM >= 170000
#define reco_lock_is_held(tag, mode) LockHeldByMe(tag, mode, false)
#else
#define reco_lock_is_held(tag, mode) LockHeldByMe(tag, mode)
#endif

/* 16 has one check of privileges for all kinds of objects. */
#if PG_VERSION_NUM >= 160000
#define reco_database_aclcheck(database, role, mode) \
	object_aclcheck(DatabaseRelationId, database, role, mode)
#define reco_schema_aclcheck(schema, role, mode) \
	object_aclcheck(NamespaceRelationId, schema, role, mode)
#else
#define reco_database_aclcheck(database, role, mode) pg_database_aclcheck(database, role, mode)
#define reco_schema_aclcheck(schema, role, mode) pg_namespace_aclcheck(schema, role, mode)
#endif

/* 17 opens the catalog itself. */
#if PG_VERSION_NUM >= 170000
#define reco_alter_owner(catalog, object, owner) \
	AlterObjectOwner_internal(RelationGetRelid(catalog), object, owner)
#else
#define reco_alter_owner(catalog, object, owner) AlterObjectOwner_internal(catalog, object, owner)
#endif

/* 17 records dependencies on the roles that initial privileges mention. */
#if PG_VERSION_NUM >= 170000
#define reco_init_acl_changed(classid, object, column, old, new) \
	do { \
		Oid		   *old_members; \
		Oid		   *new_members; \
		int			nold = aclmembers(old, &old_members); \
		int			nnew = aclmembers(new, &new_members); \
		updateInitAclDependencies(classid, object, column, nold, old_members, nnew, new_members); \
	} while (0)
#else
#define reco_init_acl_changed(classid, object, column, old, new) ((void) (column))
#endif

/* 18 has generated columns that are not stored. */
#if PG_VERSION_NUM < 180000
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* 18 puts it before the declaration. */
#ifndef pg_noreturn
#define pg_noreturn __attribute__((noreturn))
#endif

/* 16 can report errors softly. */
#if PG_VERSION_NUM >= 160000
#define reco_qualified_name(name) stringToQualifiedNameList(name, NULL)
#else
#define reco_qualified_name(name) stringToQualifiedNameList(name)
#endif

/* Before 16 a short read is no error. */
#if PG_VERSION_NUM >= 160000
#define reco_buffile_read(file, bytes, n) BufFileReadExact(file, bytes, n)
#else
#define reco_buffile_read(file, bytes, n) \
	do { \
		if (BufFileRead(file, bytes, n) != (n)) \
			ereport(ERROR, \
					(errcode_for_file_access(), \
					 errmsg("could not read from temporary file: %m"))); \
	} while (0)
#endif

#endif							/* RECO_COMPAT_H */
