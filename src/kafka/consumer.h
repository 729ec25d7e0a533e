/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  A consumer of one Kafka topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONSUMER_H
#define RECO_CONSUMER_H

#include "common/monotonic.h"

typedef struct RecoConsumer RecoConsumer;

/* The offset of the next message to read of a partition. */
typedef struct RecoPosition
{
	int32		partition;
	int64		offset;			/* -1: after the last message */
} RecoPosition;

extern RecoConsumer *reco_consumer_open(const char *brokers, const char *topic,
										const char *config, char **problem);
extern bool reco_consumer_close(RecoConsumer *consumer);
extern pgsocket reco_consumer_socket(RecoConsumer *consumer);
extern const char *reco_consumer_error(RecoConsumer *consumer);
extern const char *reco_consumer_denial(RecoConsumer *consumer, bool *delivered);
extern RecoMoment reco_consumer_answered(RecoConsumer *consumer);
extern bool reco_consumer_forward_log(RecoConsumer *consumer);

extern uint32 reco_consumer_disturbances(RecoConsumer *consumer);

#endif							/* RECO_CONSUMER_H */
