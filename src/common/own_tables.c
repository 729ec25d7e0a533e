/*-------------------------------------------------------------------------
 *
 * own_tables.c
 *	  Are the tables of the schema reco as the extension created them?
 *
 * Columns are read and written by position, and a value is assumed to have the
 * type that reco--1.0.sql declares: a text in place of a number would crash the
 * server; and rows that reco's triggers have not seen would not be counted.  So
 * all code that accesses rows calls reco_own_tables_check() after it has locked
 * the table, so that nobody can alter it any more.
 *
 * The result is kept until a relcache invalidation of one of the tables or
 * indexes.  Reads system catalogs only, and locks nothing.  A missing table is
 * reported by whoever opens it.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "common/own_extension.h"
#include "common/own_tables.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define MAX_COLUMNS 15
#define MAX_KEYS 2

typedef struct Column
{
	const char *name;
	Oid			type;
	bool		nullable;
	Oid			collation;		/* InvalidOid: the type's own */
} Column;

typedef struct Table
{
	const char *name;
	bool		partitioned;	/* and may have more columns */
	Column		columns[MAX_COLUMNS];	/* by position, ends with a name of NULL */
	const char *index;			/* NULL: none is used by name */
	AttrNumber	keys[MAX_KEYS]; /* of a unique index */
	int			triggers;		/* number of reco's own, which always fire */
	bool		derived;		/* written when a view takes effect */
} Table;

#define C C_COLLATION_OID

static const Table tables[] = {
	{"state", false, {
			{"clock", TIMESTAMPTZOID}, {"horizon", TIMESTAMPTZOID}, {"generation", INT8OID},
			{"trending_window", INTERVALOID}, {"recent_window", INTERVALOID}, {"retention", INTERVALOID},
			{"trending_size", INT4OID}, {"trending_max", INT4OID}, {"max_user_views", INT4OID},
			{"top_categories", INT4OID}, {"max_recommendations", INT4OID}, {"popularity_at", TIMESTAMPTZOID},
	{"mirror_version", INT8OID}, {"numbers_version", INT8OID}, {"next_number", INT4OID}},
	NULL, {0}, 0, true},
	/* rows that violate a constraint that was dropped are skipped */
	{"activity", true, {
			{"event_type", TEXTOID, true}, {"user_id", INT8OID, true}, {"product_id", TEXTOID, true, C},
	{"query", TEXTOID, true}, {"timestamp", TIMESTAMPTZOID}},
	NULL, {0}, 6},
	{"rejected", false, {
			{"topic", TEXTOID}, {"partition", INT4OID}, {"offset", INT8OID}, {"reason", TEXTOID},
	{"payload", BYTEAOID, true}, {"payload_length", INT8OID, true}, {"rejected_at", TIMESTAMPTZOID}}},
	{"offsets", false, {
			{"topic", TEXTOID}, {"partition", INT4OID}, {"next_offset", INT8OID},
	{"trail", BYTEAOID, true}},
	"offsets_pkey", {1, 2}},
	{"kafka_topic", false, {
	{"topic", TEXTOID}, {"cluster_id", TEXTOID, true}, {"replaying", BOOLOID}}},
	{"product", false, {
	{"product_id", TEXTOID, false, C}, {"category", TEXTOID, true, C}, {"popularity", INT8OID}},
	"product_pkey", {1}, 4},
	{"product_number", false, {
	{"product_id", TEXTOID, false, C}, {"number", INT4OID}},
	"product_number_number_key", {2}, 0, true},
	{"free_number", false, {
	{"number", INT4OID}},
	NULL, {0}, 0, true},
	{"window_counter", false, {
	{"window_start", TIMESTAMPTZOID}, {"bucket", INT4OID}, {"counts", BYTEAOID}},
	"window_counter_pkey", {1, 2}, 0, true},
	{"window_top", false, {
	{"window_start", TIMESTAMPTZOID}, {"numbers", INT4ARRAYOID}, {"view_counts", INT8ARRAYOID}},
	"window_top_pkey", {1}, 0, true},
	{"user_state", false, {
			{"user_id", INT8OID}, {"updated_at", TIMESTAMPTZOID}, {"generation", INT8OID},
	{"sent_at", TIMESTAMPTZOID, true}, {"list", INT4ARRAYOID, true}, {"recent", BYTEAOID}},
	"user_state_pkey", {1}, 0, true},
};

