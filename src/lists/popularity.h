/*-------------------------------------------------------------------------
 *
 * popularity.h
 *	  Generations: computing the popularity of all products.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_POPULARITY_H
#define RECO_POPULARITY_H

/*
 * Called by the follow worker outside of transactions; returns the
 * milliseconds until the popularity is due, at least 1.
 */
extern long reco_popularity_step(void);

#endif							/* RECO_POPULARITY_H */
