/*-------------------------------------------------------------------------
 *
 * stamp.h
 *	  The stamp key: who publishes, and does Redis still hold it?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STAMP_H
#define RECO_STAMP_H

#include "redis/connection.h"

extern uint32 reco_stamp_target(void);

/*
 * May we write?  0: Redis is ours from now on, as long as the stamp is swapped
 * in time; else milliseconds until it should be asked again.
 */
extern long reco_stamp_claim(RecoRedis *redis);

/* Look and leave a new one, after every batch and while idle; false: Redis is another's. */
extern bool reco_stamp_swap(RecoRedis *redis);

/* The connection ends: another's silence is not seen any more. */
extern void reco_stamp_look_away(void);

#endif							/* RECO_STAMP_H */
