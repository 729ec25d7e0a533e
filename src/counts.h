/*-------------------------------------------------------------------------
 *
 * counts.h
 *	  Counters of a window, packed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COUNTS_H
#define RECO_COUNTS_H

/*
 * Products whose counters share a row, by their numbers.  Beside an old
 * snapshot each view costs a version of the row, until the snapshot ends.
 */
#define RECO_BUCKET 32

/* What a row holds: counts[number % RECO_BUCKET], in the machine's byte order. */
typedef struct RecoCounts
{
	int32		header;			/* of a bytea */
	uint32		counts[RECO_BUCKET];
} RecoCounts;

extern void reco_counts_clear(RecoCounts *counts);
extern void reco_counts_unpack(RecoCounts *counts, Datum packed);
extern int64 reco_counts_add(RecoCounts *counts, int32 number, int64 views);
extern bool reco_counts_are_zero(const RecoCounts *counts);

#endif							/* RECO_COUNTS_H */
