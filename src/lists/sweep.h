/*-------------------------------------------------------------------------
 *
 * sweep.h
 *	  The lists are brought to the current generation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SWEEP_H
#define RECO_SWEEP_H

/* The follow worker's, outside transactions; ms until the next one, -1: there is nothing to do. */
extern long reco_sweep_step(void);

#endif							/* RECO_SWEEP_H */
