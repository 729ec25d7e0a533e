/*-------------------------------------------------------------------------
 *
 * tid_cache.c
 *	  TIDs at which a table's rows were last seen.
 *
 * A process that writes rows remembers where: to descend the index for each was
 * a fifth of the maintenance.  An entry is only a hint: the row there may be
 * gone, invisible, or another one, so callers recheck the key, and use the index
 * if the hint is wrong.  Nothing has to be invalidated on abort, VACUUM FULL or
 * TRUNCATE.
 *
 * Memory only, including that of shared buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "heap/tid_cache.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/*
 * Slots of a table's hash, 24 bytes each: a worker's takes 192 MB, for 5 million
 * rows or so.  A client's session has few rows to write.  A full cache evicts a
 * random entry: rows that are written often come back soon.
 */
#define MAX_WORKER_SLOTS (8 * 1024 * 1024)
#define MAX_CLIENT_SLOTS (8 * 1024)

/* Bytes prefetched of a row, and of the space for its next version. */
#define CACHE_LINE 64
#define PREFETCHED (4 * CACHE_LINE)

typedef struct TidEntry
{
	int64		key;
	Buffer		buffer;			/* that held it; InvalidBuffer: unknown */
	ItemPointerData tid;
	char		status;
} TidEntry;

static inline uint32
tid_cache_hash(int64 key)
{
	return hash_combine(murmurhash32((uint32) key), murmurhash32((uint32) (key >> 32)));
}

#define SH_PREFIX tidhash
#define SH_ELEMENT_TYPE TidEntry
#define SH_KEY_TYPE int64
#define SH_KEY key
#define SH_HASH_KEY(table, key) tid_cache_hash(key)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The TID that a key's row may have; NULL if unknown. */
ItemPointer
reco_tid_cache_find(RecoTidCache *cache, int64 key)
{
	TidEntry   *entry = cache ? tidhash_lookup(cache, key) : NULL;

	return entry ? &entry->tid : NULL;
}

/* Evict a random entry. */
static void
tid_cache_evict(RecoTidCache *cache)
{
	uint32		at = pg_prng_uint32(&pg_global_prng_state) & cache->sizemask;

	while (cache->data[at].status != tidhash_SH_IN_USE)
		at = (at + 1) & cache->sizemask;
	tidhash_delete_item(cache, &cache->data[at]);
}

/* Set the TID of a key's row. */
void
reco_tid_cache_set(RecoTidCache **cache, int64 key, ItemPointer tid, Buffer buffer)
{
	TidEntry   *entry;
	uint64		most = MyBackendType == B_BG_WORKER ? MAX_WORKER_SLOTS : MAX_CLIENT_SLOTS;
	bool		found;

	if (*cache != NULL && (*cache)->size > most)	/* it grew because of collisions */
	{
		tidhash_destroy(*cache);
		*cache = NULL;
	}
	if (*cache == NULL)
		*cache = tidhash_create(TopMemoryContext, 256, NULL);
	entry = tidhash_insert(*cache, key, &found);
	if (!found && (*cache)->members > most / 5 * 3)
	{
		tid_cache_evict(*cache);
		entry = tidhash_insert(*cache, key, &found);	/* it may have moved, or been evicted */
	}
	entry->tid = *tid;
	entry->buffer = buffer;
}

static inline void
tid_cache_prefetch_lines(const char *address)
{
	for (int i = 0; i < PREFETCHED; i += CACHE_LINE)
		__builtin_prefetch(address + i);
}

/*
 * Prefetch what the stage says of a row that will be needed soon into the
 * processor's caches; each stage's miss would have to wait for the one before.
 * This made users' rows 4.1 -> 3.7 us an event.  It reads pages without a lock: the
 * contents only become addresses to prefetch, so they may be anything.
 */
void
reco_tid_cache_prefetch(RecoTidCache *cache, Relation heap, int64 key, RecoPrefetchStage stage)
{
	TidEntry   *entry;
	Page		page;
	ItemId		item;

	if (cache == NULL)
		return;
	if (stage == RECO_PREFETCH_SLOT)
	{
		__builtin_prefetch(&cache->data[tid_cache_hash(key) & cache->sizemask]);
		return;
	}
	entry = tidhash_lookup(cache, key);
	if (entry == NULL || entry->buffer == InvalidBuffer)
		return;
	page = BufferGetPage(entry->buffer);
	item = PageGetItemId(page, ItemPointerGetOffsetNumber(&entry->tid));
	if (stage == RECO_PREFETCH_PAGE)
	{
		__builtin_prefetch(page);
		__builtin_prefetch(item);
	}
	else if (ReadRecentBuffer(reco_relation_locator(heap), MAIN_FORKNUM,
							  ItemPointerGetBlockNumber(&entry->tid), entry->buffer))
	{
		tid_cache_prefetch_lines((char *) page + ItemIdGetOffset(item));
		tid_cache_prefetch_lines((char *) page + ((PageHeader) page)->pd_upper - PREFETCHED);
		ReleaseBuffer(entry->buffer);
	}
}
