/*-------------------------------------------------------------------------
 *
 * product_table.c
 *	  Rows of reco.product, the mirror of the catalog.
 *
 * Rows are written through keyed_table.c, which fires no statement triggers:
 * those of reco.product would bring the lists up to date once more, and the
 * callers do that themselves.  By SQL 100,000 rows took 0.7 s, in which events
 * came half a second late.
 *
 * A writer holds the table in ROW EXCLUSIVE mode, taken before reco's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "engine/product_table.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"

static const RecoTableDef by_product = {
	"product", "product_pkey", 1, {F_TEXTEQ}
};

RecoTable *
reco_product_table_open(RecoWrite *write)
{
	return reco_table_open(write, &by_product);
}

/*
 * For the popularity, which is written before reco's lock is taken.  Its lock on
 * the table keeps all other writers away.
 */
RecoTable *
reco_product_table_open_exclusive(void)
{
	RecoTable  *table = reco_table_open(NULL, &by_product);

	Assert(CheckRelationLockedByMe(reco_table_relation(table), ShareRowExclusiveLock, true));
	return table;
}

RecoTable *
reco_product_table_open_read(Snapshot snapshot)
{
	return reco_table_open_read(&by_product, snapshot);
}

void
reco_product_table_delete(RecoTable *table, TupleTableSlot *row)
{
	reco_table_delete(table, row);
}

/* A product that enters has no popularity. */
void
reco_product_table_insert(RecoTable *table, Datum id, NullableDatum category)
{
	Datum		values[RECO_PRODUCT_COLUMNS] = {id, category.value, Int64GetDatum(0)};
	bool		nulls[RECO_PRODUCT_COLUMNS] = {false, category.isnull, false};

	reco_table_insert(table, values, nulls);
}

/* Write a row that was found with another value of a column. */
static void
product_update(RecoTable *table, TupleTableSlot *row, int column, NullableDatum value)
{
	Datum		values[RECO_PRODUCT_COLUMNS];
	bool		nulls[RECO_PRODUCT_COLUMNS];

	slot_getallattrs(row);
	memcpy(values, row->tts_values, sizeof(values));
	memcpy(nulls, row->tts_isnull, sizeof(nulls));
	values[column] = value.value;
	nulls[column] = value.isnull;
	reco_table_update(table, row, values, nulls);
}

void
reco_product_table_set_category(RecoTable *table, TupleTableSlot *row, NullableDatum category)
{
	product_update(table, row, RECO_PRODUCT_CATEGORY, category);
}

void
reco_product_table_set_popularity(RecoTable *table, TupleTableSlot *row, int64 popularity)
{
	product_update(table, row, RECO_PRODUCT_POPULARITY, (NullableDatum) {Int64GetDatum(popularity), false});
}

int64
reco_product_table_popularity(TupleTableSlot *row)
{
	bool		null;

	return DatumGetInt64(slot_getattr(row, RECO_PRODUCT_POPULARITY + 1, &null));
}
