/*-------------------------------------------------------------------------
 *
 * gather.h
 *	  Messages from Kafka gathered into a batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_GATHER_H
#define RECO_GATHER_H

#include "kafka/consumer.h"

extern int	reco_gather(RecoKafka *kafka, RecoMessage *messages, bool *full);

#endif							/* RECO_GATHER_H */
