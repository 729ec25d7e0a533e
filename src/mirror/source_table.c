/*-------------------------------------------------------------------------
 *
 * source_table.c
 *	  The shop's catalog table: looked up, checked, and locked without waiting.
 *
 * The table belongs to the shop: reco only takes ACCESS SHARE locks, and only if
 * they are granted at once, so that it neither waits for an ALTER TABLE nor
 * queues ahead of the shop's writers.  All functions run in the caller's
 * transaction, without reco's lock.
 *
 * The table's owner may be anybody, and is not trusted: none of his expressions
 * is evaluated.  So no partition key or bound, index expression or predicate,
 * constraint or policy is used, nor any relcache function that plans one; all
 * that is needed is in columns of the system catalogs.  For the same reason
 * privileges are checked here, not by the executor.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "common/catalog_columns.h"
#include "common/guc.h"
#include "mirror/source_table.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/relcache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

bool
reco_source_is_configured(void)
{
	return reco_catalog_table != NULL && reco_catalog_table[0] != '\0';
}

/* Raise an ERROR if reco's role may not use the catalog's schema. */
static void
source_check_schema(const char *name)
{
	Oid			schema = get_namespace_oid(name, true);

	if (!OidIsValid(schema) ||
		reco_schema_aclcheck(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for schema %s of the catalog", quote_identifier(name)),
			 errhint("Run GRANT USAGE ON SCHEMA %s TO %s.", quote_identifier(name),
					 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

/* Look up the table by name; without a schema, in public. */
static Oid
source_resolve(LOCKMODE lock)
{
	List	   *names = reco_qualified_name(reco_catalog_table);
	RangeVar   *name = makeRangeVarFromNameList(names);
	Oid			table;

	if (name->schemaname == NULL)
		name->schemaname = "public";
	source_check_schema(name->schemaname);
	table = RangeVarGetRelid(name, lock, true);
	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("catalog table \"%s\" does not exist", reco_catalog_table),
				 errhint("Create it, or set reco.catalog_table to the table that holds the products, with its schema.")));
	return table;
}

static char *
source_quoted_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}

/* Is a column in an index's key?  Expressions are not considered. */
static bool
source_index_has_column(Oid index, AttrNumber column)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		found = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		for (int i = 0; i < form->indnkeyatts; i++)
			found = found || form->indkey.values[i] == column;
		ReleaseSysCache(tuple);
	}
	return found;
}

bool
reco_source_identifies(Relation table, AttrNumber column)
{
	if (table->rd_rel->relreplident == REPLICA_IDENTITY_FULL)
		return true;
	return source_index_has_column(RelationGetReplicaIndex(table), column);
}

/* The key must be in the replica identity, so that a DELETE reveals the product. */
static void
source_check_identity(Relation table, AttrNumber key, const char *key_column)
{
	char	   *name = source_quoted_name(RelationGetRelid(table));
	Oid			primary;
	char	   *hint;

	if (reco_source_identifies(table, key))
		return;
	primary = table->rd_pkindex;	/* set together with the replica identity */
	if (!OidIsValid(primary))
		hint = psprintf("Run ALTER TABLE %s ADD PRIMARY KEY (%s), or ALTER TABLE %s REPLICA IDENTITY FULL.",
						name, quote_identifier(key_column), name);
	else if (source_index_has_column(primary, key) &&
			 table->rd_rel->relreplident != REPLICA_IDENTITY_DEFAULT)
		hint = psprintf("Run ALTER TABLE %s REPLICA IDENTITY DEFAULT.", name);
	else
		hint = psprintf("Run ALTER TABLE %s REPLICA IDENTITY FULL.", name);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" is not in the replica identity of catalog table %s",
					key_column, name),
			 errhint("%s", hint)));
}

/* Look up a column, which must exist and be stored. */
static AttrNumber
source_check_column(Relation table, const char *column)
{
	char	   *name = source_quoted_name(RelationGetRelid(table));
	AttrNumber	number = get_attnum(RelationGetRelid(table), column);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of catalog table %s does not exist", column, name),
				 errhint("Set reco.catalog_columns, for example to 'product_id=sku, category=path'.")));
	if (TupleDescAttr(RelationGetDescr(table), number - 1)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of catalog table %s is a virtual generated column",
						column, name),
				 errhint("Make it a stored one (STORED), whose values are in the table.")));
	return number;
}

