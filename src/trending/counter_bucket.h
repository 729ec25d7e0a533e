/*-------------------------------------------------------------------------
 *
 * counter_bucket.h
 *	  A bucket of a window's counters, packed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_COUNTER_BUCKET_H
#define RECO_COUNTER_BUCKET_H

/* Products whose counters share a row, by their numbers. */
#define RECO_BUCKET_SIZE 128

/* The counters of a row: counts[number % RECO_BUCKET_SIZE]. */
typedef struct RecoCounterBucket
{
	uint32		counts[RECO_BUCKET_SIZE];
} RecoCounterBucket;

extern void reco_counter_bucket_clear(RecoCounterBucket *counts);
extern void reco_counter_bucket_unpack(RecoCounterBucket *counts, Datum packed);
extern bytea *reco_counter_bucket_pack(const RecoCounterBucket *counts);
extern int64 reco_counter_bucket_add(RecoCounterBucket *counts, int32 number, int64 views);
extern bool reco_counter_bucket_is_zero(const RecoCounterBucket *counts);

#endif							/* RECO_COUNTER_BUCKET_H */
