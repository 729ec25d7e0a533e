/*-------------------------------------------------------------------------
 *
 * category_strategy.h
 *	  From a user's recent views to the list of recommended products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CATEGORY_STRATEGY_H
#define RECO_CATEGORY_STRATEGY_H

#include "engine/state.h"
#include "lists/list_codec.h"
#include "lists/view_history.h"

extern void reco_recommend(const RecoState *state, const RecoRecent *recent, RecoList *list);

#endif							/* RECO_CATEGORY_STRATEGY_H */
