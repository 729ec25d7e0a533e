/*-------------------------------------------------------------------------
 *
 * brin_summarize.h
 *	  The indexes of activity's partitions are kept up with the pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_BRIN_SUMMARIZE_H
#define RECO_BRIN_SUMMARIZE_H

/* The follow worker's, outside transactions; ms until the next one. */
extern long reco_summarize_step(void);

#endif							/* RECO_BRIN_SUMMARIZE_H */
