/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  The clock and the partitions of reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ACTIVITY_H
#define RECO_ACTIVITY_H

#include "state.h"

/* The ingest worker's: each runs transactions of its own, outside any. */
extern long reco_clock_step(void);	/* ms until the next; 0: it lags, call again */
extern void reco_activity_maintain(void);	/* partitions come, get a BRIN index, go */

extern void reco_activity_prepare(const RecoState *state, TimestampTz upto);

#endif							/* RECO_ACTIVITY_H */
