/*-------------------------------------------------------------------------
 *
 * catalog_scan.h
 *	  Scans of the shop's catalog, without the planner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CATALOG_SCAN_H
#define RECO_CATALOG_SCAN_H

#include "access/tupdesc.h"
#include "mirror/source_table.h"

/* A row: product_id and category as text, and xmin. */
#define RECO_CATALOG_COLUMNS 3

typedef void (*RecoCatalogReceiver) (void *arg, Datum *values, bool *nulls);

extern TupleDesc reco_catalog_scan_desc(void);

/*
 * Pass rows to a receiver: all, or those of some products.  The caller holds
 * locks on the tables.  reco_catalog_scan_keys returns the keys as a palloc'd
 * text array.
 */
extern void reco_catalog_scan_all(RecoSource *source, RecoCatalogReceiver put, void *arg);
extern Datum reco_catalog_scan_keys(RecoSource *source, const Datum *keys, int nkeys,
									RecoCatalogReceiver put, void *arg);

#endif							/* RECO_CATALOG_SCAN_H */
