/*-------------------------------------------------------------------------
 *
 * window_counter.h
 *	  The windows' counters and their most viewed products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WINDOW_COUNTER_H
#define RECO_WINDOW_COUNTER_H

#include "engine/state.h"

/* Views of a product in a window. */
typedef struct RecoCount
{
	TimestampTz window;			/* its start */
	int32		number;			/* of the product */
	int64		views;			/* more (or fewer) than before */
} RecoCount;

extern int64 *reco_trending_sums(TimestampTz after, int32 size);
extern void reco_trending_add(const RecoState *state, RecoCount *counts, int n);
extern void reco_trending_drop(const RecoState *state);

#endif							/* RECO_WINDOW_COUNTER_H */
