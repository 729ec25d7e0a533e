/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Products by their number, for those who read lists.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOOKUP_H
#define RECO_LOOKUP_H

#include "common/slice.h"
#include "common/xact.h"
#include "utils/snapshot.h"

/*
 * Begin to look up what rows refer to that the snapshot shows, or that the
 * transaction has written; not in a parallel query.
 */
extern void reco_lookup_begin(Snapshot snapshot);
extern void reco_lookup_end(void);

/* Valid until the end; category: data is NULL for none; quoted: as a JSON string in UTF-8. */
extern RecoSlice reco_lookup_product(int32 number);
extern RecoSlice reco_lookup_category(int32 number);
extern RecoSlice reco_lookup_quoted(int32 number);

extern const RecoXactModule reco_lookup_xact;

#endif							/* RECO_LOOKUP_H */
