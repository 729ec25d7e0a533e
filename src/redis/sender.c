/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Commands that write lists and windows to Redis.
 *
 * A list is a string, a window a hash of views by product_id.  Both expire, so
 * that nothing stays for ever if reco is removed.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "redis/sender.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Fields of a hash that one HSET sets. */
#define HSET_FIELDS 500

/* The name of a key, valid until the next call. */
static RecoWord
sender_key(const RecoRedisTemplate *template, int64 id)
{
	static StringInfoData key = {0};

	if (key.data == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&key);
		MemoryContextSwitchTo(caller);
	}
	reco_redis_key_print(template, id, &key);
	return (RecoWord) {key.data, key.len};
}

void
reco_redis_put_user(RecoRedis *redis, const RecoRedisTemplate *template, int64 user_id, RecoSlice value)
{
	char		seconds[12];
	RecoWord	words[] = {
		{"SET", 3}, sender_key(template, user_id), {value.data, value.length}, {"EX", 2}, {seconds, 0}
	};

	words[4].length = pg_ltoa(reco_guc_redis_ttl(), seconds);
	reco_redis_append(redis, lengthof(words), words);
}

void
reco_redis_drop_user(RecoRedis *redis, const RecoRedisTemplate *template, int64 user_id)
{
	reco_redis_append(redis, 2, (RecoWord[]) {{"DEL", 3}, sender_key(template, user_id)});
}

/* Append an HSET with some of a window's products. */
static void
sender_append_fields(RecoRedis *redis, RecoWord key, const RecoSinkField *fields, int count)
{
	RecoWord	words[2 + 2 * HSET_FIELDS];
	char		views[HSET_FIELDS][MAXINT8LEN + 1];
	int			n = 0;

	words[n++] = reco_redis_word("HSET");
	words[n++] = key;
	for (int i = 0; i < count; i++)
	{
		words[n++] = (RecoWord) {fields[i].product.data, fields[i].product.length};
		words[n++] = (RecoWord) {views[i], pg_lltoa(fields[i].views, views[i])};
	}
	reco_redis_append(redis, n, words);
}

/*
 * The TTL of a window's key, in seconds.  Its row lives until the clock has
 * passed its end by the retention; its first view may be ahead of the clock.
 */
static int64
sender_window_ttl(void)
{
	int64		life = (int64) reco_guc_retention() + 2 * reco_trending_window + reco_max_future;

	return Max(life, reco_guc_redis_ttl());
}

/* Replace a window's hash, or delete it, atomically. */
void
reco_redis_put_window(RecoRedis *redis, const RecoRedisTemplate *template, TimestampTz window,
					  const RecoSinkField *fields, int count)
{
	RecoWord	key = sender_key(template, window);
	char		seconds[MAXINT8LEN + 1];
	size_t		length = pg_lltoa(sender_window_ttl(), seconds);

	reco_redis_append(redis, 1, (RecoWord[]) {{"MULTI", 5}});
	reco_redis_append(redis, 2, (RecoWord[]) {{"DEL", 3}, key});
	if (count > 0)
	{
		for (int i = 0; i < count; i += HSET_FIELDS)
			sender_append_fields(redis, key, fields + i, Min(HSET_FIELDS, count - i));
		reco_redis_append(redis, 3, (RecoWord[]) {{"EXPIRE", 6}, key, {seconds, length}});
	}
	reco_redis_append(redis, 1, (RecoWord[]) {{"EXEC", 4}});
}
