/*-------------------------------------------------------------------------
 *
 * resync.h
 *	  Resync: sends everything to the sink, and deletes orphans there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_RESYNC_H
#define RECO_RESYNC_H

#include "publish/sink.h"

/* To be called outside transactions. */
extern void reco_resync_begin(void);
extern void reco_resync_resume(void);
extern bool reco_resync_step(RecoSinkLink *link);	/* true: there is more to do */

#endif							/* RECO_RESYNC_H */
