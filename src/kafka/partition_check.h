/*-------------------------------------------------------------------------
 *
 * partition_check.h
 *	  Does Kafka still hold what was read of the partitions?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITION_CHECK_H
#define RECO_PARTITION_CHECK_H

#include "kafka/partition_position.h"

/* How long one of Kafka's answers is waited for, in milliseconds. */
#define RECO_KAFKA_PATIENCE 1000

extern bool reco_partitions_check(RecoPartitions *partitions, RecoKafka *kafka,
								  const char *topic, bool other_cluster);

#endif							/* RECO_PARTITION_CHECK_H */
