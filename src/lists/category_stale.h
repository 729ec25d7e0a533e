/*-------------------------------------------------------------------------
 *
 * category_stale.h
 *	  The category strategy: does a change of products make a list stale?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CATEGORY_STALE_H
#define RECO_CATEGORY_STALE_H

#include "lists/strategy.h"

extern RecoStale *reco_category_stale_index(const RecoState *state, const RecoProductDelta *products, int n);
extern bool reco_category_is_stale(const RecoStale *stale, const RecoHistory *recent, const RecoList *list);
extern bool reco_category_stale_covers(const RecoStale *stale, const RecoStale *other);

#endif							/* RECO_CATEGORY_STALE_H */
