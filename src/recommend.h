/*-------------------------------------------------------------------------
 *
 * recommend.h
 *	  From a user's recent views to the list of recommended products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_RECOMMEND_H
#define RECO_RECOMMEND_H

#include "list.h"
#include "recent.h"
#include "state.h"

extern void reco_recommend(const RecoState *state, const RecoRecent *recent, RecoList *list);

#endif							/* RECO_RECOMMEND_H */
