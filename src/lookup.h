/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Products by their number, as a snapshot shows them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOOKUP_H
#define RECO_LOOKUP_H

#include "utils/snapshot.h"

/* What is looked up between begin and end is as the snapshot shows it. */
extern void reco_lookup_begin(Snapshot snapshot);
extern void reco_lookup_end(void);

/* Good until the end; category: NULL for none. */
extern text *reco_lookup_product(int32 number);
extern text *reco_lookup_category(int32 number);

/* Changes whenever a number may stand for another product than before. */
extern uint64 reco_lookup_epoch(void);

#endif							/* RECO_LOOKUP_H */
