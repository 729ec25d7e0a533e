/*-------------------------------------------------------------------------
 *
 * product_build.h
 *	  How versions of the mirror are made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_BUILD_H
#define RECO_PRODUCT_BUILD_H

#include "common/slice.h"
#include "engine/product_version.h"

/* No category: the catalog does not hold the product, or gives it none. */
#define RECO_NO_CATEGORY (-1)

/* A product that has changed, as it is now. */
typedef struct RecoProductRow
{
	int32		number;
	int32		category;		/* its index, if it is known; else RECO_NO_CATEGORY */
	RecoSlice	name;			/* of the category; data is NULL: it has none */
	RecoSlice	id;
	int64		popularity;
} RecoProductRow;

/* Fill a version that begins a family; committed: from what is committed, not what the transaction sees. */
extern void reco_build_all(RecoVersion *version, bool committed);

/* Fill a version that differs from the base by n products. */
extern void reco_build_change(RecoVersion *version, const RecoVersion *base, const RecoProductRow *rows, int n);

/*
 * Fill a version whose products are in order; by_number: with this popularity, of
 * size numbers (NULL: with the one they have).  It can be published once finished,
 * if the base is still the newest version.
 */
extern void reco_build_order(RecoVersion *version, const RecoVersion *base, const int64 *by_number, int32 size);
extern void reco_build_finish_order(RecoVersion *version, const RecoVersion *base);

#endif							/* RECO_PRODUCT_BUILD_H */
