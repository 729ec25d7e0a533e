/*-------------------------------------------------------------------------
 *
 * catalog_scan.h
 *	  The rows of the shop's catalog, read without planning anything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CATALOG_SCAN_H
#define RECO_CATALOG_SCAN_H

#include "access/tupdesc.h"
#include "mirror/source_table.h"

/* A row as text: product_id, category, and the transaction that wrote it. */
#define RECO_CATALOG_COLUMNS 3

typedef void (*RecoCatalogSink) (void *sink, Datum *values, bool *nulls);

extern TupleDesc reco_catalog_describe(void);

/*
 * Give the rows to a sink: all, or those of some products.  The caller holds
 * the tables' locks.  The second returns the products' keys as an array of
 * text, palloc'd.
 */
extern void reco_catalog_scan(RecoSource *source, RecoCatalogSink put, void *sink);
extern Datum reco_catalog_look_up(RecoSource *source, const Datum *keys, int nkeys,
								  RecoCatalogSink put, void *sink);

#endif							/* RECO_CATALOG_SCAN_H */
