/*-------------------------------------------------------------------------
 *
 * redis_sink.h
 *	  Redis as a sink.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REDIS_SINK_H
#define RECO_REDIS_SINK_H

#include "publish/sink.h"

extern const RecoSink reco_redis_sink;

#endif							/* RECO_REDIS_SINK_H */
