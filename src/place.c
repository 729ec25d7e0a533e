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
 * Touches memory only: one entry a slot, the last one counts; 16 bytes for
 * each, at most 64 MB.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "common/hashfn.h"
#include "place.h"
#include "utils/memutils.h"

#define MIN_SIZE 1024
#define MAX_SIZE (4 * 1024 * 1024)

typedef struct Place
{
	int64		user_id;
	ItemPointerData tid;		/* all 0: empty */
} Place;

static Place *places = NULL;
static uint32 size = 0;			/* a power of 2 */
static uint32 used = 0;

static bool
is_empty(const Place *place)
{
	return place->tid.ip_posid == InvalidOffsetNumber;
}

static Place *
slot_of(int64 user_id)
{
	return &places[murmurhash32((uint32) user_id ^ (uint32) (user_id >> 32)) & (size - 1)];
}

static void
grow(void)
{
	Place	   *old = places;
	uint32		old_size = size;

	size = Max(MIN_SIZE, old_size * 2);
	used = 0;
	places = MemoryContextAllocExtended(TopMemoryContext, size * sizeof(Place),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < old_size; i++)
		if (!is_empty(&old[i]))
			reco_place_set(old[i].user_id, &old[i].tid);
	if (old != NULL)
		pfree(old);
}

/* Where a user's row may stand; NULL if that is not known. */
ItemPointer
reco_place_find(int64 user_id)
{
	Place	   *place;

	if (size == 0)
		return NULL;
	place = slot_of(user_id);
	return is_empty(place) || place->user_id != user_id ? NULL : &place->tid;
}

/* The user's row stands here now. */
void
reco_place_set(int64 user_id, ItemPointer tid)
{
	Place	   *place;

	if (used >= size / 2 && size < MAX_SIZE)
		grow();
	place = slot_of(user_id);
	used += is_empty(place);
	place->user_id = user_id;
	place->tid = *tid;
}
