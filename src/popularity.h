/*-------------------------------------------------------------------------
 *
 * popularity.h
 *	  Generations: products' popularity is taken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_POPULARITY_H
#define RECO_POPULARITY_H

/* The follow worker's: runs transactions of its own, outside any. */
extern long reco_popularity_step(void); /* ms until popularity is due, at least 1 */

#endif							/* RECO_POPULARITY_H */
