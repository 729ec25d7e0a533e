/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The engine's time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CLOCK_H
#define RECO_CLOCK_H

/*
 * The ingest worker's, in transactions of its own: one step towards the wall
 * clock; parameters that changed are taken over first.  Returns the
 * milliseconds until the next step is due; 0: the clock lags, call again.
 */
extern long reco_clock_step(void);

#endif							/* RECO_CLOCK_H */
