/*-------------------------------------------------------------------------
 *
 * rejected.h
 *	  The bounds of reco.rejected.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REJECTED_H
#define RECO_REJECTED_H

extern bool reco_rejected_trim(void);

#endif							/* RECO_REJECTED_H */
