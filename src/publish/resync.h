/*-------------------------------------------------------------------------
 *
 * resync.h
 *	  Everything is sent to the sink, and what is left over there deleted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_RESYNC_H
#define RECO_RESYNC_H

#include "publish/sink.h"

/* All outside transactions. */
extern void reco_resync_begin(void);
extern void reco_resync_resume(void);
extern bool reco_resync_step(RecoSinkLink *link);	/* true: there is more to do */

#endif							/* RECO_RESYNC_H */
