/*-------------------------------------------------------------------------
 *
 * partitions.h
 *	  Which partitions the topic has, and where each of them goes on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITIONS_H
#define RECO_PARTITIONS_H

#include "kafka.h"

extern void reco_partitions_forget(void);
extern long reco_partitions_look(RecoKafka *kafka, const char *topic);
extern bool reco_partitions_take(const RecoMessage *message);
extern void reco_partitions_written(const char *topic);
extern int	reco_partitions_count(void);
extern void reco_partitions_lag(RecoKafka *kafka, int64 *messages, double *seconds);

#endif							/* RECO_PARTITIONS_H */
