/*-------------------------------------------------------------------------
 *
 * view_batch.h
 *	  From rows of activity to changes of counters and of users' rows.
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

typedef struct RecoViewBatch RecoViewBatch;

typedef enum RecoViewBatchMode
{
	RECO_VIEWS_ADD,				/* add the views to counters and users */
	RECO_VIEWS_REMOVE,			/* subtract them from the counters */
	RECO_VIEWS_REPLACE,			/* users have these views and no others */
	RECO_VIEWS_REBUILD			/* the same, and add them to the counters */
} RecoViewBatchMode;

/* A page view, as a row of reco.activity holds it. */
typedef struct RecoActivityView
{
	int64		user_id;
	RecoSlice	product;		/* points into the row */
	TimestampTz at;
} RecoActivityView;

extern bool reco_activity_view(TupleTableSlot *row, RecoActivityView *view);
extern RecoViewBatch *reco_view_batch_begin(RecoWrite *write, RecoViewBatchMode mode);
extern void reco_view_batch_put(RecoViewBatch *views, int64 user_id, RecoSlice product, TimestampTz at);
extern bool reco_view_batch_put_row(RecoViewBatch *views, TupleTableSlot *row);
extern int64 reco_view_batch_end(RecoViewBatch *views);

#endif							/* RECO_VIEW_BATCH_H */
