/*-------------------------------------------------------------------------
 *
 * kafka_config.h
 *	  The settings of the Kafka client.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_KAFKA_CONFIG_H
#define RECO_KAFKA_CONFIG_H

#include "properties.h"

extern char *reco_kafka_config_read(const char *brokers, const char *path, List **settings);

#endif							/* RECO_KAFKA_CONFIG_H */
