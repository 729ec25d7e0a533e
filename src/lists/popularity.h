/*-------------------------------------------------------------------------
 *
 * popularity.h
 *	  Generations: popularity is taken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_POPULARITY_H
#define RECO_POPULARITY_H

/* The follow worker's, outside transactions; ms until popularity is due, at least 1. */
extern long reco_popularity_step(void);

#endif							/* RECO_POPULARITY_H */
