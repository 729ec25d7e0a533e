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

/* The products that a transaction changes, and what a plan has found out about them. */
typedef struct RecoInvalidation RecoInvalidation;

extern RecoInvalidation *reco_invalidation_create(void);
extern void reco_invalidation_add(RecoInvalidation *change, const text *id, const text *category, bool enters);
extern void reco_invalidation_add_everything(RecoInvalidation *change);

/* Called without reco's lock, outside of transactions, to shorten the time under the lock. */
extern void reco_invalidation_plan(RecoInvalidation *change);

/* Called after the mirror has been written: computes the stale lists, or begins a generation. */
extern void reco_invalidation_apply(RecoInvalidation *change, RecoWrite *write);

#endif							/* RECO_INVALIDATION_H */
