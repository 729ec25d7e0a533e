/*-------------------------------------------------------------------------
 *
 * view_sort.h
 *	  Sorting views by user, and those of a user by time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VIEW_SORT_H
#define RECO_VIEW_SORT_H

#include "lists/view_history.h"

/* A view and its user. */
typedef struct RecoUserView
{
	int64		user_id;
	RecoView	view;
} RecoUserView;

typedef struct RecoViewSort RecoViewSort;

extern RecoViewSort *reco_view_sort_begin(void);
extern void reco_view_sort_put(RecoViewSort *sort, const RecoUserView *view);
extern void reco_view_sort_perform(RecoViewSort *sort);
extern bool reco_view_sort_next(RecoViewSort *sort, RecoUserView *view);
extern const RecoUserView *reco_view_sort_ahead(const RecoViewSort *sort, int n);
extern void reco_view_sort_end(RecoViewSort *sort);

#endif							/* RECO_VIEW_SORT_H */
