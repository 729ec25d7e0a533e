/*-------------------------------------------------------------------------
 *
 * dictionary_vacuum.h
 *	  Freeing product numbers that nothing refers to any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_DICTIONARY_VACUUM_H
#define RECO_DICTIONARY_VACUUM_H

/*
 * Called by the follow worker outside of transactions: if there are many
 * product numbers of products that are neither in the catalog nor viewed,
 * frees some of them.  Checks this once in each generation.
 */
extern void reco_dictionary_vacuum_step(void);

#endif							/* RECO_DICTIONARY_VACUUM_H */
