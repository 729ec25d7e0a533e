/*-------------------------------------------------------------------------
 *
 * sweep.h
 *	  Brings the lists to the current generation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SWEEP_H
#define RECO_SWEEP_H

/* The follow worker's: runs transactions of its own, outside any. */
extern long reco_sweep_step(void);	/* ms until the next one, -1: there is nothing to do */

#endif							/* RECO_SWEEP_H */
