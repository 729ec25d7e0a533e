/*-------------------------------------------------------------------------
 *
 * fetch.h
 *	  Fetches reco's keys from Redis: types, TTLs, values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_FETCH_H
#define RECO_FETCH_H

#include "publish/sink.h"
#include "redis/connection.h"
#include "redis/key.h"

/* See RecoSink. */
extern void reco_redis_fetch(RecoRedis *redis, const RecoRedisTemplate *template, const int64 *ids, int count,
							 RecoSinkHandler handler, void *arg);

#endif							/* RECO_FETCH_H */
