/*-------------------------------------------------------------------------
 *
 * window_counter.h
 *	  The windows' counters and the top K products of each.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WINDOW_COUNTER_H
#define RECO_WINDOW_COUNTER_H

#include "engine/write.h"

/* A change of a product's views in a window. */
typedef struct RecoCounterDelta
{
	TimestampTz window;			/* its start */
	int32		number;			/* of the product */
	int64		views;			/* to add; may be negative */
} RecoCounterDelta;

extern int64 *reco_window_counter_sums(TimestampTz after, int32 size);
extern void reco_window_counter_add(RecoWrite *write, RecoCounterDelta *counts, int n);
extern void reco_window_counter_drop(RecoWrite *write);

#endif							/* RECO_WINDOW_COUNTER_H */
