/*-------------------------------------------------------------------------
 *
 * bulk_insert.c
 *	  Inserting a batch's events into reco.activity, with what follows from them.
 *
 * Rows are inserted into the partitions many at a time, as COPY does for a
 * plain table, and their views are passed on directly, as the trigger of an
 * INSERT does. Executor, transition table and trigger took a fifth of the
 * time of ingestion.
 *
 * This skips whatever else an INSERT would do.  Therefore, if somebody has
 * changed reco.activity or a partition (columns, triggers, rules, row
 * security for its owner), the rows are inserted by SQL, whose triggers do
 * the rest.
 *
 * The caller has begun its transaction by reco_sql_begin(), and has checked
 * that the events lie within the time that is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/brin_internal.h"
#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "activity/bulk_insert.h"
#include "activity/view_batch.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/named_tuplestore.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Rows inserted into a partition at once: a few pages. */
#define LEAF_ROWS 256

/* A partition, and the rows to be inserted into it. */
typedef struct InsertLeaf
{
	ResultRelInfo *result;
	bool		plain;
	bool		minmax;			/* see has_minmax */
	int			count;
	int			nslots;
	TupleTableSlot *slots[LEAF_ROWS];
	TimestampTz times[LEAF_ROWS];
} InsertLeaf;

struct RecoBulkInsert
{
	Relation	activity;
	bool		plain;
	EState	   *estate;
	ModifyTableState *modify;	/* without a plan: routing requires one */
	PartitionTupleRouting *routing;
	TupleTableSlot *row;
	List	   *leaves;
	RecoViewBatch *views;
	RecoTuplestore *rows;			/* rows to be inserted by SQL */
};

static const struct
{
	const char *name;
	Oid			type;
}			columns[] =
{
	{"event_type", TEXTOID},
	{"user_id", INT8OID},
	{"product_id", TEXTOID},
	{"query", TEXTOID},
	{"timestamp", TIMESTAMPTZOID}
};

#define COLUMNS lengthof(columns)

static RecoPlan insert_plan = {
	"INSERT INTO reco.activity (event_type, user_id, product_id, query, \"timestamp\")"
	" SELECT event_type, user_id, product_id, query, \"timestamp\" FROM reco_new_activity"
};

static bool
insert_has_plain_columns(TupleDesc desc)
{
	bool		plain = desc->natts == COLUMNS;

	for (int i = 0; plain && i < COLUMNS; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		plain = !column->attisdropped && column->attgenerated == '\0' &&
			column->atttypid == columns[i].type &&
			strcmp(NameStr(column->attname), columns[i].name) == 0;
	}
	return plain;
}

/* Has the table only the extension's triggers, all of them enabled? */
static bool
insert_has_plain_triggers(const TriggerDesc *triggers, Oid schema)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (get_func_namespace(trigger->tgfoid) != schema ||
			trigger->tgenabled == TRIGGER_DISABLED ||
			trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN)
			return false;
	}
	return true;
}

/* Is the table as the extension created it? */
static bool
insert_is_plain(Relation relation, Oid schema)
{
	return (relation->rd_rel->relkind == RELKIND_RELATION ||
			relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) &&
		!relation->rd_rel->relforcerowsecurity && relation->rd_rules == NULL &&
		insert_has_plain_columns(RelationGetDescr(relation)) &&
		insert_has_plain_triggers(relation->trigdesc, schema);
}

static TupleDesc
insert_make_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(COLUMNS);

	for (int i = 0; i < COLUMNS; i++)
		TupleDescInitEntry(tupdesc, i + 1, columns[i].name, columns[i].type, -1, 0);
	return tupdesc;
}

