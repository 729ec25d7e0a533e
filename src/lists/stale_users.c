/*-------------------------------------------------------------------------
 *
 * stale_users.c
 *	  The users whose lists a change of products makes stale.
 *
 * Does no I/O, except where the strategy looks up products.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "lists/stale_users.h"

/* Begin a search, in the current memory context. */
void
reco_stale_users_init(RecoStaleUsers *search, const RecoStale *stale)
{
	search->stale = stale;
	search->users = palloc(RECO_MAX_STALE_USERS * sizeof(RecoUserTid));
	search->count = 0;
	search->too_many = false;
}

/* Check a row, as a RecoUserVisitor; false if there are too many stale ones. */
bool
reco_stale_users_visit(RecoUserRows *rows, TupleTableSlot *row, void *arg)
{
	RecoStaleUsers *search = arg;

	if (!reco_strategy->is_stale(search->stale, reco_user_row_views(rows, row), reco_user_row_list(rows, row)))
		return true;
	search->too_many = search->count == RECO_MAX_STALE_USERS;
	if (!search->too_many)
		search->users[search->count++] = (RecoUserTid) {reco_user_row_id(row), row->tts_tid};
	return !search->too_many;
}
