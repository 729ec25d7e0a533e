/*-------------------------------------------------------------------------
 *
 * own_tables.c
 *	  Are the tables of the schema reco as the extension made them?
 *
 * Their rows are read and written by position, and a column's value is taken
 * to be of the type that reco--1.0.sql gives it: a text where a number is
 * expected would crash the server; and rows that reco's triggers have not seen
 * would not be counted.  So whatever uses rows of theirs calls
 * reco_own_tables_check() with the table locked, after which nobody alters it.
 *
 * The answer is kept until the relation cache says that one of the tables or
 * indexes has changed.  Reads system catalogs only, and locks nothing.  A table
 * that is missing is a matter of who looks for it.
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
	int			triggers;		/* of reco's own that always fire */
} Table;

#define C C_COLLATION_OID

static const Table tables[] = {
	{"state", false, {
			{"clock", TIMESTAMPTZOID}, {"horizon", TIMESTAMPTZOID}, {"generation", INT8OID},
			{"trending_window", INTERVALOID}, {"recent_window", INTERVALOID}, {"retention", INTERVALOID},
			{"trending_size", INT4OID}, {"trending_max", INT4OID}, {"max_user_views", INT4OID},
			{"top_categories", INT4OID}, {"max_recommendations", INT4OID}, {"popularity_at", TIMESTAMPTZOID},
	{"mirror_version", INT8OID}, {"numbers_version", INT8OID}, {"next_number", INT4OID}}},
	/* a row that lacks what its constraints ask for is passed over */
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
	"product_number_number_key", {2}},
	{"free_number", false, {
	{"number", INT4OID}}},
	{"mirror_change", false, {
	{"version", INT8OID}, {"number", INT4OID}}},
	{"product_order", false, {
	{"version", INT8OID}, {"numbers", INT4ARRAYOID}, {"popularity", INT8ARRAYOID}}},
	{"window_counter", false, {
	{"window_start", TIMESTAMPTZOID}, {"bucket", INT4OID}, {"counts", BYTEAOID}},
	"window_counter_pkey", {1, 2}},
	{"window_top", false, {
	{"window_start", TIMESTAMPTZOID}, {"numbers", INT4ARRAYOID}, {"view_counts", INT8ARRAYOID}},
	"window_top_pkey", {1}},
	{"user_state", false, {
			{"user_id", INT8OID}, {"updated_at", TIMESTAMPTZOID}, {"generation", INT8OID},
	{"sent_at", TIMESTAMPTZOID, true}, {"list", INT4ARRAYOID, true}, {"recent", BYTEAOID}},
	"user_state_pkey", {1}},
};

#undef C

/* Of the tables that were found right, and their indexes. */
static Oid	table_oids[lengthof(tables)];
static Oid	index_oids[lengthof(tables)];
static bool checked = false;
static bool changed = false;	/* since the last look began */
static uint32 changes = 0;

static void
forget_check(Datum arg, Oid relation)
{
	for (int i = 0; i < lengthof(tables); i++)
	{
		if (relation == InvalidOid || relation == table_oids[i] || relation == index_oids[i])
		{
			checked = false;
			changed = true;
			changes++;
			return;
		}
	}
}

/* What is wrong, palloc'd; NULL: nothing. */
static char *
check_column(Oid relation, const Column *column, AttrNumber number)
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
check_columns(Oid relation, const Table *table, int natts)
{
	int			count = 0;

	while (count < MAX_COLUMNS && table->columns[count].name != NULL)
	{
		char	   *problem = check_column(relation, &table->columns[count], count + 1);

		if (problem != NULL)
			return problem;
		count++;
	}
	if (natts > count && !table->partitioned)
		return psprintf("It has %d columns and not %d.", natts, count);
	return NULL;
}

/* Is it a trigger function of reco's that maintains or refuses? */
static bool
is_own_trigger(Oid function, Oid schema)
{
	char	   *name;

	if (get_func_namespace(function) != schema)
		return false;
	name = get_func_name(function);
	return strcmp(name, "activity_changed") == 0 || strcmp(name, "activity_refused") == 0 ||
		strcmp(name, "product_changed") == 0;
}

