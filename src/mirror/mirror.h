/*-------------------------------------------------------------------------
 *
 * mirror.h
 *	  reco.product is made to say what the shop's catalog says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MIRROR_H
#define RECO_MIRROR_H

#include "mirror/mirror_writer.h"
#include "mirror/source_table.h"

typedef enum RecoMirrorResult
{
	RECO_MIRROR_DONE,
	RECO_MIRROR_LOCKED,			/* the catalog table is locked: try again */
	RECO_MIRROR_ALTERED			/* it was altered: compare all of it */
} RecoMirrorResult;

extern void reco_mirror_init(void);

/* The catalog table as it was found last; NULL: not known, or none. */
extern const RecoSource *reco_mirror_source(void);

/* It may have been altered since. */
extern bool reco_mirror_is_stale(void);

/*
 * Looking reads the catalog, in a transaction of its own, and fails with an
 * ERROR where that cannot be done; reco_mirror_forget() cleans up after it.
 * Applying writes what differed.
 */
extern RecoMirrorResult reco_mirror_check_altered(void);
extern RecoMirrorResult reco_mirror_lookup(RecoMirrorDelta *delta, const Datum *keys, int nkeys);
extern RecoMirrorResult reco_mirror_compare_all(RecoMirrorDelta *delta);
extern bool reco_mirror_apply(RecoMirrorDelta *delta);
extern bool reco_mirror_apply_some(RecoMirrorDelta *delta);

extern void reco_mirror_forget(void);

#endif							/* RECO_MIRROR_H */
