/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Where users' rows were last seen.
 *
 * A process that writes users' rows keeps where it wrote them: the descent
 * of the index for each was a fifth of the maintenance.  A place is only a
 * hint: the row there may be gone, not visible, or another user's, so whoever
 * follows it looks, and asks the index where the hint is wrong.  Nothing
 * has to be forgotten on abort, VACUUM FULL or TRUNCATE.
 *
 * Touches memory only, at most 64 MB.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "common/hashfn.h"
#include "place.h"
#include "utils/memutils.h"

/* Users remembered before all are forgotten; 16 bytes each, twice that with free slots. */
#define MAX_PLACES 3500000

typedef struct Place
{
	int64		user_id;
	ItemPointerData tid;
	char		status;
} Place;

#define SH_PREFIX places
#define SH_ELEMENT_TYPE Place
#define SH_KEY_TYPE int64
#define SH_KEY user_id
#define SH_HASH_KEY(table, key) murmurhash32((uint32) (key) ^ (uint32) ((key) >> 32))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static places_hash *places = NULL;

/* Where a user's row may stand; NULL if that is not known. */
ItemPointer
reco_place_find(int64 user_id)
{
	Place	   *place = places ? places_lookup(places, user_id) : NULL;

	return place ? &place->tid : NULL;
}

/* The user's row stands here now. */
void
reco_place_set(int64 user_id, ItemPointer tid)
{
	bool		found;

	if (places == NULL)
		places = places_create(TopMemoryContext, 256, NULL);
	if (places->members >= MAX_PLACES)
		places_reset(places);
	places_insert(places, user_id, &found)->tid = *tid;
}
