/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  Commands that write lists and windows to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SENDER_H
#define RECO_SENDER_H

#include "publish/sink.h"
#include "redis/connection.h"
#include "redis/key.h"

/* See RecoSink; all are complete when reco_redis_collect() has returned. */
extern void reco_redis_put_user(RecoRedis *redis, const RecoRedisTemplate *template, int64 user_id, RecoSlice value);
extern void reco_redis_drop_user(RecoRedis *redis, const RecoRedisTemplate *template, int64 user_id);
extern void reco_redis_put_window(RecoRedis *redis, const RecoRedisTemplate *template, TimestampTz window,
								  const RecoSinkField *fields, int count);

#endif							/* RECO_SENDER_H */
