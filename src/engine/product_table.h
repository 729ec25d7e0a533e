/*-------------------------------------------------------------------------
 *
 * product_table.h
 *	  Rows of reco.product, the mirror of the catalog.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_TABLE_H
#define RECO_PRODUCT_TABLE_H

#include "engine/write.h"
#include "heap/keyed_table.h"

/* Columns, from 0. */
enum
{
	RECO_PRODUCT_ID, RECO_PRODUCT_CATEGORY, RECO_PRODUCT_POPULARITY, RECO_PRODUCT_COLUMNS
};

extern RecoTable *reco_product_table_open(RecoWrite *write);
extern RecoTable *reco_product_table_open_exclusive(void);
extern RecoTable *reco_product_table_open_read(Snapshot snapshot);
extern void reco_product_table_insert(RecoTable *table, Datum id, NullableDatum category);
extern void reco_product_table_delete(RecoTable *table, TupleTableSlot *row);
extern void reco_product_table_set_category(RecoTable *table, TupleTableSlot *row, NullableDatum category);
extern void reco_product_table_set_popularity(RecoTable *table, TupleTableSlot *row, int64 popularity);
extern int64 reco_product_table_popularity(TupleTableSlot *row);

#endif							/* RECO_PRODUCT_TABLE_H */
