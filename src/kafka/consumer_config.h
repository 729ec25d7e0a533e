/*-------------------------------------------------------------------------
 *
 * consumer_config.h
 *	  librdkafka's configuration: reco's own settings and a file's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONSUMER_CONFIG_H
#define RECO_CONSUMER_CONFIG_H

#include "nodes/pg_list.h"

typedef struct RecoConsumerSetting
{
	char	   *name;
	char	   *value;			/* maybe a secret: never show it */
	int			line;			/* in the file; 0: reco's own */
} RecoConsumerSetting;

extern char *reco_consumer_config_read(const char *brokers, const char *path, List **settings);

#endif							/* RECO_CONSUMER_CONFIG_H */
