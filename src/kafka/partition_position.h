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
	int64		next;			/* offset of the next message to read; -1: unknown */
	int64		replay_end;		/* what is before is the past; -1: unknown yet */
	int64		replay_low;		/* the low watermark at that time */
	TimestampTz time;			/* of the last message read; 0: none */
	RecoTrail  *trail;			/* of what is committed; NULL: unknown */

	bool		by_time;		/* next is to be found by the horizon's time */
	bool		checked;		/* Kafka holds what was read, as far as we know */
	bool		running;		/* the consumer reads it */
	bool		changed;		/* next differs from reco.offsets */

	bool		at_end;			/* its end has been reached */
	bool		out_of_range;	/* Kafka does not have the offset next */
	bool		stuck;			/* the consumer cannot get past next - 1 */
	int			probe_timeout;	/* of the last probe, if it was not answered, in ms; 0: it was */
	RecoMoment	probe_due;		/* not to be probed again before */
	RecoMoment	unread_since;	/* since when it could not be read; 0: it can */
	RecoMoment	behind_since;	/* since when there are messages to read; 0: none */
	TimestampTz behind_time;	/* "time" at that moment */
	RecoMoment	held_since;		/* since when Kafka holds messages back; 0: it does not */
	int64		held_at;		/* "next" at that moment */
} RecoPartition;

typedef struct RecoPartitions
{
	MemoryContext context;
	RecoPartition *at;			/* by number */
	int			count;
} RecoPartitions;

extern void reco_partitions_resize(RecoPartitions *partitions, int count);
extern bool reco_partitions_accept(RecoPartitions *partitions, RecoMessage *message);
extern RecoCheckpoint *reco_partitions_advance(const RecoPartitions *partitions,
											   const RecoMessage *messages, int count,
											   int *ncheckpoints);
extern void reco_partitions_committed(RecoPartitions *partitions,
									  const RecoCheckpoint *checkpoints, int count);
extern bool reco_partitions_past_is_left(const RecoPartitions *partitions);
extern void reco_partitions_lag(RecoPartitions *partitions, RecoConsumer *consumer,
								int64 *messages, double *seconds);
extern int	reco_partitions_held(const RecoPartitions *partitions, int *first);
extern int	reco_partitions_unread(const RecoPartitions *partitions, int64 ms, int *first);

#endif							/* RECO_PARTITION_POSITION_H */
