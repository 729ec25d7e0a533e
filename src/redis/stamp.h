/*-------------------------------------------------------------------------
 *
 * stamp.h
 *	  The stamp key: does Redis still hold what was published?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STAMP_H
#define RECO_STAMP_H

#include "redis/connection.h"

extern uint32 reco_stamp_target(void);

/* Look without changing it, once connected. */
extern void reco_stamp_look(RecoRedis *redis);

/* Look and leave a new one, after every batch and while idle. */
extern void reco_stamp_swap(RecoRedis *redis);

#endif							/* RECO_STAMP_H */