/* Check that reco's role may read the columns, and that no policies apply to it. */
static void
source_check_privileges(Relation table, AttrNumber key, AttrNumber category, const RecoSource *source)
{
	Oid			id = RelationGetRelid(table);
	Oid			role = GetUserId();
	char	   *role_name = pstrdup(quote_identifier(GetUserNameFromId(role, false)));

	if (pg_class_aclcheck(id, role, ACL_SELECT) != ACLCHECK_OK &&
		(pg_attribute_aclcheck(id, key, role, ACL_SELECT) != ACLCHECK_OK ||
		 pg_attribute_aclcheck(id, category, role, ACL_SELECT) != ACLCHECK_OK))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for catalog table %s", source->name),
				 errhint("Run GRANT SELECT (%s, %s) ON %s TO %s.",
						 pstrdup(quote_identifier(source->key_column)),
						 pstrdup(quote_identifier(source->category_column)),
						 source->name, role_name)));
	if (check_enable_rls(id, role, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of catalog table %s applies to role %s",
						source->name, role_name),
				 errdetail("Policies are expressions of the table's owner, which reco does not evaluate."),
				 errhint("Run ALTER ROLE %s BYPASSRLS.", role_name)));
}

/* Does an operator class of btree use trusted functions only? */
static bool
source_opclass_is_trusted(Oid class)
{
	Oid			family = get_opclass_family(class);
	Oid			type = get_opclass_input_type(class);
	Oid			equality = get_opfamily_member(family, type, type, BTEqualStrategyNumber);
	CatCList   *procs;
	bool		trusted = true;

	if (!OidIsValid(equality) || !reco_function_is_trusted(get_opcode(equality)))
		return false;
	procs = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
	for (int i = 0; i < procs->n_members && trusted; i++)
	{
		Form_pg_amproc support = (Form_pg_amproc) GETSTRUCT(&procs->members[i]->tuple);

		trusted = reco_function_is_trusted(support->amproc);
	}
	ReleaseSysCacheList(procs);
	return trusted;
}

/* Is it a type whose comparison does not depend on other types? */
static bool
source_type_is_plain(Oid type)
{
	char		kind = get_typtype(getBaseType(type));

	return kind == TYPTYPE_ENUM ||
		(kind == TYPTYPE_BASE && !OidIsValid(get_element_type(getBaseType(type))));
}

static bool
source_index_is_btree(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	bool		is_btree = HeapTupleIsValid(tuple) &&
		((Form_pg_class) GETSTRUCT(tuple))->relam == BTREE_AM_OID;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is_btree;
}

/*
 * Can keys be looked up by this index?  It must be a btree whose first column is
 * the key, over all rows, and opening and searching it must only call functions
 * that superusers own.
 */
static bool
source_index_is_usable(Oid index, AttrNumber key)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	oidvector  *classes;
	bool		isnull;
	bool		serves;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	classes = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple,
															Anum_pg_index_indclass, &isnull));
	serves = form->indisvalid && form->indkey.values[0] == key &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		source_index_is_btree(index);
	for (int i = 0; serves && i < form->indnkeyatts; i++)
		serves = source_opclass_is_trusted(classes->values[i]);
	ReleaseSysCache(tuple);
	return serves;
}

/* Choose an index by which keys can be looked up; InvalidOid: none. */
static Oid
source_choose_index(Relation table, AttrNumber key)
{
	List	   *indexes;
	ListCell   *cell;

	if (!source_type_is_plain(TupleDescAttr(RelationGetDescr(table), key - 1)->atttypid))
		return InvalidOid;
	indexes = RelationGetIndexList(table);
	foreach(cell, indexes)
	{
		if (source_index_is_usable(lfirst_oid(cell), key))
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/* Check one table, and append what its contents depend on to the description. */
static void
source_check_table(Relation table, RecoSource *source, StringInfo description)
{
	char	   *name = source_quoted_name(RelationGetRelid(table));
	char		kind = table->rd_rel->relkind;
	RecoSourceLeaf leaf = {.table = RelationGetRelid(table)};

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("catalog %s is not a table", name),
				 errhint("Set reco.catalog_table to an ordinary or partitioned table.")));
	leaf.key = source_check_column(table, source->key_column);
	leaf.category = source_check_column(table, source->category_column);
	if (source->ntables == 0)
	{
		source_check_privileges(table, leaf.key, leaf.category, source);
		source->key_type = TupleDescAttr(RelationGetDescr(table), leaf.key - 1)->atttypid;
		source->category_type = TupleDescAttr(RelationGetDescr(table), leaf.category - 1)->atttypid;
	}
	source->tables[source->ntables++] = leaf.table;
	if (kind == RELKIND_RELATION)
	{
		if (table->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("catalog table %s is not logged", name),
					 errhint("Run ALTER TABLE %s SET LOGGED.", name)));
		source_check_identity(table, leaf.key, source->key_column);
		leaf.index = source_choose_index(table, leaf.key);
		source->leaves[source->nleaves++] = leaf;
	}
	appendStringInfo(description, "%u %u %d %d %u\n", leaf.table, table->rd_rel->relfilenode,
					 leaf.key, leaf.category, leaf.index);
}

