/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Products by their number, for those who read lists.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOOKUP_H
#define RECO_LOOKUP_H

#include "utils/snapshot.h"

/*
 * Begin to look up what rows refer to that the snapshot shows, or that the
 * transaction has written; not in a parallel query.
 */
extern void reco_lookup_begin(Snapshot snapshot);
extern void reco_lookup_end(void);

/* Good until the end; category: NULL for none. */
extern text *reco_lookup_product(int32 number);
extern text *reco_lookup_category(int32 number);

/* Does the number stand for what it did as long as the epoch is the same? */
extern bool reco_lookup_is_lasting(int32 number);

/* Changes whenever a number may stand for another product than before. */
extern uint64 reco_lookup_epoch(void);

#endif							/* RECO_LOOKUP_H */
