/*-------------------------------------------------------------------------
 *
 * tid_cache.h
 *	  TIDs at which a table's rows were last seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TID_CACHE_H
#define RECO_TID_CACHE_H

#include "storage/buf.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

/* Stages of prefetching a row: each needs what the one before has loaded. */
typedef enum RecoPrefetchStage
{
	RECO_PREFETCH_SLOT, RECO_PREFETCH_PAGE, RECO_PREFETCH_ROW, RECO_PREFETCH_STAGES
} RecoPrefetchStage;

/* The cache of one table, by key; NULL: empty. */
typedef struct tidhash_hash RecoTidCache;

extern ItemPointer reco_tid_cache_find(RecoTidCache *cache, int64 key);
extern void reco_tid_cache_set(RecoTidCache **cache, int64 key, ItemPointer tid, Buffer buffer);
extern void reco_tid_cache_prefetch(RecoTidCache *cache, Relation heap, int64 key, RecoPrefetchStage stage);

#endif							/* RECO_TID_CACHE_H */
