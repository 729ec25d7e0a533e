/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  Scans Redis for reco's keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REDIS_SCAN_H
#define RECO_REDIS_SCAN_H

#include "publish/sink.h"
#include "redis/connection.h"
#include "redis/key.h"

/* See RecoSink. */
extern bool reco_redis_scan(RecoRedis *redis, const RecoRedisTemplate *template, RecoSinkScan *scan,
							RecoIds *found);
extern void reco_redis_keep_own(RecoRedis *redis, const RecoRedisTemplate *template, RecoIds *ids);

#endif							/* RECO_REDIS_SCAN_H */
