/*-------------------------------------------------------------------------
 *
 * view_batch.h
 *	  From rows of activity to the changes of counters and of users.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VIEW_BATCH_H
#define RECO_VIEW_BATCH_H

#include "common/string_table.h"
#include "engine/write.h"
#include "executor/tuptable.h"

/* Columns of reco.activity. */
enum
{
	RECO_ACTIVITY_EVENT_TYPE = 1, RECO_ACTIVITY_USER_ID, RECO_ACTIVITY_PRODUCT_ID,
	RECO_ACTIVITY_QUERY, RECO_ACTIVITY_TIMESTAMP
};

typedef struct RecoViews RecoViews;

typedef enum RecoViewsMode
{
	RECO_VIEWS_ADD,				/* counters and users get these views */
	RECO_VIEWS_TAKE,			/* counters lose them */
	RECO_VIEWS_REPLACE,			/* users have these views and no others */
	RECO_VIEWS_REBUILD			/* the same, and counters get them */
} RecoViewsMode;

extern RecoViews *reco_views_begin(RecoWrite *write, RecoViewsMode mode);
extern void reco_views_put(RecoViews *views, int64 user_id, RecoSlice product, TimestampTz at);
extern bool reco_views_put_row(RecoViews *views, TupleTableSlot *row);
extern int64 reco_views_end(RecoViews *views);

#endif							/* RECO_VIEW_BATCH_H */
