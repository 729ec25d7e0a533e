/*-------------------------------------------------------------------------
 *
 * resync.h
 *	  Everything is sent to Redis, and what is left over there deleted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_RESYNC_H
#define RECO_RESYNC_H

#include "redis/connection.h"

/* All outside transactions. */
extern void reco_resync_begin(void);
extern void reco_resync_resume(void);
extern bool reco_resync_step(RecoRedis *redis);	/* true: there is more to do */

#endif							/* RECO_RESYNC_H */
