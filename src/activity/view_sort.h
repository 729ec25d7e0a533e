/*-------------------------------------------------------------------------
 *
 * view_sort.h
 *	  Views in the order of their users.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VIEW_SORT_H
#define RECO_VIEW_SORT_H

#include "lists/view_history.h"

/* A view and who had it. */
typedef struct RecoUserView
{
	int64		user_id;
	RecoView	view;
} RecoUserView;

typedef struct RecoByUser RecoByUser;

extern RecoByUser *reco_by_user_begin(void);
extern void reco_by_user_put(RecoByUser *sort, const RecoUserView *view);
extern void reco_by_user_perform(RecoByUser *sort);
extern bool reco_by_user_next(RecoByUser *sort, RecoUserView *view);
extern const RecoUserView *reco_by_user_ahead(const RecoByUser *sort, int n);
extern void reco_by_user_end(RecoByUser *sort);

#endif							/* RECO_VIEW_SORT_H */
