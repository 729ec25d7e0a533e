/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  The trail of a partition: marks of messages that were read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TRAIL_H
#define RECO_TRAIL_H

#include "kafka/poll.h"

/* Each of the newest messages has a mark, older ones fewer and fewer. */
#define RECO_TRAIL_DENSE 32
#define RECO_TRAIL_MAX 96

typedef struct RecoMark
{
	int64		offset;
	uint64		hash;			/* of time, key and payload */
} RecoMark;

typedef struct RecoTrail
{
	int64		newest;			/* the latest time of a message read, ms since 1970; -1: unknown */
	int64		count;
	RecoMark	marks[RECO_TRAIL_MAX];	/* sorted by offset; the first is that of the first message read */
} RecoTrail;

extern uint64 reco_trail_hash(const RecoMessage *message);
extern void reco_trail_extend(RecoTrail *trail, const RecoMessage *messages,
							  const int *previous, int last);
extern void reco_trail_cut(RecoTrail *trail, int64 next);
extern bytea *reco_trail_pack(const RecoTrail *trail);
extern bool reco_trail_unpack(RecoTrail *trail, const bytea *packed);

#endif							/* RECO_TRAIL_H */
