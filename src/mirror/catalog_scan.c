/*-------------------------------------------------------------------------
 *
 * catalog_scan.c
 *	  The rows of the shop's catalog, read without planning anything.
 *
 * A planner evaluates what it finds constant: index expressions and their
 * predicates, statistics, constraints, partition keys, policies.  Their
 * functions are the table owner's, and would run with the rights of who reads.
 * So no query names the catalog.  Its tables are read by scans of the heap,
 * or, where some products are looked up, of an index that compares by trusted
 * functions only (see source_table.c), and reco's queries read the outcome.
 *
 * A scan sees what the active snapshot sees, and all rows: policies do not
 * apply, and source_table.c has made sure that they need not.  The caller
 * holds ACCESS SHARE locks on the tables.  An index that is locked (REINDEX)
 * is not waited for: the heap serves.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/own_extension.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mirror/catalog_scan.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(reco_catalog_rows);

typedef struct CatalogScan
{
	RecoSource *source;
	const RecoSourceLeaf *leaf;
	const Datum *keys;			/* NULL: all rows are wanted */
	text	  **wanted;			/* the keys as text; sorted, unique */
	int			nkeys;
	int			nwanted;
	RecoCatalogSink put;
	void	   *sink;
	MemoryContext row_context;
} CatalogScan;

