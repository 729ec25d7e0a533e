/*-------------------------------------------------------------------------
 *
 * product.h
 *	  The mirror of the catalog as a process caches it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PRODUCT_H
#define RECO_PRODUCT_H

#include "names.h"
#include "state.h"

/* No category: the catalog does not hold the product, or gives it none. */
#define RECO_NO_CATEGORY (-1)

/* Small, because lists are made from thousands of them in random categories. */
typedef struct RecoProduct
{
	int32		number;
	int32		order;			/* in the whole mirror, best first; 0: not known */
} RecoProduct;

/* The products of a category, the most popular first. */
typedef struct RecoCategory
{
	text	   *name;
	int			count;
	int			size;
	bool		loaded;
	RecoProduct *products;
	int64	   *popularity;		/* of each */
} RecoCategory;

extern void reco_product_sync(const RecoState *state);
extern void reco_product_changed(RecoState *state);
extern void reco_product_numbers_changed(RecoState *state);

extern int32 reco_product_category(int32 number);
extern RecoCategory *reco_product_list(int32 category);
extern int32 reco_product_find_category(RecoText name);
extern int32 reco_product_categories(void);
extern int	reco_product_compare(const RecoCategory *a, int i, const RecoCategory *b, int j);

#endif							/* RECO_PRODUCT_H */
