/*-------------------------------------------------------------------------
 *
 * mirror.h
 *	  Bringing reco.product in line with the shop's catalog.
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

/* The catalog table as last looked up; NULL: unknown, or none. */
extern const RecoSource *reco_mirror_source(void);

/* May it have been altered since? */
extern bool reco_mirror_is_stale(void);

/*
 * The first three read the catalog, in a transaction of their own, and raise
 * an ERROR if that is not possible; reco_mirror_forget() cleans up after one.
 * The other two write the delta.
 */
extern RecoMirrorResult reco_mirror_check_altered(void);
extern RecoMirrorResult reco_mirror_lookup(RecoMirrorDelta *delta, const Datum *keys, int nkeys);
extern RecoMirrorResult reco_mirror_compare_all(RecoMirrorDelta *delta);
extern bool reco_mirror_apply(RecoMirrorDelta *delta);
extern bool reco_mirror_apply_some(RecoMirrorDelta *delta);

extern void reco_mirror_forget(void);

#endif							/* RECO_MIRROR_H */
