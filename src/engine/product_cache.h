/*-------------------------------------------------------------------------
 *
 * product_cache.h
 *	  The mirror of the catalog as a process reads it in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_CACHE_H
#define RECO_PRODUCT_CACHE_H

#include "engine/product_build.h"
#include "engine/state.h"

/* The products of a category, the most popular first. */
typedef struct RecoCategory
{
	uint64		serial;			/* of the version that they are from */
	int			count;
	const RecoProduct *products;
	const int64 *popularity;	/* of each */
} RecoCategory;

extern const RecoXactModule reco_product_xact;

extern void reco_product_init(void);

/* Under reco's lock: the version that the state names. */
extern void reco_product_sync(const RecoState *state);
extern void reco_product_change(const RecoState *after, RecoProductRow *rows, int n);
extern void reco_product_change_all(const RecoState *after);
extern void reco_product_prepare_order(const int64 *by_number, int32 size);
extern void reco_product_change_order(const RecoState *after, const int64 *by_number, int32 size);

/* Without it: the newest version; 0 or false: there is none that would do. */
extern uint64 reco_product_read(void);
extern bool reco_product_begin_read(RecoVersions versions);
extern void reco_product_end_read(void);
extern bool reco_product_shows_mirror(int64 version);

/* Valid until the mirror is changed, or the transaction ends. */
extern int32 reco_product_category(int32 number);
extern void reco_product_categorize(int32 *numbers, int n);
extern const RecoCategory *reco_product_list(int32 category);
extern RecoSlice reco_product_category_name(int32 category);
extern int32 reco_product_find_category(RecoSlice name);
extern int32 reco_product_categories(void);
extern int32 reco_product_end(void);
extern int64 reco_product_unordered(void);
extern uint64 reco_product_family(void);
extern int32 reco_product_number(RecoSlice id);
extern RecoSlice reco_product_id(int32 number);
extern RecoSlice reco_product_quoted(int32 number);

extern int	reco_category_find(const RecoCategory *category, int32 number);
extern int	reco_category_compare(const RecoCategory *a, int i, const RecoCategory *b, int j);

#endif							/* RECO_PRODUCT_CACHE_H */
