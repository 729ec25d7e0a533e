/*-------------------------------------------------------------------------
 *
 * source_table.c
 *	  The shop's catalog table: found, judged, and locked without waiting.
 *
 * The table is the shop's: reco reads it with ACCESS SHARE locks only, and
 * takes even these only where they are granted at once, so that it neither
 * waits for an ALTER TABLE nor stands in a queue before the shop's writers.
 * All of it runs in the caller's transaction, without reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/catalog_columns.h"
#include "common/guc.h"
#include "lib/stringinfo.h"
#include "mirror/source_table.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

bool
reco_source_is_configured(void)
{
	return reco_catalog_table != NULL && reco_catalog_table[0] != '\0';
}

/* Find the table by its name; one without a schema is looked for in public. */
static Oid
resolve_table(void)
{
	List	   *names = reco_qualified_name(reco_catalog_table);
	RangeVar   *name = makeRangeVarFromNameList(names);
	Oid			table;

	if (name->schemaname == NULL)
		name->schemaname = "public";
	table = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("catalog table \"%s\" does not exist", reco_catalog_table),
				 errhint("Create it, or set reco.catalog_table to the table that holds the products, with its schema.")));
	return table;
}

static char *
quoted_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}

/* A DELETE must tell which product went: its key must be in the replica identity. */
static void
check_identity(Relation table, AttrNumber key, const char *key_column)
{
	char	   *name = quoted_name(RelationGetRelid(table));
	int			bit = key - FirstLowInvalidHeapAttributeNumber;
	Bitmapset  *identity;
	Bitmapset  *primary;
	char	   *hint;

	if (table->rd_rel->relreplident == REPLICA_IDENTITY_FULL)
		return;
	identity = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_IDENTITY_KEY);
	if (bms_is_member(bit, identity))
		return;

	primary = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	if (primary == NULL)
		hint = psprintf("Run ALTER TABLE %s ADD PRIMARY KEY (%s), or ALTER TABLE %s REPLICA IDENTITY FULL.",
						name, quote_identifier(key_column), name);
	else if (bms_is_member(bit, primary) &&
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

static AttrNumber
check_column(Relation table, const char *column)
{
	AttrNumber	number = get_attnum(RelationGetRelid(table), column);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of catalog table %s does not exist", column,
						quoted_name(RelationGetRelid(table))),
				 errhint("Set reco.catalog_columns, for example to 'product_id=sku, category=path'.")));
	return number;
}

/* Judge one table; what its contents depend on goes to the fingerprint. */
static void
check_table(Relation table, RecoSource *source, StringInfo fingerprint)
{
	char	   *name = quoted_name(RelationGetRelid(table));
	char		kind = table->rd_rel->relkind;
	AttrNumber	key;
	AttrNumber	category;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("catalog %s is not a table", name),
				 errhint("Set reco.catalog_table to an ordinary or partitioned table.")));
	key = check_column(table, source->key_column);
	category = check_column(table, source->category_column);
	if (kind == RELKIND_RELATION)
	{
		if (table->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("catalog table %s is not logged", name),
					 errhint("Run ALTER TABLE %s SET LOGGED.", name)));
		check_identity(table, key, source->key_column);
	}
	appendStringInfo(fingerprint, "%u %u %d %u %d %u\n", RelationGetRelid(table),
					 table->rd_rel->relfilenode,
					 key, TupleDescAttr(RelationGetDescr(table), key - 1)->atttypid,
					 category, TupleDescAttr(RelationGetDescr(table), category - 1)->atttypid);
}

/*
 * May casts of the type be trusted?  Whoever owns a type may define its cast
 * to text and from it, and the function would run with the rights of reco's
 * owner.
 */
static bool
casts_are_trusted(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(getBaseType(type)));
	bool		trusted;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	trusted = superuser_arg(((Form_pg_type) GETSTRUCT(tuple))->typowner);
	ReleaseSysCache(tuple);
	return trusted;
}

/* A column of c as text: by its cast, or by the output function of its type. */
static char *
as_text(const char *column, Oid type)
{
	const char *quoted = quote_identifier(column);

	if (casts_are_trusted(type))
		return psprintf("c.%s::pg_catalog.text", quoted);
	return psprintf("CASE WHEN c.%s IS NOT NULL THEN pg_catalog.format('%%s', c.%s) END",
					quoted, quoted);
}

/*
 * How keys are looked up, so that the shop's own index serves: by the key
 * type's own equality, which search_path cannot change; or, where the type
 * has none, as text.
 */
static void
choose_equality(RecoSource *source, Oid type)
{
	Oid			base = getBaseType(type);
	Oid			equals = lookup_type_cache(base, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple;
	Form_pg_operator operator;

	source->key_sql = psprintf("c.%s", quote_identifier(source->key_column));
	if (!OidIsValid(equals) || !OidIsValid(get_array_type(base)) || !casts_are_trusted(type))
	{
		source->key_sql = source->key_text;
		base = TEXTOID;
		equals = TextEqualOperator;
	}
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(equals));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", equals);
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	source->key_equals = psprintf("OPERATOR(%s.%s)",
								  quote_identifier(get_namespace_name(operator->oprnamespace)),
								  NameStr(operator->oprname));
	ReleaseSysCache(tuple);
	source->key_type = format_type_extended(base, -1,
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* How the columns are read. */
static void
choose_expressions(RecoSource *source, Relation table)
{
	Oid			id = RelationGetRelid(table);
	Oid			key_type = get_atttype(id, check_column(table, source->key_column));
	Oid			category_type = get_atttype(id, check_column(table, source->category_column));

	source->key_text = as_text(source->key_column, key_type);
	source->category_text = as_text(source->category_column, category_type);
	choose_equality(source, key_type);
}

/* Lock the table and what inherits from it; NIL: not granted at once. */
static List *
lock_tree(Oid table)
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

/* Find and judge the table; the result is palloc'd. */
RecoSource *
reco_source_open(void)
{
	RecoSource *source = palloc0(sizeof(RecoSource));
	RecoCatalogColumns columns;
	Oid			table = resolve_table();
	List	   *tree;
	ListCell   *cell;
	StringInfoData fingerprint;

	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the catalog cannot be followed without logical decoding"),
				 errhint("Set wal_level = logical and restart the server.")));
	tree = lock_tree(table);
	if (tree == NIL || resolve_table() != table)
		return NULL;

	source->name = quoted_name(table);
	if (!reco_catalog_columns_parse(reco_catalog_columns, &columns))
		elog(ERROR, "could not parse reco.catalog_columns");	/* its check did */
	source->key_column = columns.product_id;
	source->category_column = columns.category;
	source->tables = palloc(list_length(tree) * sizeof(Oid));
	initStringInfo(&fingerprint);
	foreach(cell, tree)
	{
		Relation	relation = relation_open(lfirst_oid(cell), NoLock);

		check_table(relation, source, &fingerprint);
		if (source->ntables == 0)
			choose_expressions(source, relation);
		relation_close(relation, NoLock);
		source->tables[source->ntables++] = lfirst_oid(cell);
	}
	source->fingerprint = fingerprint.data;
	return source;
}

/* Lock a table that has been found before, for reading. */
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
