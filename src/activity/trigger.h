/*-------------------------------------------------------------------------
 *
 * trigger.h
 *	  Maintenance of the derived tables, whoever writes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TRIGGER_H
#define RECO_TRIGGER_H

#include "engine/write.h"

extern const RecoXactModule reco_trigger_xact;

extern bool reco_trigger_is_truncating(void);

/*
 * Between the two calls the triggers on reco.product only collect what
 * changed; the second one brings the lists up to date, once.  The caller
 * holds reco's lock.
 */
extern void reco_trigger_defer_mirror(void);
extern void reco_trigger_apply_mirror(RecoWrite *write);

#endif							/* RECO_TRIGGER_H */
