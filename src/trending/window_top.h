/*-------------------------------------------------------------------------
 *
 * window_top.h
 *	  The top K products of a window: rows of reco.window_top.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WINDOW_TOP_H
#define RECO_WINDOW_TOP_H

#include "engine/write.h"
#include "heap/keyed_table.h"

/* A product and its views in a window. */
typedef struct RecoRank
{
	int32		number;
	int64		views;
} RecoRank;

/* Sorted by number; allocated in the memory context that was current. */
typedef struct RecoTopK
{
	RecoRank   *ranks;
	int			count;
} RecoTopK;

extern RecoTable *reco_window_top_open(RecoWrite *write);
extern RecoTable *reco_window_top_open_read(Snapshot snapshot);
extern TupleTableSlot *reco_window_top_fetch(RecoTable *table, TimestampTz window, RecoTopK *top);
extern TupleTableSlot *reco_window_top_fetch_near(RecoTable *table, TimestampTz window,
												  ItemPointer tid, RecoTopK *top);
extern void reco_window_top_write(RecoTable *table, TimestampTz window, TupleTableSlot *row,
								  const RecoTopK *top);

#endif							/* RECO_WINDOW_TOP_H */