#undef C

/* The tables that were checked, and their indexes. */
static Oid	table_oids[lengthof(tables)];
static Oid	index_oids[lengthof(tables)];
static bool all_valid = false;
static bool any_triggers = false;	/* somebody's, on a derived table */
static bool invalidated = false;	/* since the last check began */
static uint32 invalidations = 0;

static void
own_tables_invalidate(Datum arg, Oid relation)
{
	for (int i = 0; i < lengthof(tables); i++)
	{
		if (relation == InvalidOid || relation == table_oids[i] || relation == index_oids[i])
		{
			all_valid = false;
			invalidated = true;
			invalidations++;
			return;
		}
	}
}

/* Returns what is wrong, palloc'd, or NULL. */
static char *
own_tables_check_column(Oid relation, const Column *column, AttrNumber number)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(number));
	Oid			collation = OidIsValid(column->collation) ? column->collation : get_typcollation(column->type);
	Form_pg_attribute found;
	char	   *problem = NULL;

	if (!HeapTupleIsValid(tuple))
		return psprintf("Column \"%s\" is missing.", column->name);
	found = (Form_pg_attribute) GETSTRUCT(tuple);
	if (found->attisdropped || strcmp(NameStr(found->attname), column->name) != 0)
		problem = psprintf("Column %d is not \"%s\".", number, column->name);
	else if (found->atttypid != column->type || found->atttypmod != -1)
		problem = psprintf("Column \"%s\" is not of type %s.", column->name, format_type_be(column->type));
	else if (found->attcollation != collation)
		problem = psprintf("Column \"%s\" has another collation.", column->name);
	else if (found->attgenerated != '\0')
		problem = psprintf("Column \"%s\" is generated.", column->name);
	else if (!column->nullable && !found->attnotnull)
		problem = psprintf("Column \"%s\" may be null.", column->name);
	ReleaseSysCache(tuple);
	return problem;
}

static char *
own_tables_check_columns(Oid relation, const Table *table, int natts)
{
	int			count = 0;

	while (count < MAX_COLUMNS && table->columns[count].name != NULL)
	{
		char	   *problem = own_tables_check_column(relation, &table->columns[count], count + 1);

		if (problem != NULL)
			return problem;
		count++;
	}
	if (natts > count && !table->partitioned)
		return psprintf("It has %d columns and not %d.", natts, count);
	return NULL;
}

/* Is it one of reco's trigger functions? */
static bool
own_tables_is_trigger(Oid function, Oid schema)
{
	char	   *name;

	if (get_func_namespace(function) != schema)
		return false;
	name = get_func_name(function);
	return strcmp(name, "activity_changed") == 0 || strcmp(name, "activity_rejected") == 0 ||
		strcmp(name, "product_changed") == 0;
}

/* Are all of reco's own triggers ENABLE ALWAYS?  Others are allowed. */
static char *
own_tables_check_triggers(Oid relation, Oid schema, const Table *table)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	int			count = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

		if (table->derived)
			any_triggers = true;
		else if (trigger->tgenabled == TRIGGER_FIRES_ALWAYS && own_tables_is_trigger(trigger->tgfoid, schema))
			count++;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return count == table->triggers ? NULL :
		psprintf("%d of reco's triggers always fire, not %d.", count, table->triggers);
}

/* With rules, children or row security SQL would see other rows than a scan of the heap. */
static char *
own_tables_check_relation(Oid relation, Oid schema, const Table *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class found;
	char	   *problem = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	found = (Form_pg_class) GETSTRUCT(tuple);
	if (found->relkind != (table->partitioned ? RELKIND_PARTITIONED_TABLE : RELKIND_RELATION))
		problem = pstrdup("It has another relation kind.");
	else if (!table->partitioned && found->relpersistence != RELPERSISTENCE_UNLOGGED)
		problem = pstrdup("It is not unlogged: after a crash it would not be empty like the others.");
	else if (!table->partitioned && found->relam != HEAP_TABLE_AM_OID)
		problem = pstrdup("Its access method is not heap.");
	else if (!table->partitioned && (found->relhasrules || found->relrowsecurity))
		problem = pstrdup("It has rules or row security.");
	else if (!table->partitioned && found->relhassubclass && find_inheritance_children(relation, NoLock) != NIL)
		problem = pstrdup("Another table inherits from it.");
	else
		problem = own_tables_check_columns(relation, table, found->relnatts);
	if (problem == NULL && (table->triggers > 0 || (table->derived && found->relhastriggers)))
		problem = own_tables_check_triggers(relation, schema, table);
	ReleaseSysCache(tuple);
	return problem;
}

