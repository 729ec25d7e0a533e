/*-------------------------------------------------------------------------
 *
 * fetch.c
 *	  Fetches reco's keys from Redis: types, TTLs, values.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/text_clean.h"
#include "publish/value.h"
#include "redis/fetch.h"
#include "utils/memutils.h"

typedef struct Key
{
	RecoSlice	name;
	bool		right_type;
	char		type[40];		/* "none": there is no such key */
	int64		ttl;
} Key;

typedef struct Fetch
{
	RecoRedis  *redis;
	bool		windows;
	Key		   *keys;
	int			count;
	int			next;			/* the key to deliver next */
	RecoSinkHandler handler;
	void	   *arg;
	MemoryContext scratch;		/* for one hash */
} Fetch;

/* Handle the replies to TYPE and TTL, which alternate. */
static void
fetch_handle_type(void *arg, int n, const RecoReply *reply)
{
	Fetch	   *fetch = arg;
	Key		   *key = &fetch->keys[n / 2];

	if (reply->type != (n % 2 == 0 ? RECO_REPLY_TEXT : RECO_REPLY_INTEGER))
		reco_redis_unexpected_reply(fetch->redis, n % 2 == 0 ? "TYPE" : "TTL");
	if (n % 2 == 0)
	{
		reco_text_copy(key->type, reply->text, sizeof(key->type));
		key->right_type = strcmp(key->type, fetch->windows ? "hash" : "string") == 0;
	}
	else
		key->ttl = reply->integer;
}

static void
fetch_deliver(Fetch *fetch, RecoSlice value)
{
	const Key  *key = &fetch->keys[fetch->next];
	RecoSinkValue found = {
		key->name, strcmp(key->type, "none") == 0 ? NULL : key->type, key->right_type, key->ttl, value
	};

	fetch->handler(fetch->arg, fetch->next++, &found);
}

/* Deliver the next keys whose values are not requested. */
static void
fetch_deliver_without_value(Fetch *fetch)
{
	while (fetch->next < fetch->count && !fetch->keys[fetch->next].right_type)
		fetch_deliver(fetch, (RecoSlice) {NULL, 0});
}

/* Join a hash's fields and values to one text. */
static RecoSlice
fetch_join_hash(RecoRedis *redis, const RecoReply *reply)
{
	RecoSlice  *fields = palloc(sizeof(RecoSlice) * (reply->nelements / 2 + 1));

	for (int i = 0; i + 1 < reply->nelements; i += 2)
	{
		const RecoReply *field = &reply->elements[i];
		const RecoReply *count = &reply->elements[i + 1];
		StringInfoData text;

		if (field->type != RECO_REPLY_TEXT || count->type != RECO_REPLY_TEXT)
			reco_redis_unexpected_reply(redis, "HGETALL");
		initStringInfo(&text);
		appendBinaryStringInfo(&text, field->text, field->length);
		appendStringInfoChar(&text, ' ');
		appendBinaryStringInfo(&text, count->text, count->length);
		fields[i / 2] = (RecoSlice) {text.data, text.len};
	}
	return reco_value_join(fields, reply->nelements / 2);
}

/* Handle a string's value, or a hash's fields and values; nil if the key has just been deleted. */
static void
fetch_handle_value(void *arg, int n, const RecoReply *reply)
{
	Fetch	   *fetch = arg;
	MemoryContext caller = MemoryContextSwitchTo(fetch->scratch);
	RecoSlice	value = {NULL, 0};

	fetch_deliver_without_value(fetch);
	if (reply->type == RECO_REPLY_TEXT)
		value = (RecoSlice) {reply->text, (int) reply->length};
	else if (reply->type == RECO_REPLY_ARRAY && fetch->windows)
		value = fetch_join_hash(fetch->redis, reply);
	fetch_deliver(fetch, value);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(fetch->scratch);
}

/* See RecoSink. */
void
reco_redis_fetch(RecoRedis *redis, const RecoRedisTemplate *template, const int64 *ids, int count,
				 RecoSinkHandler handler, void *arg)
{
	RecoWord	get = reco_redis_word(template->window ? "HGETALL" : "GET");
	Fetch		fetch = {.redis = redis,.windows = template->window,.count = count,.handler = handler,.arg = arg};

	fetch.keys = palloc0(sizeof(Key) * Max(count, 1));
	fetch.scratch = AllocSetContextCreate(CurrentMemoryContext, "reco redis fetch", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < count; i++)
	{
		StringInfoData name;
		RecoWord	key;

		initStringInfo(&name);
		reco_redis_key_print(template, ids[i], &name);
		fetch.keys[i].name = (RecoSlice) {name.data, name.len};
		key = (RecoWord) {name.data, name.len};
		reco_redis_append(redis, 2, (RecoWord[]) {{"TYPE", 4}, key});
		reco_redis_append(redis, 2, (RecoWord[]) {{"TTL", 3}, key});
	}
	reco_redis_collect(redis, fetch_handle_type, &fetch);

	for (int i = 0; i < count; i++)
	{
		if (fetch.keys[i].right_type)
			reco_redis_append(redis, 2, (RecoWord[]) {get, {fetch.keys[i].name.data, fetch.keys[i].name.length}});
	}
	reco_redis_collect(redis, fetch_handle_value, &fetch);
	fetch_deliver_without_value(&fetch);
	MemoryContextDelete(fetch.scratch);
}
