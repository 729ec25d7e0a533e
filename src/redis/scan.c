/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Scans Redis for reco's keys.
 *
 * Others may have keys in the same database of Redis, so a key must match the
 * template, and its value must be one that reco writes: for a user JSON with the
 * same user_id, for a window a hash.
 *
 * SCAN returns each key that exists during the whole scan at least once, which is
 * sufficient.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "publish/value.h"
#include "redis/scan.h"

/* The approximate number of keys that a SCAN examines. */
#define SCAN_COUNT "1000"

/* Values requested at once, since those of others may be long. */
#define PIECE_KEYS 100

/* For reco_redis_keep_own: which replies are of reco's own values. */
typedef struct OwnKeys
{
	const RecoIds *ids;
	bool	   *own;
	int			first;			/* that the first reply of this collection is about */
} OwnKeys;

/* See RecoSink. */
bool
reco_redis_scan(RecoRedis *redis, const RecoRedisTemplate *template, RecoSinkScan *scan, RecoIds *found)
{
	RecoReply  *reply;
	const RecoReply *keys;

	if (!scan->begun)
		strcpy(scan->cursor, "0");
	else if (strcmp(scan->cursor, "0") == 0)
		return false;
	scan->begun = true;

	reply = reco_redis_call(redis, 6, (RecoWord[])
							{
								reco_redis_word("SCAN"), reco_redis_word(scan->cursor),
								reco_redis_word("MATCH"),
								reco_redis_word(reco_redis_key_pattern(template)),
								reco_redis_word("COUNT"), reco_redis_word(SCAN_COUNT)
							});
	if (reply->nelements != 2 || reply->elements[0].type != RECO_REPLY_TEXT ||
		reply->elements[0].length >= sizeof(scan->cursor) ||
		reply->elements[1].type != RECO_REPLY_ARRAY)
		reco_redis_unexpected_reply(redis, "SCAN");
	strlcpy(scan->cursor, reply->elements[0].text, sizeof(scan->cursor));

	keys = &reply->elements[1];
	found->ids = palloc(sizeof(int64) * Max(keys->nelements, 1));
	found->count = 0;
	for (int i = 0; i < keys->nelements; i++)
	{
		if (keys->elements[i].type == RECO_REPLY_TEXT &&
			reco_redis_key_parse(template, keys->elements[i].text, keys->elements[i].length,
								  &found->ids[found->count]))
			found->count++;
	}
	reco_ids_sort(found);
	return true;
}

/* Handle the reply to TYPE of a window's key. */
static void
scan_check_window(void *arg, int n, const RecoReply *reply)
{
	OwnKeys    *keys = arg;

	keys->own[keys->first + n] = reply->type == RECO_REPLY_TEXT && strcmp(reply->text, "hash") == 0;
}

/* Handle the reply to MGET of a user's key; nil if it is not a string. */
static void
scan_check_user(void *arg, int n, const RecoReply *reply)
{
	OwnKeys    *keys = arg;
	const RecoReply *value = reply->nelements == 1 ? &reply->elements[0] : NULL;

	n += keys->first;
	keys->own[n] = value != NULL && value->type == RECO_REPLY_TEXT &&
		reco_value_is_list(value->text, value->length, keys->ids->ids[n]);
}

/* See RecoSink. */
void
reco_redis_keep_own(RecoRedis *redis, const RecoRedisTemplate *template, RecoIds *ids)
{
	OwnKeys		keys = {ids, palloc0(sizeof(bool) * Max(ids->count, 1)), 0};
	RecoWord	command = reco_redis_word(template->window ? "TYPE" : "MGET");
	int			kept = 0;

	for (int i = 0; i < ids->count; i++)
	{
		StringInfoData key;

		initStringInfo(&key);
		reco_redis_key_print(template, ids->ids[i], &key);
		reco_redis_append(redis, 2, (RecoWord[]) {command, {key.data, key.len}});
		if (i + 1 == ids->count || i + 1 - keys.first == PIECE_KEYS)
		{
			reco_redis_collect(redis, template->window ? scan_check_window : scan_check_user, &keys);
			keys.first = i + 1;
		}
	}

	for (int i = 0; i < ids->count; i++)
	{
		if (keys.own[i])
			ids->ids[kept++] = ids->ids[i];
	}
	ids->count = kept;
}
