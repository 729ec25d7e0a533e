/*-------------------------------------------------------------------------
 *
 * tid_cache.c
 *	  Where rows were last seen.
 *
 * A process that writes rows keeps where it wrote them: the descent of the
 * index for each was a fifth of the maintenance.  A place is only a hint: the
 * row there may be gone, not visible, or another one, so whoever follows it
 * looks, and asks the index where the hint is wrong.  Nothing has to be
 * forgotten on abort, VACUUM FULL or TRUNCATE.
 *
 * Touches memory only, also that of shared buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "heap/tid_cache.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

/*
 * Slots of a table, of 24 bytes: a worker's take 192 MB, with 5 million rows or
 * so.  A client's session has few rows to write.  When there are more rows, a
 * new place takes the room of any other: what is written often comes back soon.
 */
#define MAX_WORKER_SLOTS (8 * 1024 * 1024)
#define MAX_CLIENT_SLOTS (8 * 1024)

/* What is prefetched of a row, and of the place of its next version. */
#define CACHE_LINE 64
#define PREFETCHED (4 * CACHE_LINE)

typedef struct Place
{
	int64		key;
	Buffer		buffer;			/* that held it; InvalidBuffer: not known */
	ItemPointerData tid;
	char		status;
} Place;

static inline uint32
hash_key(int64 key)
{
	return hash_combine(murmurhash32((uint32) key), murmurhash32((uint32) (key >> 32)));
}

#define SH_PREFIX places
#define SH_ELEMENT_TYPE Place
#define SH_KEY_TYPE int64
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_key(key)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Where a key's row may stand; NULL if that is not known. */
ItemPointer
reco_tid_cache_find(RecoTidCache *places, int64 key)
{
	Place	   *place = places ? places_lookup(places, key) : NULL;

	return place ? &place->tid : NULL;
}

/* Forget some place. */
static void
forget_any(RecoTidCache *places)
{
	uint32		at = pg_prng_uint32(&pg_global_prng_state) & places->sizemask;

	while (places->data[at].status != places_SH_IN_USE)
		at = (at + 1) & places->sizemask;
	places_delete_item(places, &places->data[at]);
}

/* The key's row stands here now. */
void
reco_tid_cache_set(RecoTidCache **places, int64 key, ItemPointer tid, Buffer buffer)
{
	Place	   *place;
	uint64		most = MyBackendType == B_BG_WORKER ? MAX_WORKER_SLOTS : MAX_CLIENT_SLOTS;
	bool		found;

	if (*places != NULL && (*places)->size > most)	/* keys that hash badly have made it grow */
	{
		places_destroy(*places);
		*places = NULL;
	}
	if (*places == NULL)
		*places = places_create(TopMemoryContext, 256, NULL);
	place = places_insert(*places, key, &found);
	if (!found && (*places)->members > most / 5 * 3)
	{
		forget_any(*places);
		place = places_insert(*places, key, &found);	/* others have moved, or this is the one */
	}
	place->tid = *tid;
	place->buffer = buffer;
}

static inline void
prefetch_lines(const char *address)
{
	for (int i = 0; i < PREFETCHED; i += CACHE_LINE)
		__builtin_prefetch(address + i);
}

/*
 * A row will be wanted soon: bring what the stage says into the processor's
 * caches, for each is a miss that waits for the one before.  Ingestion 4.7 -> 4.1
 * us an event.  Reads pages that it has not pinned: what it finds there only
 * becomes an address to prefetch, so it may be anything.
 */
void
reco_tid_cache_prefetch(RecoTidCache *places, int64 key, RecoPrefetchStage stage)
{
	Place	   *place;
	Page		page;
	ItemId		item;

	if (places == NULL)
		return;
	if (stage == RECO_PREFETCH_SLOT)
	{
		__builtin_prefetch(&places->data[hash_key(key) & places->sizemask]);
		return;
	}
	place = places_lookup(places, key);
	if (place == NULL || place->buffer == InvalidBuffer)
		return;
	page = BufferGetPage(place->buffer);
	item = PageGetItemId(page, ItemPointerGetOffsetNumber(&place->tid));
	if (stage == RECO_PREFETCH_PAGE)
	{
		__builtin_prefetch(GetBufferDescriptor(place->buffer - 1));
		__builtin_prefetch(page);
		__builtin_prefetch(item);
	}
	else
	{
		prefetch_lines((char *) page + ItemIdGetOffset(item));
		prefetch_lines((char *) page + ((PageHeader) page)->pd_upper - PREFETCHED);
	}
}
