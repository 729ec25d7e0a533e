/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  reco's clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CLOCK_H
#define RECO_CLOCK_H

/*
 * Called by the ingest worker: one step towards the wall clock, in
 * transactions of its own, after changed settings have been put into force.
 * Returns the milliseconds until the next step is due; 0: the clock lags, call
 * again.
 */
extern long reco_clock_step(void);

#endif							/* RECO_CLOCK_H */