TupleDesc
reco_catalog_describe(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(RECO_CATALOG_COLUMNS);

	TupleDescInitEntry(desc, 1, "product_id", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(desc, 1, C_COLLATION_OID);
	TupleDescInitEntry(desc, 2, "category", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(desc, 2, C_COLLATION_OID);
	TupleDescInitEntry(desc, 3, "version", XIDOID, -1, 0);
	return desc;
}

static int
compare_texts(const void *a, const void *b)
{
	const text *x = *(text *const *) a;
	const text *y = *(text *const *) b;
	Size		x_size = VARSIZE_ANY_EXHDR(x);
	Size		y_size = VARSIZE_ANY_EXHDR(y);
	int			order = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(x_size, y_size));

	return order != 0 ? order : (x_size > y_size) - (x_size < y_size);
}

/* Give a row to the sink, if its product is wanted. */
static void
put_row(CatalogScan *scan, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->row_context);
	Datum		values[RECO_CATALOG_COLUMNS];
	bool		nulls[RECO_CATALOG_COLUMNS] = {false};
	bool		is_null;
	Datum		key = slot_getattr(slot, scan->leaf->key, &is_null);

	if (!is_null)
	{
		text	   *product = reco_text_output_call(&scan->source->key_text, key);

		if (scan->keys == NULL ||
			bsearch(&product, scan->wanted, scan->nwanted, sizeof(text *), compare_texts))
		{
			Datum		category = slot_getattr(slot, scan->leaf->category, &nulls[1]);

			values[0] = PointerGetDatum(product);
			values[1] = nulls[1] ? (Datum) 0 :
				PointerGetDatum(reco_text_output_call(&scan->source->category_text, category));
			values[2] = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &nulls[2]);
			scan->put(scan->sink, values, nulls);
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(scan->row_context);
}

static void
scan_heap(CatalogScan *scan, Relation table)
{
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc heap = table_beginscan(table, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(heap, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		put_row(scan, slot);
	}
	table_endscan(heap);
	ExecDropSingleTupleTableSlot(slot);
}

/* Open the leaf's index; NULL: it cannot be used now. */
static Relation
open_index(const CatalogScan *scan, Relation table)
{
	Relation	index;

	if (!OidIsValid(scan->leaf->index) ||
		(BlockNumber) scan->nkeys > RelationGetNumberOfBlocks(table) ||	/* the heap is read faster */
		!ConditionalLockRelationOid(scan->leaf->index, AccessShareLock))
		return NULL;
	index = index_open(scan->leaf->index, NoLock);

	/* It may lack rows of HOT chains that an older snapshot sees. */
	if (index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin))
	{
		index_close(index, AccessShareLock);
		return NULL;
	}
	return index;
}

/* The scan key "first column = ", whose value is to be filled in. */
static void
init_scan_key(ScanKey key, Relation index)
{
	Oid			family = index->rd_opfamily[0];
	Oid			type = index->rd_opcintype[0];
	Oid			equality = get_opfamily_member(family, type, type, BTEqualStrategyNumber);

	ScanKeyEntryInitialize(key, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[0], get_opcode(equality), (Datum) 0);
}

static void
scan_index(CatalogScan *scan, Relation table, Relation index)
{
	TupleTableSlot *slot = table_slot_create(table, NULL);
	IndexScanDesc search = reco_index_beginscan(table, index, GetActiveSnapshot(), 1);
	ScanKeyData key;

	init_scan_key(&key, index);
	for (int i = 0; i < scan->nkeys; i++)
	{
		CHECK_FOR_INTERRUPTS();
		key.sk_argument = scan->keys[i];
		index_rescan(search, &key, 1, NULL, 0);
		while (index_getnext_slot(search, ForwardScanDirection, slot))
			put_row(scan, slot);
	}
	index_endscan(search);
	ExecDropSingleTupleTableSlot(slot);
}

static void
scan_leaves(CatalogScan *scan)
{
	scan->row_context = AllocSetContextCreate(CurrentMemoryContext, "reco catalog row",
											  ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < scan->source->nleaves; i++)
	{
		Relation	table;
		Relation	index = NULL;

		scan->leaf = &scan->source->leaves[i];
		table = table_open(scan->leaf->table, NoLock);
		if (scan->keys != NULL)
			index = open_index(scan, table);
		if (index != NULL)
		{
			scan_index(scan, table, index);
			index_close(index, NoLock);
		}
		else
			scan_heap(scan, table);
		table_close(table, NoLock);
	}
	MemoryContextDelete(scan->row_context);
}

void
reco_catalog_scan(RecoSource *source, RecoCatalogSink put, void *sink)
{
	CatalogScan scan = {.source = source, .put = put, .sink = sink};
	int			nest = reco_text_output_settle();

	scan_leaves(&scan);
	AtEOXact_GUC(true, nest);
}

/* The keys as text, sorted, each once. */
static void
want(CatalogScan *scan)
{
	int			kept = 0;

	scan->wanted = palloc(scan->nkeys * sizeof(text *));
	for (int i = 0; i < scan->nkeys; i++)
		scan->wanted[i] = reco_text_output_call(&scan->source->key_text, scan->keys[i]);
	qsort(scan->wanted, scan->nkeys, sizeof(text *), compare_texts);
	for (int i = 0; i < scan->nkeys; i++)
	{
		if (kept == 0 || compare_texts(&scan->wanted[kept - 1], &scan->wanted[i]) != 0)
			scan->wanted[kept++] = scan->wanted[i];
	}
	scan->nwanted = kept;
}

Datum
reco_catalog_look_up(RecoSource *source, const Datum *keys, int nkeys,
					 RecoCatalogSink put, void *sink)
{
	CatalogScan scan = {
		.source = source, .keys = keys, .nkeys = nkeys, .put = put, .sink = sink
	};
	int			nest = reco_text_output_settle();

	want(&scan);
	scan_leaves(&scan);
	AtEOXact_GUC(true, nest);
	return PointerGetDatum(reco_array((Datum *) scan.wanted, scan.nwanted, TEXTOID));
}

static void
put_result(void *sink, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = sink;

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* reco.catalog_rows(): all rows of the catalog, as the follow worker reads them. */
Datum
reco_catalog_rows(PG_FUNCTION_ARGS)
{
	RecoSource *source;

	reco_own_extension_check(false);
	InitMaterializedSRF(fcinfo, 0);
	if (!reco_source_is_configured())
		PG_RETURN_NULL();
	while ((source = reco_source_open(true)) == NULL)
		CHECK_FOR_INTERRUPTS();
	reco_catalog_scan(source, put_result, fcinfo->resultinfo);
	PG_RETURN_NULL();
}
