/*-------------------------------------------------------------------------
 *
 * sweep.h
 *	  The sweep: bringing lists to the current generation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SWEEP_H
#define RECO_SWEEP_H

/*
 * Called by the follow worker outside of transactions; returns the
 * milliseconds until the next step, -1: none is needed.
 */
extern long reco_sweep_step(void);

#endif							/* RECO_SWEEP_H */
