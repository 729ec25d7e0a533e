/*-------------------------------------------------------------------------
 *
 * consumer_config.h
 *	  The settings of the Kafka client.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONSUMER_CONFIG_H
#define RECO_CONSUMER_CONFIG_H

#include "kafka/properties.h"

extern char *reco_kafka_config_read(const char *brokers, const char *path, List **settings);

#endif							/* RECO_CONSUMER_CONFIG_H */
