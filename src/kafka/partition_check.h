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

extern bool reco_partitions_check(RecoPartitions *partitions, RecoConsumer *consumer,
								  const char *topic, bool other_cluster);

#endif							/* RECO_PARTITION_CHECK_H */
