/*-------------------------------------------------------------------------
 *
 * late_flush.h
 *	  A commit that is flushed to disk when its locks are released.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LATE_FLUSH_H
#define RECO_LATE_FLUSH_H

#include "common/xact.h"

extern const RecoXactModule reco_late_flush_xact;

extern void reco_late_flush_init(void);
extern void reco_late_flush_request(void);

#endif							/* RECO_LATE_FLUSH_H */
