/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  What was read of a partition, by marks of some of its messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TRAIL_H
#define RECO_TRAIL_H

#include "kafka/consumer.h"

/* The newest messages have a mark each, older ones fewer and fewer. */
#define RECO_TRAIL_DENSE 32
#define RECO_TRAIL_MAX 96

typedef struct RecoMark
{
	int64		offset;
	uint64		hash;			/* of time, key and payload */
} RecoMark;

typedef struct RecoTrail
{
	int64		newest;			/* the latest time of a message read, ms since 1970; -1: not known */
	int64		count;
	RecoMark	marks[RECO_TRAIL_MAX];	/* by offset; the first one: of the first message read */
} RecoTrail;

extern uint64 reco_trail_hash(const RecoMessage *message);
extern void reco_trail_extend(RecoTrail *trail, const RecoMessage *messages,
							  const int *previous, int last);
extern void reco_trail_cut(RecoTrail *trail, int64 next);
extern bytea *reco_trail_pack(const RecoTrail *trail);
extern bool reco_trail_unpack(RecoTrail *trail, const bytea *packed);

#endif							/* RECO_TRAIL_H */
