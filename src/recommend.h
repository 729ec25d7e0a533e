/*-------------------------------------------------------------------------
 *
 * recommend.h
 *	  From a user's recent views to the list of recommended products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_RECOMMEND_H
#define RECO_RECOMMEND_H

#include "product.h"
#include "recent.h"
#include "state.h"

/* Best product first; the products belong to the cache of product.h. */
typedef struct RecoList
{
	int			count;
	int			size;
	const RecoProduct **products;
} RecoList;

extern void reco_recommend(const RecoState *state, const RecoRecent *recent, RecoList *list);

#endif							/* RECO_RECOMMEND_H */
