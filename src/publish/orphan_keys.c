/*-------------------------------------------------------------------------
 *
 * orphan_keys.c
 *	  Keys in Redis that reco wrote and that no row stands for any more.
 *
 * Others may keep keys in the same database of Redis, so a key must have the
 * form that the template gives, no row, and a value as reco writes it: for a
 * user JSON with the same user_id, for a window a hash.
 *
 * SCAN gives each key that is there from begin to end of the scan at least
 * once, which is all that is needed.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "publish/orphan_keys.h"

/* Keys that one SCAN looks at, about. */
#define SCAN_COUNT "1000"

/* Values asked for at once: who knows how long those of others are. */
#define PIECE_KEYS 100

static RecoPlan users_plan = {
	"SELECT user_id FROM reco.user_state"
	" WHERE user_id = ANY ($1) AND list IS NOT NULL ORDER BY user_id",
	1, {INT8ARRAYOID}
};

/* Windows come as TimestampTz, which counts microseconds from 2000. */
static RecoPlan windows_plan = {
	"SELECT i FROM unnest($1) i WHERE EXISTS (SELECT FROM reco.window_top t"
	" WHERE t.window_start = '2000-01-01+00'::timestamptz + i * interval '1 microsecond') ORDER BY i",
	1, {INT8ARRAYOID}
};

/* For reco_stale_drop_foreign: which replies are of reco's own values. */
typedef struct Verdict
{
	const RecoIds *ids;
	bool	   *own;
	int			first;			/* that the first reply of this collection is about */
} Verdict;

/* One piece of all keys that a template makes; false: there are no more. */
bool
reco_stale_scan(RecoRedis *redis, const RecoTemplate *template, RecoScan *scan, RecoIds *found)
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
								reco_redis_word(reco_format_pattern(template)),
								reco_redis_word("COUNT"), reco_redis_word(SCAN_COUNT)
							});
	if (reply->nelements != 2 || reply->elements[0].type != RECO_REPLY_TEXT ||
		reply->elements[0].length >= sizeof(scan->cursor) ||
		reply->elements[1].type != RECO_REPLY_ARRAY)
		reco_redis_unexpected(redis, "SCAN");
	strlcpy(scan->cursor, reply->elements[0].text, sizeof(scan->cursor));

	keys = &reply->elements[1];
	found->ids = palloc(sizeof(int64) * Max(keys->nelements, 1));
	found->count = 0;
	for (int i = 0; i < keys->nelements; i++)
	{
		if (keys->elements[i].type == RECO_REPLY_TEXT &&
			reco_format_parse_key(template, keys->elements[i].text, keys->elements[i].length,
								  &found->ids[found->count]))
			found->count++;
	}
	reco_ids_sort(found);
	return true;
}

/* Drop those that have a row; needs SPI and the caller's transaction. */
void
reco_stale_drop_rows(const RecoTemplate *template, RecoIds *ids)
{
	Datum		values[] = {PointerGetDatum(reco_ids_array(ids->ids, ids->count))};
	uint64		rows = reco_sql_query(template->window ? &windows_plan : &users_plan, values, NULL, 0);
	uint64		row = 0;
	int			kept = 0;

	for (int i = 0; i < ids->count; i++)
	{
		bool		null;

		if (row < rows && DatumGetInt64(reco_sql_value(row, 1, &null)) == ids->ids[i])
			row++;
		else
			ids->ids[kept++] = ids->ids[i];
	}
	ids->count = kept;
	SPI_freetuptable(SPI_tuptable);
}

/* The reply to TYPE of a window's key. */
static void
judge_window(void *arg, int n, const RecoReply *reply)
{
	Verdict    *verdict = arg;

	verdict->own[verdict->first + n] = reply->type == RECO_REPLY_TEXT && strcmp(reply->text, "hash") == 0;
}

/* The reply to MGET of a user's key; what is not a string comes as nil. */
static void
judge_user(void *arg, int n, const RecoReply *reply)
{
	Verdict    *verdict = arg;
	const RecoReply *value = reply->nelements == 1 ? &reply->elements[0] : NULL;

	n += verdict->first;
	verdict->own[n] = value != NULL && value->type == RECO_REPLY_TEXT &&
		reco_format_is_list(value->text, value->length, verdict->ids->ids[n]);
}

/* Drop those whose value is not reco's own. */
void
reco_stale_drop_foreign(RecoRedis *redis, const RecoTemplate *template, RecoIds *ids)
{
	Verdict		verdict = {ids, palloc0(sizeof(bool) * Max(ids->count, 1)), 0};
	RecoWord	command = reco_redis_word(template->window ? "TYPE" : "MGET");
	int			kept = 0;

	for (int i = 0; i < ids->count; i++)
	{
		StringInfoData key;

		initStringInfo(&key);
		reco_format_key(template, ids->ids[i], &key);
		reco_redis_append(redis, 2, (RecoWord[]) {command, {key.data, key.len}});
		if (i + 1 == ids->count || i + 1 - verdict.first == PIECE_KEYS)
		{
			reco_redis_collect(redis, template->window ? judge_window : judge_user, &verdict);
			verdict.first = i + 1;
		}
	}

	for (int i = 0; i < ids->count; i++)
	{
		if (verdict.own[i])
			ids->ids[kept++] = ids->ids[i];
	}
	ids->count = kept;
}
