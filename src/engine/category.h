/*-------------------------------------------------------------------------
 *
 * category.h
 *	  The products of a category, in order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CATEGORY_H
#define RECO_CATEGORY_H

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

extern void reco_category_append(RecoCategory *category, MemoryContext context,
								 RecoProduct product, int64 popularity);
extern void reco_category_insert(RecoCategory *category, MemoryContext context,
								 RecoProduct product, int64 popularity);
extern int	reco_category_find(const RecoCategory *category, int32 number);
extern void reco_category_remove(RecoCategory *category, int32 number);
extern int	reco_category_compare(const RecoCategory *a, int i, const RecoCategory *b, int j);

#endif							/* RECO_CATEGORY_H */
