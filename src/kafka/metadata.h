/*-------------------------------------------------------------------------
 *
 * metadata.h
 *	  Metadata of the topic: its partitions, their leaders and offsets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_METADATA_H
#define RECO_METADATA_H

#include "kafka/consumer.h"

/* How long to wait for one of the broker's answers, in milliseconds. */
#define RECO_METADATA_TIMEOUT 1000

extern int	reco_metadata_partitions(RecoConsumer *consumer, int timeout);
extern bool reco_metadata_has_leader(const RecoConsumer *consumer, int32 partition);
extern char *reco_metadata_cluster(RecoConsumer *consumer, int timeout);
extern bool reco_metadata_range(RecoConsumer *consumer, int32 partition, int timeout,
								int64 *low, int64 *high);
extern bool reco_metadata_find_time(RecoConsumer *consumer, RecoPosition *positions, int count,
									int64 stamp, int timeout);
extern int64 reco_metadata_high(RecoConsumer *consumer, int32 partition);

#endif							/* RECO_METADATA_H */
