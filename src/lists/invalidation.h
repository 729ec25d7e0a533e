/*-------------------------------------------------------------------------
 *
 * invalidation.h
 *	  The lists that a change of the mirror makes stale.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INVALIDATION_H
#define RECO_INVALIDATION_H

#include "engine/write.h"

/* The products that a transaction changes, and what has been found out about them before. */
typedef struct RecoInvalidation RecoInvalidation;

extern RecoInvalidation *reco_invalidation_create(void);
extern void reco_invalidation_add(RecoInvalidation *change, const text *id, const text *category, bool enters);
extern void reco_invalidation_add_everything(RecoInvalidation *change);

/* Without reco's lock, and not in a transaction: makes the time under the lock short. */
extern void reco_invalidation_plan(RecoInvalidation *change);

/* The mirror has changed so: bring the lists up to date, or begin a generation. */
extern void reco_invalidation_apply(RecoInvalidation *change, RecoWrite *write);

#endif							/* RECO_INVALIDATION_H */
