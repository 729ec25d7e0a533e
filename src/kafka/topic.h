/*-------------------------------------------------------------------------
 *
 * topic.h
 *	  The topic's partitions, and where reading of each continues.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TOPIC_H
#define RECO_TOPIC_H

#include "kafka/offset_table.h"

extern void reco_topic_forget(void);
extern long reco_topic_poll(RecoConsumer *consumer, const char *topic);
extern bool reco_topic_is_disturbed(RecoConsumer *consumer);
extern bool reco_topic_accept(RecoMessage *message);
extern RecoCheckpoint *reco_topic_advance(const RecoMessage *messages, int count,
										  int *ncheckpoints);
extern void reco_topic_committed(const RecoCheckpoint *checkpoints, int count);
extern void reco_topic_end_replay(const char *topic);
extern int	reco_topic_partitions(void);
extern void reco_topic_lag(RecoConsumer *consumer, int64 *messages, double *seconds);
extern int	reco_topic_held(int *first);
extern int	reco_topic_unread(int64 ms, int *first);

#endif							/* RECO_TOPIC_H */
