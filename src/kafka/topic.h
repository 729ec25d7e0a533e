/*-------------------------------------------------------------------------
 *
 * topic.h
 *	  Which partitions the topic has, and where each of them goes on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TOPIC_H
#define RECO_TOPIC_H

#include "kafka/consumer.h"

extern void reco_topic_forget(void);
extern long reco_topic_look(RecoKafka *kafka, const char *topic);
extern bool reco_topic_take(const RecoMessage *message);
extern void reco_topic_written(const char *topic);
extern int	reco_topic_partitions(void);
extern void reco_topic_lag(RecoKafka *kafka, int64 *messages, double *seconds);

#endif							/* RECO_TOPIC_H */
