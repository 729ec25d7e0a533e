/*-------------------------------------------------------------------------
 *
 * redis_sink.c
 *	  Redis as a sink.
 *
 * A link has a connection and the keys' templates at the time of connecting; the
 * publisher closes it when they change, see target().
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "redis/connection.h"
#include "redis/fetch.h"
#include "redis/key.h"
#include "redis/redis_sink.h"
#include "redis/scan.h"
#include "redis/sender.h"
#include "redis/stamp.h"

struct RecoSinkLink
{
	RecoRedis  *redis;
	RecoRedisTemplate users;
	RecoRedisTemplate windows;
};

static const RecoRedisTemplate *
sink_template(const RecoSinkLink *link, bool windows)
{
	return windows ? &link->windows : &link->users;
}

static bool
sink_is_configured(void)
{
	return reco_redis_url[0] != '\0';
}

static RecoSinkLink *
sink_connect(bool client)
{
	RecoRedis  *redis = reco_redis_connect(client);
	RecoSinkLink *link = palloc(sizeof(RecoSinkLink));

	link->redis = redis;
	link->users = reco_redis_user_key_template();
	link->windows = reco_redis_window_key_template();
	return link;
}

static void
sink_free_template(RecoRedisTemplate *template)
{
	pfree(template->prefix);
	pfree(template->suffix);
}

static void
sink_close(RecoSinkLink *link)
{
	reco_redis_close(link->redis);
	reco_stamp_stop_watching();
	sink_free_template(&link->users);
	sink_free_template(&link->windows);
	pfree(link);
}

static void
sink_check(RecoSinkLink *link)
{
	reco_redis_check(link->redis);
}

static pgsocket
sink_socket(RecoSinkLink *link)
{
	return reco_redis_socket(link->redis);
}

static long
sink_claim(RecoSinkLink *link)
{
	return reco_stamp_claim(link->redis);
}

static bool
sink_renew(RecoSinkLink *link)
{
	return reco_stamp_swap(link->redis);
}

static void
sink_put_user(RecoSinkLink *link, int64 user_id, RecoSlice value)
{
	reco_redis_put_user(link->redis, &link->users, user_id, value);
}

static void
sink_drop_user(RecoSinkLink *link, int64 user_id)
{
	reco_redis_drop_user(link->redis, &link->users, user_id);
}

static void
sink_put_window(RecoSinkLink *link, TimestampTz window, const RecoSinkField *fields, int count)
{
	reco_redis_put_window(link->redis, &link->windows, window, fields, count);
}

static void
sink_flush(RecoSinkLink *link)
{
	reco_redis_collect(link->redis, NULL, NULL);
}

static bool
sink_scan(RecoSinkLink *link, bool windows, RecoSinkScan *scan, RecoIds *found)
{
	return reco_redis_scan(link->redis, sink_template(link, windows), scan, found);
}

static void
sink_keep_own(RecoSinkLink *link, bool windows, RecoIds *ids)
{
	reco_redis_keep_own(link->redis, sink_template(link, windows), ids);
}

static void
sink_fetch(RecoSinkLink *link, bool windows, const int64 *ids, int count, RecoSinkHandler handler, void *arg)
{
	reco_redis_fetch(link->redis, sink_template(link, windows), ids, count, handler, arg);
}

const RecoSink reco_redis_sink = {
	.name = "Redis",
	.is_configured = sink_is_configured,
	.target = reco_stamp_target,
	.connect = sink_connect,
	.close = sink_close,
	.check = sink_check,
	.socket = sink_socket,
	.claim = sink_claim,
	.renew = sink_renew,
	.put_user = sink_put_user,
	.drop_user = sink_drop_user,
	.put_window = sink_put_window,
	.flush = sink_flush,
	.scan = sink_scan,
	.keep_own = sink_keep_own,
	.fetch = sink_fetch,
};
