/*-------------------------------------------------------------------------
 *
 * tid_cache.h
 *	  Where rows were last seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TID_CACHE_H
#define RECO_TID_CACHE_H

#include "storage/buf.h"
#include "storage/itemptr.h"

/* What of a row to prefetch: each stage needs what the one before has brought. */
typedef enum RecoPlaceStage
{
	RECO_PLACE_SLOT, RECO_PLACE_PAGE, RECO_PLACE_ROW, RECO_PLACE_STAGES
} RecoPlaceStage;

/* Of one table, by key; NULL: none yet. */
typedef struct places_hash RecoPlaces;

extern ItemPointer reco_place_find(RecoPlaces *places, int64 key);
extern void reco_place_set(RecoPlaces **places, int64 key, ItemPointer tid, Buffer buffer);
extern void reco_place_prefetch(RecoPlaces *places, int64 key, RecoPlaceStage stage);

#endif							/* RECO_TID_CACHE_H */
