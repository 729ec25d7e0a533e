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
typedef enum RecoPrefetchStage
{
	RECO_PREFETCH_SLOT, RECO_PREFETCH_PAGE, RECO_PREFETCH_ROW, RECO_PREFETCH_STAGES
} RecoPrefetchStage;

/* Of one table, by key; NULL: none yet. */
typedef struct places_hash RecoTidCache;

extern ItemPointer reco_tid_cache_find(RecoTidCache *places, int64 key);
extern void reco_tid_cache_set(RecoTidCache **places, int64 key, ItemPointer tid, Buffer buffer);
extern void reco_tid_cache_prefetch(RecoTidCache *places, int64 key, RecoPrefetchStage stage);

#endif							/* RECO_TID_CACHE_H */
