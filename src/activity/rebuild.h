/*-------------------------------------------------------------------------
 *
 * rebuild.h
 *	  Derived state computed anew from activity and mirror.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REBUILD_H
#define RECO_REBUILD_H

#include "engine/state.h"

extern void reco_rebuild_users(const RecoState *state, const int64 *user_ids, int n);
extern void reco_rebuild_nothing(RecoState *state);
extern void reco_rebuild_all(RecoState *state);

#endif							/* RECO_REBUILD_H */
