/*-------------------------------------------------------------------------
 *
 * partition_position.h
 *	  How far each partition of the topic has been read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITION_POSITION_H
#define RECO_PARTITION_POSITION_H

#include "kafka/offset_table.h"

typedef struct RecoPartition
{
	int64		next;			/* offset of the next message to take; -1: not known */
	int64		replay_end;		/* what is before is the past; -1: not known yet */
	int64		replay_low;		/* the first offset that Kafka held then */
	TimestampTz time;			/* of the last message taken; 0: none */
	RecoTrail  *trail;			/* of what is committed; NULL: nothing is known */

	bool		by_time;		/* next is to be found by the horizon's time */
	bool		checked;		/* Kafka holds what was read, as far as can be known */
	bool		running;		/* the consumer reads it */
	bool		changed;		/* next is another than in reco.offsets */

	bool		at_end;			/* Kafka says that nothing is left */
	bool		out_of_range;	/* Kafka says that it does not hold next */
	bool		stuck;			/* before next is what the consumer cannot take */
	int			patience;		/* ms for which the last look was waited for in vain; 0: it was answered */
	RecoMoment	look_due;		/* it is not looked at again before */
	RecoMoment	unread_since;	/* not running though it should be; 0: no */
	RecoMoment	behind_since;	/* Kafka holds messages that are not taken; 0: no */
	TimestampTz behind_time;	/* time, then */
	RecoMoment	held_since;		/* Kafka holds messages, but gives none; 0: no */
	int64		held_at;		/* next, then */
} RecoPartition;

typedef struct RecoPartitions
{
	MemoryContext context;
	RecoPartition *at;			/* by their numbers */
	int			count;
} RecoPartitions;

extern void reco_partitions_resize(RecoPartitions *partitions, int count);
extern bool reco_partitions_take(RecoPartitions *partitions, RecoMessage *message);
extern RecoCheckpoint *reco_partitions_advance(const RecoPartitions *partitions,
											   const RecoMessage *messages, int count,
											   int *ncheckpoints);
extern void reco_partitions_advanced(RecoPartitions *partitions,
									 const RecoCheckpoint *checkpoints, int count);
extern bool reco_partitions_past_is_left(const RecoPartitions *partitions);
extern void reco_partitions_lag(RecoPartitions *partitions, RecoKafka *kafka,
								int64 *messages, double *seconds);
extern int	reco_partitions_held(const RecoPartitions *partitions, int *first);
extern int	reco_partitions_unread(const RecoPartitions *partitions, int64 ms, int *first);

#endif							/* RECO_PARTITION_POSITION_H */
