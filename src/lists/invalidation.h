/*-------------------------------------------------------------------------
 *
 * invalidation.h
 *	  The lists that a change of the mirror touches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INVALIDATION_H
#define RECO_INVALIDATION_H

#include "engine/write.h"

/* A product has entered, left or changed. */
extern void reco_affected_product(const text *product, bool entered);
extern void reco_affected_everything(void);
extern void reco_affected_apply(RecoWrite *write);

/* Is the change at hand none for the lists? */
extern bool reco_affected_ignored(void);

extern const RecoXactModule reco_affected_xact;

#endif							/* RECO_INVALIDATION_H */
