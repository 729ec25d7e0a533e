/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Where rows were last seen.
 *
 * A process that writes rows keeps where it wrote them: the descent of the
 * index for each was a fifth of the maintenance.  A place is only a hint: the
 * row there may be gone, not visible, or another one, so whoever follows it
 * looks, and asks the index where the hint is wrong.  Nothing has to be
 * forgotten on abort, VACUUM FULL or TRUNCATE.
 *
 * Touches memory only.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "place.h"
#include "utils/memutils.h"

/*
 * Slots of a table, of 16 bytes, before all is forgotten: a worker's take
 * 128 MB, with 5 million rows or so.  A client's session has few rows to write.
 */
#define MAX_WORKER_SLOTS (8 * 1024 * 1024)
#define MAX_CLIENT_SLOTS (8 * 1024)

typedef struct Place
{
	int64		key;
	ItemPointerData tid;
	char		status;
} Place;

#define SH_PREFIX places
#define SH_ELEMENT_TYPE Place
#define SH_KEY_TYPE int64
#define SH_KEY key
#define SH_HASH_KEY(table, key) \
	hash_combine(murmurhash32((uint32) (key)), murmurhash32((uint32) ((key) >> 32)))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Where a key's row may stand; NULL if that is not known. */
ItemPointer
reco_place_find(RecoPlaces *places, int64 key)
{
	Place	   *place = places ? places_lookup(places, key) : NULL;

	return place ? &place->tid : NULL;
}

/* The key's row stands here now. */
void
reco_place_set(RecoPlaces **places, int64 key, ItemPointer tid)
{
	uint64		most = MyBackendType == B_BG_WORKER ? MAX_WORKER_SLOTS : MAX_CLIENT_SLOTS;
	bool		found;

	if (*places != NULL && ((*places)->members > most / 5 * 3 || (*places)->size > most))
	{
		places_destroy(*places);
		*places = NULL;
	}
	if (*places == NULL)
		*places = places_create(TopMemoryContext, 256, NULL);
	places_insert(*places, key, &found)->tid = *tid;
}
