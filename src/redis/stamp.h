/*-------------------------------------------------------------------------
 *
 * stamp.h
 *	  The stamp key: which publisher owns Redis, and has Redis lost data?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STAMP_H
#define RECO_STAMP_H

#include "redis/connection.h"

extern uint32 reco_stamp_target(void);

/*
 * May we write?  0: we own Redis from now on, as long as the stamp is swapped in
 * time; otherwise the milliseconds until the next attempt.
 */
extern long reco_stamp_claim(RecoRedis *redis);

/* Renew the stamp, after every batch and while idle; false: another publisher owns Redis. */
extern bool reco_stamp_swap(RecoRedis *redis);

/* Stop watching another's stamp, since the connection ends. */
extern void reco_stamp_stop_watching(void);

#endif							/* RECO_STAMP_H */
