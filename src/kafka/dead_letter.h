/*-------------------------------------------------------------------------
 *
 * dead_letter.h
 *	  The bounds of reco.rejected.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_DEAD_LETTER_H
#define RECO_DEAD_LETTER_H

extern bool reco_rejected_flood(void);
extern bool reco_rejected_trim(void);

#endif							/* RECO_DEAD_LETTER_H */