/* Set up the columns' text output, and append what it depends on to the description. */
static void
source_describe_types(RecoSource *source, StringInfo description)
{
	RecoTypeUse use = {0};
	ListCell   *cell;

	initStringInfo(&use.description);
	get_typlenbyval(source->key_type, &source->key_length, &source->key_by_value);
	reco_text_output_init(&source->key_text, source->key_type);
	reco_text_output_init(&source->category_text, source->category_type);
	reco_type_describe(&use, source->key_type);
	reco_type_describe(&use, source->category_type);
	appendStringInfoString(description, use.description.data);
	source->relations = use.relations;
	foreach(cell, use.functions)
		source->functions = lappend_oid(source->functions,
										GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(lfirst_oid(cell))));
}

/* Lock the table and its descendants; NIL if not granted at once. */
static List *
source_lock_tree(Oid table)
{
	List	   *tree;
	ListCell   *cell;

	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return NIL;
	tree = find_all_inheritors(table, NoLock, NULL);
	foreach(cell, tree)
	{
		if (!ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock))
			return NIL;
	}
	return tree;
}

/*
 * Look up and check the table; the result is palloc'd.  Its name must resolve to
 * the same table before and after it is locked, in case of a concurrent rename.
 */
RecoSource *
reco_source_open(bool wait)
{
	RecoSource *source = palloc0(sizeof(RecoSource));
	RecoCatalogColumns columns;
	Oid			table = source_resolve(wait ? AccessShareLock : NoLock);
	List	   *tree;
	ListCell   *cell;
	StringInfoData fingerprint;

	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the catalog cannot be followed without logical decoding"),
				 errhint("Set wal_level = logical and restart the server.")));
	tree = wait ? find_all_inheritors(table, AccessShareLock, NULL) : source_lock_tree(table);
	if (tree == NIL || source_resolve(NoLock) != table)
		return NULL;

	source->name = source_quoted_name(table);
	if (!reco_catalog_columns_parse(reco_catalog_columns, &columns))
		elog(ERROR, "could not parse reco.catalog_columns");	/* its check did */
	source->key_column = columns.product_id;
	source->category_column = columns.category;
	source->tables = palloc(list_length(tree) * sizeof(Oid));
	source->leaves = palloc(list_length(tree) * sizeof(RecoSourceLeaf));
	initStringInfo(&fingerprint);
	foreach(cell, tree)
	{
		Relation	relation = try_relation_open(lfirst_oid(cell), NoLock);

		if (relation == NULL)
			return NULL;		/* detached and dropped since it was listed */

		/* as with SELECT, ignore temporary tables of other sessions */
		if (!RELATION_IS_OTHER_TEMP(relation))
			source_check_table(relation, source, &fingerprint);
		relation_close(relation, NoLock);
	}
	source_describe_types(source, &fingerprint);
	source->fingerprint = fingerprint.data;
	return source;
}

/* Lock a table that was looked up before. */
bool
reco_source_lock(const RecoSource *source)
{
	for (int i = 0; i < source->ntables; i++)
	{
		if (!ConditionalLockRelationOid(source->tables[i], AccessShareLock))
			return false;
	}
	return true;
}

bool
reco_source_uses_relation(const RecoSource *source, Oid relation)
{
	for (int i = 0; i < source->ntables; i++)
	{
		if (source->tables[i] == relation)
			return true;
	}
	return list_member_oid(source->relations, relation);
}

bool
reco_source_uses_function(const RecoSource *source, uint32 hash)
{
	return list_member_oid(source->functions, hash);
}
