/*-------------------------------------------------------------------------
 *
 * brin_summarize.h
 *	  Keeping the BRIN indexes of reco.activity up to date.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_BRIN_SUMMARIZE_H
#define RECO_BRIN_SUMMARIZE_H

/*
 * Called by the follow worker outside of transactions; returns the
 * milliseconds until the next step.
 */
extern long reco_summarize_step(void);

#endif							/* RECO_BRIN_SUMMARIZE_H */
