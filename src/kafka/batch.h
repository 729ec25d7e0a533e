/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  A batch of Kafka messages: polled, parsed, committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_BATCH_H
#define RECO_BATCH_H

#include "kafka/poll.h"

extern int	reco_batch_poll(RecoConsumer *consumer, RecoMessage *messages, bool *full);
extern void reco_batch_write(const char *topic, const RecoMessage *messages, int count);

#endif							/* RECO_BATCH_H */
