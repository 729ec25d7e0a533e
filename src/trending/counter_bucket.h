/*-------------------------------------------------------------------------
 *
 * counter_bucket.h
 *	  Counters of a window, packed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COUNTER_BUCKET_H
#define RECO_COUNTER_BUCKET_H

/* Products whose counters share a row, by their numbers. */
#define RECO_BUCKET 128

/* The counters of a row: counts[number % RECO_BUCKET]. */
typedef struct RecoCounts
{
	uint32		counts[RECO_BUCKET];
} RecoCounts;

extern void reco_counts_clear(RecoCounts *counts);
extern void reco_counts_unpack(RecoCounts *counts, Datum packed);
extern bytea *reco_counts_pack(const RecoCounts *counts);
extern int64 reco_counts_add(RecoCounts *counts, int32 number, int64 views);
extern bool reco_counts_are_zero(const RecoCounts *counts);

#endif							/* RECO_COUNTER_BUCKET_H */
