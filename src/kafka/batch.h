/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  A batch of Kafka messages to committed rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_BATCH_H
#define RECO_BATCH_H

#include "kafka/consumer.h"

extern void reco_batch_write(const char *topic, const RecoMessage *messages, int count);

#endif							/* RECO_BATCH_H */
