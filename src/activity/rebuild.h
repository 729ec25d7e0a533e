/*-------------------------------------------------------------------------
 *
 * rebuild.h
 *	  Computing derived state again from activity and mirror.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REBUILD_H
#define RECO_REBUILD_H

#include "engine/write.h"

extern void reco_rebuild_users(RecoWrite *write, const int64 *user_ids, int n);
extern void reco_rebuild_nothing(RecoWrite *write);
extern void reco_rebuild_all(RecoWrite *write);

#endif							/* RECO_REBUILD_H */
