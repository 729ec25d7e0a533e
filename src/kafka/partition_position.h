/*-------------------------------------------------------------------------
 *
 * partition_position.h
 *	  How far each partition of the topic has been read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITION_POSITION_H
#define RECO_PARTITION_POSITION_H

#include "kafka/consumer.h"

typedef struct RecoPartition
{
	int64		next;			/* offset of the next message to take; -1: not known */
	int64		replay_end;		/* what is before is the past */
	TimestampTz time;			/* of the last message taken; 0: none */
	bool		at_end;			/* Kafka says that nothing is left */
	bool		out_of_range;	/* Kafka says that it does not hold next */
} RecoPartition;

typedef struct RecoPartitions
{
	MemoryContext context;
	RecoPartition *at;			/* by their numbers */
	int			count;
} RecoPartitions;

extern void reco_partitions_resize(RecoPartitions *partitions, int count);
extern RecoPosition *reco_partitions_positions(const RecoPartitions *partitions);
extern bool reco_partitions_take(RecoPartitions *partitions, const RecoMessage *message);
extern bool reco_partitions_past_is_left(const RecoPartitions *partitions);
extern void reco_partitions_lag(const RecoPartitions *partitions, RecoKafka *kafka,
								int64 *messages, double *seconds);

#endif							/* RECO_PARTITION_POSITION_H */
