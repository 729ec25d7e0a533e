/*-------------------------------------------------------------------------
 *
 * topic.h
 *	  Which partitions the topic has, and where each of them goes on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TOPIC_H
#define RECO_TOPIC_H

#include "kafka/offset_table.h"

extern void reco_topic_forget(void);
extern long reco_topic_look(RecoKafka *kafka, const char *topic);
extern bool reco_topic_is_disturbed(RecoKafka *kafka);
extern bool reco_topic_take(RecoMessage *message);
extern RecoCheckpoint *reco_topic_advance(const RecoMessage *messages, int count,
										  int *ncheckpoints);
extern void reco_topic_advanced(const RecoCheckpoint *checkpoints, int count);
extern void reco_topic_written(const char *topic);
extern int	reco_topic_partitions(void);
extern void reco_topic_lag(RecoKafka *kafka, int64 *messages, double *seconds);
extern int	reco_topic_held(int *first);
extern int	reco_topic_unread(int64 ms, int *first);

#endif							/* RECO_TOPIC_H */
