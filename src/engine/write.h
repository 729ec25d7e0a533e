/*-------------------------------------------------------------------------
 *
 * write.h
 *	  The right to change derived state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WRITE_H
#define RECO_WRITE_H

#include "engine/product_build.h"
#include "engine/state.h"
#include "storage/lockdefs.h"

/*
 * A RecoWrite proves that its holder has reco's lock, has read reco.state
 * under it, and that the product cache has the version that it names.
 * Functions that write derived tables require one.  It is valid until
 * reco_write_end() or the end of the transaction.
 */
typedef struct RecoWrite RecoWrite;

extern const RecoXactModule reco_write_xact;

extern RecoWrite *reco_write_begin(LOCKMODE activity);
extern const RecoState *reco_write_state(const RecoWrite *write);
extern void reco_write_end(RecoWrite *write);

/* Changes of reco.state, which reco_write_end() writes. */
extern void reco_write_set_clock(RecoWrite *write, TimestampTz clock);
extern void reco_write_apply_settings(RecoWrite *write);
extern void reco_write_next_generation(RecoWrite *write);
extern void reco_write_set_popularity_at(RecoWrite *write, TimestampTz at);
extern void reco_write_products_changed(RecoWrite *write, RecoProductRow *rows, int n);
extern void reco_write_products_ordered(RecoWrite *write, const int64 *by_number, int32 size);
extern void reco_write_numbers_changed(RecoWrite *write);

/* Only the lock, for callers that also wait for other locks. */
extern void reco_write_require_allowed(void);
extern void reco_write_announce(void);
extern void reco_write_lock(LOCKMODE activity);
extern void reco_write_unlock(void);
extern bool reco_write_is_locked(void);

#endif							/* RECO_WRITE_H */
