/*-------------------------------------------------------------------------
 *
 * product_cache.h
 *	  The mirror of the catalog as a process caches it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_CACHE_H
#define RECO_PRODUCT_CACHE_H

#include "common/string_table.h"
#include "engine/category.h"
#include "engine/state.h"

/* No category: the catalog does not hold the product, or gives it none. */
#define RECO_NO_CATEGORY (-1)

extern void reco_product_sync(const RecoState *state);
extern void reco_product_load(const RecoState *state);

extern int32 reco_product_category(int32 number);
extern void reco_product_categorize(int32 *numbers, int n);
extern RecoCategory *reco_product_list(int32 category);
extern int32 reco_product_find_category(RecoSlice name);
extern int32 reco_product_categories(void);
extern int32 reco_product_end(void);
extern uint64 reco_product_epoch(void);

#endif							/* RECO_PRODUCT_CACHE_H */
