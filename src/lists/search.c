/*-------------------------------------------------------------------------
 *
 * search.c
 *	  A search for the users whose lists a change touches.
 *
 * Touches memory only, but for what touched.c may look up.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "lists/search.h"

/* Nobody is found yet; in the present memory context. */
void
reco_search_begin(RecoSearch *search, RecoTouched *touched)
{
	search->touched = touched;
	search->users = palloc(RECO_MAX_TOUCHED * sizeof(RecoUserPlace));
	search->count = 0;
	search->too_many = false;
}

/* A row that may be touched, as a RecoUserVisitor; false: there are too many. */
bool
reco_search_visit(RecoUserRows *rows, TupleTableSlot *row, void *arg)
{
	RecoSearch *search = arg;

	if (!reco_touched_is(search->touched, reco_user_row_views(rows, row), reco_user_row_list(rows, row)))
		return true;
	search->too_many = search->count == RECO_MAX_TOUCHED;
	if (!search->too_many)
		search->users[search->count++] = (RecoUserPlace) {reco_user_row_id(row), row->tts_tid};
	return !search->too_many;
}