/* Do reco's own triggers fire, whoever writes?  Those of a DBA do not matter here. */
static char *
check_triggers(Oid relation, Oid schema, const Table *table)
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

		if (trigger->tgenabled == TRIGGER_FIRES_ALWAYS && is_own_trigger(trigger->tgfoid, schema))
			count++;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return count == table->triggers ? NULL :
		psprintf("%d of reco's triggers always fire, not %d.", count, table->triggers);
}

/* A table that has rules, children or filters is not what a scan of it sees, or not what SQL does. */
static char *
check_relation(Oid relation, Oid schema, const Table *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class found;
	char	   *problem = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	found = (Form_pg_class) GETSTRUCT(tuple);
	if (found->relkind != (table->partitioned ? RELKIND_PARTITIONED_TABLE : RELKIND_RELATION))
		problem = pstrdup("It is another kind of relation.");
	else if (!table->partitioned && found->relpersistence != RELPERSISTENCE_UNLOGGED)
		problem = pstrdup("It is not unlogged: after a crash it would not be empty as the others are.");
	else if (!table->partitioned && found->relam != HEAP_TABLE_AM_OID)
		problem = pstrdup("Its access method is not heap.");
	else if (!table->partitioned && (found->relhasrules || found->relrowsecurity))
		problem = pstrdup("It has rules or row security.");
	else if (!table->partitioned && found->relhassubclass && find_inheritance_children(relation, NoLock) != NIL)
		problem = pstrdup("Another table inherits from it.");
	else
		problem = check_columns(relation, table, found->relnatts);
	if (problem == NULL && table->triggers > 0)
		problem = check_triggers(relation, schema, table);
	ReleaseSysCache(tuple);
	return problem;
}

static bool
is_btree(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	bool		is = HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relam == BTREE_AM_OID;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is;
}

/* Does the index order a column as the table's own would: by default operators and collation? */
static bool
has_own_order(HeapTuple index, int key, AttrNumber column)
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

/* The index by which rows are found. */
static char *
check_index(Oid relation, Oid index, const Table *table)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index found;
	bool		same;

	if (!HeapTupleIsValid(tuple))
		return psprintf("\"%s\" is not an index.", table->index);
	found = (Form_pg_index) GETSTRUCT(tuple);
	same = found->indrelid == relation && found->indisunique && found->indisvalid && found->indisready &&
		found->indimmediate && is_btree(index) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) && heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
	for (int i = 0; same && i < MAX_KEYS; i++)
	{
		AttrNumber	key = i < found->indnkeyatts ? found->indkey.values[i] : 0;

		same = key == table->keys[i] && (key == 0 || has_own_order(tuple, i, key));
	}
	/* columns that it includes would be taken from another place of the row */
	same = same && found->indnkeyatts <= MAX_KEYS && found->indnatts == found->indnkeyatts;
	ReleaseSysCache(tuple);
	return same ? NULL : psprintf("Index \"%s\" is not valid, or not the one that the extension made.", table->index);
}

/* Look at all tables; false: some are missing. */
static bool
check_all(Oid schema)
{
	bool		complete = true;

	for (int i = 0; i < lengthof(tables); i++)
	{
		const Table *table = &tables[i];
		Oid			relation = get_relname_relid(table->name, schema);
		Oid			index = table->index ? get_relname_relid(table->index, schema) : InvalidOid;
		char	   *problem = NULL;

		table_oids[i] = relation;
		index_oids[i] = index;
		if (OidIsValid(relation))
			problem = check_relation(relation, schema, table);
		if (problem == NULL && OidIsValid(relation) && OidIsValid(index))
			problem = check_index(relation, index, table);
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

/* Be told when one of the tables changes, its owner too; counts the times that it may have. */
uint32
reco_own_tables_watch(void)
{
	static bool registered = false;
	Oid			schema;

	if (registered)
		return changes;
	CacheRegisterRelcacheCallback(forget_check, (Datum) 0);
	registered = true;
	schema = get_namespace_oid("reco", true);
	for (int i = 0; i < lengthof(tables) && OidIsValid(schema); i++)
		table_oids[i] = get_relname_relid(tables[i].name, schema);
	return changes;
}

void
reco_own_tables_check(void)
{
	Oid			schema;

	if (checked)
		return;
	(void) reco_own_tables_watch();
	schema = get_namespace_oid("reco", true);
	changed = false;
	if (OidIsValid(schema) && check_all(schema))
		checked = !changed;
}
