/*-------------------------------------------------------------------------
 *
 * dictionary_vacuum.h
 *	  Product numbers that nothing refers to any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_DICTIONARY_VACUUM_H
#define RECO_DICTIONARY_VACUUM_H

/*
 * The follow worker's, in a transaction of its own: gives free some of the
 * numbers of products that are neither in the catalog nor viewed, once there
 * are many of them.  Looks again at a change of the generation only.
 */
extern void reco_dictionary_vacuum_step(void);

#endif							/* RECO_DICTIONARY_VACUUM_H */