/* Prepare to route rows to partitions, as COPY does. */
static void
insert_begin_routing(RecoBulkInsert *insert)
{
	ResultRelInfo *result = makeNode(ResultRelInfo);

	InitResultRelInfo(result, insert->activity, 0, NULL, 0);
	insert->modify = makeNode(ModifyTableState);
	insert->modify->ps.state = insert->estate;
	insert->modify->operation = CMD_INSERT;
	insert->modify->mt_nrels = 1;
	insert->modify->resultRelInfo = result;
	insert->modify->rootResultRelInfo = result;
	insert->routing = ExecSetupPartitionTupleRouting(insert->estate, insert->activity);
}

/* Begin a batch. */
RecoBulkInsert *
reco_bulk_insert_begin(RecoWrite *write)
{
	RecoBulkInsert *insert = palloc0(sizeof(RecoBulkInsert));
	TupleDesc	tupdesc = insert_make_tupdesc();

	insert->activity = table_open(reco_sql_table("activity"), RowExclusiveLock);
	insert->plain = insert_is_plain(insert->activity, RelationGetNamespace(insert->activity));
	insert->rows = reco_tuplestore_open("reco_new_activity", tupdesc);
	insert->row = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	insert->estate = CreateExecutorState();
	insert->estate->es_output_cid = GetCurrentCommandId(true);
	insert_begin_routing(insert);
	insert->views = reco_view_batch_begin(write, RECO_VIEWS_ADD);
	return insert;
}

static Datum
insert_text_datum(RecoSlice text, bool *null)
{
	*null = text.data == NULL;
	if (*null)
		return (Datum) 0;
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.length));
}

static void
insert_fill_row(TupleTableSlot *row, const RecoEvent *event)
{
	ExecClearTuple(row);
	memset(row->tts_isnull, false, COLUMNS * sizeof(bool));
	row->tts_values[0] = insert_text_datum(event->event_type, &row->tts_isnull[0]);
	row->tts_values[1] = Int64GetDatum(event->user_id);
	row->tts_values[2] = insert_text_datum(event->product_id, &row->tts_isnull[2]);
	row->tts_values[3] = insert_text_datum(event->query, &row->tts_isnull[3]);
	row->tts_values[4] = TimestampTzGetDatum(event->timestamp);
	ExecStoreVirtualTuple(row);
}

/*
 * Does the partition have a single index, a BRIN index of the timestamp with
 * the least and the greatest value of each range, as the extension creates it?
 */
static bool
insert_has_minmax(ResultRelInfo *result)
{
	Relation	index = result->ri_NumIndices == 1 ? result->ri_IndexRelationDescs[0] : NULL;
	IndexInfo  *info = result->ri_NumIndices == 1 ? result->ri_IndexRelationInfo[0] : NULL;

	return index != NULL && index->rd_rel->relam == BRIN_AM_OID &&
		info->ii_NumIndexAttrs == 1 && info->ii_Predicate == NIL &&
		info->ii_IndexAttrNumbers[0] == RECO_ACTIVITY_TIMESTAMP &&
		index_getprocid(index, 1, BRIN_PROCNUM_OPCINFO) == F_BRIN_MINMAX_OPCINFO;
}

/* Find the partition of a row; ERROR if there is none. */
static InsertLeaf *
insert_find_leaf(RecoBulkInsert *insert)
{
	ResultRelInfo *result = ExecFindPartition(insert->modify, insert->modify->rootResultRelInfo,
											  insert->routing, insert->row, insert->estate);
	ListCell   *cell;
	InsertLeaf *leaf;

	foreach(cell, insert->leaves)
	{
		leaf = lfirst(cell);
		if (leaf->result == result)
			return leaf;
	}
	leaf = palloc0(sizeof(InsertLeaf));
	leaf->result = result;
	leaf->plain = insert_is_plain(result->ri_RelationDesc, RelationGetNamespace(insert->activity));
	leaf->minmax = insert_has_minmax(result);
	insert->leaves = lappend(insert->leaves, leaf);
	return leaf;
}

/*
 * Only two rows of each page add information to such an index.  With all of
 * them, writing a row takes 0.42 instead of 0.16 us, of the 4 us that an event
 * takes.
 */
