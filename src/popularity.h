/*-------------------------------------------------------------------------
 *
 * popularity.h
 *	  Generations: popularity is taken, and a sweep brings the lists along.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_POPULARITY_H
#define RECO_POPULARITY_H

/* The follow worker's: each runs transactions of its own, outside any. */
extern long reco_popularity_step(void); /* ms until popularity is due, at least 1 */
extern long reco_sweep_step(void);	/* ms until the next one, -1: there is nothing to do */

#endif							/* RECO_POPULARITY_H */
