/*-------------------------------------------------------------------------
 *
 * pending_events.h
 *	  Views that a client's transaction has inserted, until it commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PENDING_EVENTS_H
#define RECO_PENDING_EVENTS_H

#include "common/string_table.h"
#include "engine/write.h"

extern const RecoXactModule reco_pending_xact;

extern void reco_pending_begin(void);
extern void reco_pending_add(int64 user_id, RecoSlice product, TimestampTz at);
extern bool reco_pending_any(void);
extern void reco_pending_apply(RecoWrite *write);
extern void reco_pending_apply_now(void);
extern void reco_pending_discard(void);

#endif							/* RECO_PENDING_EVENTS_H */
