/*-------------------------------------------------------------------------
 *
 * dead_letter.h
 *	  Trimming of reco.rejected, the dead letters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_DEAD_LETTER_H
#define RECO_DEAD_LETTER_H

extern bool reco_dead_letter_is_flooded(void);
extern bool reco_dead_letter_trim(void);

#endif							/* RECO_DEAD_LETTER_H */