static void
insert_index_extremes(InsertLeaf *leaf, EState *estate)
{
	for (int first = 0, end; first < leaf->count; first = end)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&leaf->slots[first]->tts_tid);
		int			least = first;
		int			greatest = first;

		for (end = first + 1; end < leaf->count; end++)
		{
			if (ItemPointerGetBlockNumber(&leaf->slots[end]->tts_tid) != block)
				break;
			if (leaf->times[end] < leaf->times[least])
				least = end;
			if (leaf->times[end] > leaf->times[greatest])
				greatest = end;
		}
		reco_insert_index_tuples(leaf->result, leaf->slots[least], estate);
		if (greatest != least)
			reco_insert_index_tuples(leaf->result, leaf->slots[greatest], estate);
	}
}

/* Write the rows collected for a partition. */
static void
insert_flush(RecoBulkInsert *insert, InsertLeaf *leaf)
{
	EState	   *estate = insert->estate;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	table_multi_insert(leaf->result->ri_RelationDesc, leaf->slots, leaf->count,
					   estate->es_output_cid, 0, NULL);
	MemoryContextSwitchTo(caller);
	if (leaf->minmax)
		insert_index_extremes(leaf, estate);
	for (int i = 0; i < leaf->count; i++)
	{
		if (leaf->result->ri_NumIndices > 0 && !leaf->minmax)
			reco_insert_index_tuples(leaf->result, leaf->slots[i], estate);
		ExecClearTuple(leaf->slots[i]);
	}
	leaf->count = 0;
}

/* Add a copy of the row to those collected for its partition. */
static void
insert_buffer_row(RecoBulkInsert *insert, InsertLeaf *leaf)
{
	ExecConstraints(leaf->result, insert->row, insert->estate);
	if (leaf->count == leaf->nslots)
		leaf->slots[leaf->nslots++] = table_slot_create(leaf->result->ri_RelationDesc, NULL);
	leaf->times[leaf->count] = DatumGetTimestampTz(insert->row->tts_values[RECO_ACTIVITY_TIMESTAMP - 1]);
	ExecCopySlot(leaf->slots[leaf->count++], insert->row);
	reco_view_batch_put_row(insert->views, insert->row);
	if (leaf->count == LEAF_ROWS)
		insert_flush(insert, leaf);
}

/* Insert an event, whose texts are in the database's encoding; it is copied. */
void
reco_bulk_insert_event(RecoBulkInsert *insert, const RecoEvent *event)
{
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(insert->estate));
	InsertLeaf *leaf;

	insert_fill_row(insert->row, event);
	MemoryContextSwitchTo(caller);
	leaf = insert->plain ? insert_find_leaf(insert) : NULL;
	if (leaf != NULL && leaf->plain)
		insert_buffer_row(insert, leaf);
	else
		reco_tuplestore_put(insert->rows, insert->row->tts_values, insert->row->tts_isnull);
	ResetPerTupleExprContext(insert->estate);
}

static void
insert_end_leaf(RecoBulkInsert *insert, InsertLeaf *leaf)
{
	if (leaf->count > 0)
		insert_flush(insert, leaf);
	for (int i = 0; i < leaf->nslots; i++)
		ExecDropSingleTupleTableSlot(leaf->slots[i]);
}

/* Write the rest, and bring the derived state up to date. */
void
reco_bulk_insert_end(RecoBulkInsert *insert)
{
	ListCell   *cell;

	foreach(cell, insert->leaves)
		insert_end_leaf(insert, lfirst(cell));
	ExecCleanupTupleRouting(insert->modify, insert->routing);
	ExecResetTupleTable(insert->estate->es_tupleTable, false);
	ExecDropSingleTupleTableSlot(insert->row);
	FreeExecutorState(insert->estate);
	table_close(insert->activity, NoLock);

	reco_view_batch_end(insert->views);
	reco_tuplestore_run(insert->rows, &insert_plan);
}
