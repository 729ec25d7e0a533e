/*-------------------------------------------------------------------------
 *
 * catalog_scan.c
 *	  Scans of the shop's catalog, without the planner.
 *
 * The planner evaluates constant expressions: of indexes and their predicates,
 * statistics, constraints, partition keys, policies.  Their functions belong to
 * the table's owner, and would run with reco's privileges.  So no query refers
 * to the catalog.  Its tables are read by heap scans, or, to look up some
 * products, by scans of an index that compares by trusted functions only (see
 * source_table.c); reco's queries read the result.
 *
 * A scan uses the active snapshot and returns all rows: policies are not
 * applied, and source_table.c has made sure that they need not be.  The caller
 * holds ACCESS SHARE locks on the tables.  A locked index (REINDEX) is not waited
 * for; the heap is scanned instead.
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
	const Datum *keys;			/* NULL: all rows */
	text	  **wanted;			/* the keys as text; sorted, unique */
	int			nkeys;
	int			nwanted;
	RecoCatalogReceiver put;
	void	   *arg;
	MemoryContext row_context;
} CatalogScan;

TupleDesc
reco_catalog_scan_desc(void)
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
scan_compare_texts(const void *a, const void *b)
{
	const text *x = *(text *const *) a;
	const text *y = *(text *const *) b;
	Size		x_size = VARSIZE_ANY_EXHDR(x);
	Size		y_size = VARSIZE_ANY_EXHDR(y);
	int			order = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(x_size, y_size));

	return order != 0 ? order : (x_size > y_size) - (x_size < y_size);
}

/* Pass a row to the receiver, if its product is wanted. */
static void
scan_put_row(CatalogScan *scan, TupleTableSlot *slot)
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
			bsearch(&product, scan->wanted, scan->nwanted, sizeof(text *), scan_compare_texts))
		{
			Datum		category = slot_getattr(slot, scan->leaf->category, &nulls[1]);

			values[0] = PointerGetDatum(product);
			values[1] = nulls[1] ? (Datum) 0 :
				PointerGetDatum(reco_text_output_call(&scan->source->category_text, category));
			values[2] = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &nulls[2]);
			scan->put(scan->arg, values, nulls);
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
		scan_put_row(scan, slot);
	}
	table_endscan(heap);
	ExecDropSingleTupleTableSlot(slot);
}

/* Open the leaf's index; NULL if it cannot be used now. */
static Relation
scan_open_index(const CatalogScan *scan, Relation table)
{
	Relation	index;

	if (!OidIsValid(scan->leaf->index) ||
		(BlockNumber) scan->nkeys > RelationGetNumberOfBlocks(table) || /* a heap scan is faster */
		!ConditionalLockRelationOid(scan->leaf->index, AccessShareLock))
		return NULL;
	index = index_open(scan->leaf->index, NoLock);

	/* it may lack rows of HOT chains that an older snapshot sees */
	if (index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin))
	{
		index_close(index, AccessShareLock);
		return NULL;
	}
	return index;
}

/* Initialize a scan key for equality of the index's first column. */
static void
scan_init_key(ScanKey key, Relation index)
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

	scan_init_key(&key, index);
	for (int i = 0; i < scan->nkeys; i++)
	{
		CHECK_FOR_INTERRUPTS();
		key.sk_argument = scan->keys[i];
		index_rescan(search, &key, 1, NULL, 0);
		while (index_getnext_slot(search, ForwardScanDirection, slot))
			scan_put_row(scan, slot);
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
			index = scan_open_index(scan, table);
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
reco_catalog_scan_all(RecoSource *source, RecoCatalogReceiver put, void *arg)
{
	CatalogScan scan = {.source = source,.put = put,.arg = arg};
	int			nest = reco_text_output_fix_settings();

	scan_leaves(&scan);
	AtEOXact_GUC(true, nest);
}

/* Convert the keys to text, sorted and unique. */
static void
scan_set_wanted(CatalogScan *scan)
{
	int			kept = 0;

	scan->wanted = palloc(scan->nkeys * sizeof(text *));
	for (int i = 0; i < scan->nkeys; i++)
		scan->wanted[i] = reco_text_output_call(&scan->source->key_text, scan->keys[i]);
	qsort(scan->wanted, scan->nkeys, sizeof(text *), scan_compare_texts);
	for (int i = 0; i < scan->nkeys; i++)
	{
		if (kept == 0 || scan_compare_texts(&scan->wanted[kept - 1], &scan->wanted[i]) != 0)
			scan->wanted[kept++] = scan->wanted[i];
	}
	scan->nwanted = kept;
}

Datum
reco_catalog_scan_keys(RecoSource *source, const Datum *keys, int nkeys,
					   RecoCatalogReceiver put, void *arg)
{
	CatalogScan scan = {
		.source = source,.keys = keys,.nkeys = nkeys,.put = put,.arg = arg
	};
	int			nest = reco_text_output_fix_settings();

	scan_set_wanted(&scan);
	scan_leaves(&scan);
	AtEOXact_GUC(true, nest);
	return PointerGetDatum(reco_array((Datum *) scan.wanted, scan.nwanted, TEXTOID));
}

static void
scan_put_result(void *arg, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = arg;

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* reco.catalog_rows(): all rows of the catalog as the follow worker reads them. */
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
	reco_catalog_scan_all(source, scan_put_result, fcinfo->resultinfo);
	PG_RETURN_NULL();
}