static bool
own_tables_is_btree(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	bool		is = HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relam == BTREE_AM_OID;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is;
}

/* Does the index use a column's default operator class and collation? */
static bool
own_tables_has_default_order(HeapTuple index, int key, AttrNumber column)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(index);
	bool		null;
	oidvector  *classes = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, index,
																		Anum_pg_index_indclass, &null));
	oidvector  *collations = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, index,
																		   Anum_pg_index_indcollation, &null));
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(form->indrelid, column, &type, &typmod, &collation);
	return classes->values[key] == GetDefaultOpClass(type, BTREE_AM_OID) &&
		collations->values[key] == collation;
}

/* Check the index by which rows are looked up. */
static char *
own_tables_check_index(Oid relation, Oid index, const Table *table)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index found;
	bool		same;

	if (!HeapTupleIsValid(tuple))
		return psprintf("\"%s\" is not an index.", table->index);
	found = (Form_pg_index) GETSTRUCT(tuple);
	same = found->indrelid == relation && found->indisunique && found->indisvalid && found->indisready &&
		found->indimmediate && own_tables_is_btree(index) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) && heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
	for (int i = 0; same && i < MAX_KEYS; i++)
	{
		AttrNumber	key = i < found->indnkeyatts ? found->indkey.values[i] : 0;

		same = key == table->keys[i] && (key == 0 || own_tables_has_default_order(tuple, i, key));
	}
	/* INCLUDE columns do not have the positions that callers assume */
	same = same && found->indnkeyatts <= MAX_KEYS && found->indnatts == found->indnkeyatts;
	ReleaseSysCache(tuple);
	return same ? NULL : psprintf("Index \"%s\" is invalid, or not the one that the extension created.", table->index);
}

/* Check all tables; returns false if some do not exist. */
static bool
own_tables_check_all(Oid schema)
{
	bool		complete = true;

	any_triggers = false;
	for (int i = 0; i < lengthof(tables); i++)
	{
		const Table *table = &tables[i];
		Oid			relation = get_relname_relid(table->name, schema);
		Oid			index = table->index ? get_relname_relid(table->index, schema) : InvalidOid;
		char	   *problem = NULL;

		table_oids[i] = relation;
		index_oids[i] = index;
		if (OidIsValid(relation))
			problem = own_tables_check_relation(relation, schema, table);
		if (problem == NULL && OidIsValid(relation) && OidIsValid(index))
			problem = own_tables_check_index(relation, index, table);
		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table reco.%s has been altered", table->name),
					 errdetail_internal("%s", problem),
					 errhint("Run DROP EXTENSION reco and CREATE EXTENSION reco: the state is computed anew.")));
		complete &= OidIsValid(relation) && (table->index == NULL || OidIsValid(index));
	}
	return complete;
}

/* Watch the tables, owners included; returns how often one of them may have changed. */
uint32
reco_own_tables_watch(void)
{
	static bool registered = false;
	Oid			schema;

	if (registered)
		return invalidations;
	CacheRegisterRelcacheCallback(own_tables_invalidate, (Datum) 0);
	registered = true;
	schema = get_namespace_oid("reco", true);
	for (int i = 0; i < lengthof(tables) && OidIsValid(schema); i++)
		table_oids[i] = get_relname_relid(tables[i].name, schema);
	return invalidations;
}

void
reco_own_tables_check(void)
{
	Oid			schema;

	/* tables of another version would look altered */
	reco_own_extension_check(!all_valid);
	if (all_valid)
		return;
	(void) reco_own_tables_watch();
	schema = get_namespace_oid("reco", true);
	invalidated = false;
	if (OidIsValid(schema) && own_tables_check_all(schema))
		all_valid = !invalidated;
}

/* Do views, when they take effect, fire triggers that somebody has added? */
bool
reco_own_tables_have_triggers(void)
{
	reco_own_tables_check();
	return any_triggers;
}
