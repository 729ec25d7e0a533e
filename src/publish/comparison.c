/*-------------------------------------------------------------------------
 *
 * comparison.c
 *	  Keys in Redis beside the rows that they stand for.
 *
 * A key differs if its type or value is another one, if it has no time to live
 * or will expire while its row still lives, or if it is there, and of reco's
 * making, without a row.  All memory is the caller's context's.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/slice.h"
#include "common/spi.h"
#include "common/text_clean.h"
#include "lists/view_history.h"
#include "mb/pg_wchar.h"
#include "publish/comparison.h"
#include "publish/quote.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Redis rounds the time to live; the clock moves once a second. */
#define LIFE_SLACK 3

/* So much of a value is shown, in bytes. */
#define SHOWN_BYTES 8192

/* A key: what its row asks for, and what Redis has. */
typedef struct Pair
{
	int64		id;
	char	   *key;
	RecoText	expected;		/* UTF-8; data NULL: no row */
	int64		life;			/* s that the row may still live */
	bool		right_type;
	char		type[40];		/* as Redis names it; "none": no such key */
	int64		ttl;			/* -1: none */
	bool		same;			/* the value is the expected one */
	bool		own;			/* it has the form of reco's values */
	char	   *found;			/* to be shown, if it is not the same; NULL: not of the right type */
} Pair;

typedef struct Comparison
{
	RecoRedis  *redis;
	const RecoTemplate *template;
	Pair	   *pairs;
	int			count;
	int			cursor;			/* the pair that takes the next value */
	MemoryContext memory;
	MemoryContext scratch;		/* of one hash */
} Comparison;

static RecoPlan user_plan = {
	"SELECT user_id, list, recent FROM reco.user_state"
	" WHERE user_id = ANY ($1) AND list IS NOT NULL ORDER BY user_id",
	1, {INT8ARRAYOID}
};

static RecoPlan window_plan = {
	"SELECT product_id, view_count FROM reco.trending_products WHERE window_start = $1",
	1, {TIMESTAMPTZOID}
};

static int
compare_texts(const void *a, const void *b)
{
	const RecoText *left = a;
	const RecoText *right = b;
	int			order = memcmp(left->data, right->data, Min(left->length, right->length));

	return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

static bool
are_equal(RecoText left, RecoText right)
{
	return left.length == right.length && memcmp(left.data, right.data, left.length) == 0;
}

/* A hash as one text, whatever the order of its fields. */
static RecoText
join_fields(RecoText *fields, int count)
{
	StringInfoData text;

	initStringInfo(&text);
	qsort(fields, count, sizeof(RecoText), compare_texts);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		appendBinaryStringInfo(&text, fields[i].data, fields[i].length);
	}
	return (RecoText) {text.data, text.len};
}

/* Seconds until the clock reaches a moment. */
static int64
seconds_until(const RecoState *state, TimestampTz at)
{
	return (at - state->clock) / USECS_PER_SEC;
}

/* Put into the pairs, which are sorted, what the users' rows ask for. */
static void
expect_users(Comparison *c, const RecoState *state, const int64 *ids)
{
	Datum		values[] = {PointerGetDatum(reco_ids_array(ids, c->count))};
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	SPITupleTable *rows;
	Pair	   *pair = c->pairs;

	reco_quote_begin(snapshot);
	reco_sql_query_at(&user_plan, values, snapshot);
	rows = SPI_tuptable;
	for (uint64 row = 0; row < rows->numvals; row++)
	{
		bool		null;
		int64		user = DatumGetInt64(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &null));
		Datum		recent_views = SPI_getbinval(rows->vals[row], rows->tupdesc, 3, &null);
		StringInfoData text;
		RecoRecent	recent;

		while (pair->id != user)
			pair++;
		initStringInfo(&text);
		reco_quote_list(&text, user, SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &null));
		pair->expected = (RecoText) {text.data, text.len};

		reco_recent_init(&recent);
		reco_recent_unpack(&recent, DatumGetByteaPP(recent_views));
		if (recent.count > 0)
			pair->life = seconds_until(state, state->recent_window * USECS_PER_SEC +
									   reco_state_moment(recent.views[recent.count - 1].second));
	}
	SPI_freetuptable(rows);
	reco_quote_end();
	UnregisterSnapshot(snapshot);
}

/* Put into a pair what its window's rows ask for. */
static void
expect_window(Pair *pair, const RecoState *state)
{
	Datum		values[] = {TimestampTzGetDatum(pair->id)};
	int			rows = (int) reco_sql_query(&window_plan, values, NULL, 0);
	RecoText   *fields = palloc(sizeof(RecoText) * Max(rows, 1));

	for (int row = 0; row < rows; row++)
	{
		bool		null;
		StringInfoData field;

		initStringInfo(&field);
		reco_format_product(&field, reco_sql_value(row, 1, &null));
		appendStringInfo(&field, " " INT64_FORMAT, DatumGetInt64(reco_sql_value(row, 2, &null)));
		fields[row] = (RecoText) {field.data, field.len};
	}
	SPI_freetuptable(SPI_tuptable);
	if (rows > 0)
		pair->expected = join_fields(fields, rows);
	pair->life = seconds_until(state, pair->id +
							   (state->trending_window + state->retention) * USECS_PER_SEC);
}

/* UTF-8 in the database's encoding; NULL if that lacks a character. */
static char *
from_utf8(RecoText utf8)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;
	Size		size = utf8.length * MAX_CONVERSION_GROWTH + 1;
	char	   *text;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return pnstrdup(utf8.data, utf8.length);
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(conversion))
		return NULL;
	text = palloc0(size);
	if (pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) utf8.data, utf8.length,
									  (unsigned char *) text, size, true) < utf8.length)
		return NULL;
	return text;
}

/* Bytes from Redis as text of the database; as hexadecimal digits if they are none. */
static char *
as_text(RecoText bytes)
{
	RecoText	shown = {bytes.data, Min(bytes.length, SHOWN_BYTES)};
	char	   *text = NULL;

	if (pg_verify_mbstr(PG_UTF8, bytes.data, bytes.length, true))
	{
		shown.length = pg_encoding_mbcliplen(PG_UTF8, bytes.data, bytes.length, shown.length);
		text = from_utf8(shown);
	}
	if (text == NULL)
	{
		text = palloc(shown.length * 2 + 3);
		strcpy(text, "\\x");
		text[2 + hex_encode(shown.data, shown.length, text + 2)] = '\0';
	}
	return shown.length < bytes.length ? psprintf("%s... (%d bytes)", text, bytes.length) : text;
}

/* Judge what Redis holds, and keep what is to be shown. */
static void
take_bytes(Comparison *c, RecoText value)
{
	Pair	   *pair = &c->pairs[c->cursor];
	MemoryContext caller = MemoryContextSwitchTo(c->memory);

	pair->same = pair->expected.data != NULL && are_equal(pair->expected, value);
	pair->own = c->template->window || reco_format_is_list(value.data, value.length, pair->id);
	if (!pair->same && (pair->own || pair->expected.data != NULL))
		pair->found = as_text(value);
	MemoryContextSwitchTo(caller);
}

/* Fields and values of a hash. */
static void
take_hash(Comparison *c, const RecoReply *reply)
{
	MemoryContext caller = MemoryContextSwitchTo(c->scratch);
	RecoText   *fields = palloc(sizeof(RecoText) * (reply->nelements / 2 + 1));

	for (int i = 0; i + 1 < reply->nelements; i += 2)
	{
		const RecoReply *field = &reply->elements[i];
		const RecoReply *value = &reply->elements[i + 1];
		StringInfoData text;

		if (field->type != RECO_REPLY_TEXT || value->type != RECO_REPLY_TEXT)
			reco_redis_unexpected(c->redis, "HGETALL");
		initStringInfo(&text);
		appendBinaryStringInfo(&text, field->text, field->length);
		appendStringInfoChar(&text, ' ');
		appendBinaryStringInfo(&text, value->text, value->length);
		fields[i / 2] = (RecoText) {text.data, text.len};
	}
	take_bytes(c, join_fields(fields, reply->nelements / 2));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(c->scratch);
}

/* Replies come in pairs: to TYPE and to TTL. */
static void
take_type(void *arg, int n, const RecoReply *reply)
{
	Comparison *c = arg;
	Pair	   *pair = &c->pairs[n / 2];

	if (reply->type != (n % 2 == 0 ? RECO_REPLY_TEXT : RECO_REPLY_INTEGER))
		reco_redis_unexpected(c->redis, n % 2 == 0 ? "TYPE" : "TTL");
	if (n % 2 == 0)
	{
		reco_text_copy(pair->type, reply->text, sizeof(pair->type));
		pair->right_type = strcmp(pair->type, c->template->window ? "hash" : "string") == 0;
	}
	else
		pair->ttl = reply->integer;
}

/* A string's value, or a hash's fields and values; nil if it has just gone. */
static void
take_value(void *arg, int n, const RecoReply *reply)
{
	Comparison *c = arg;

	while (!c->pairs[c->cursor].right_type)
		c->cursor++;
	if (reply->type == RECO_REPLY_TEXT)
		take_bytes(c, (RecoText) {reply->text, (int) reply->length});
	else if (reply->type == RECO_REPLY_ARRAY && c->template->window)
		take_hash(c, reply);
	c->cursor++;
}

/* Ask Redis for all of the keys. */
static void
look_up(RecoRedis *redis, Comparison *c)
{
	RecoWord	get = reco_redis_word(c->template->window ? "HGETALL" : "GET");

	for (int i = 0; i < c->count; i++)
	{
		RecoWord	key = reco_redis_word(c->pairs[i].key);

		reco_redis_append(redis, 2, (RecoWord[]) {{"TYPE", 4}, key});
		reco_redis_append(redis, 2, (RecoWord[]) {{"TTL", 3}, key});
	}
	reco_redis_collect(redis, take_type, c);

	for (int i = 0; i < c->count; i++)
	{
		if (c->pairs[i].right_type)
			reco_redis_append(redis, 2, (RecoWord[]) {get, reco_redis_word(c->pairs[i].key)});
	}
	reco_redis_collect(redis, take_value, c);
}

/* Judge one pair; NULL if all is right. */
static RecoDifference *
judge(const Comparison *c, const Pair *pair)
{
	RecoDifference *difference = palloc0(sizeof(RecoDifference));

	difference->id = pair->id;
	difference->key = as_text((RecoText) {pair->key, strlen(pair->key)});
	difference->found = pair->found;
	if (pair->expected.data == NULL)
		return pair->right_type && pair->own ? difference : NULL;

	difference->expected = as_text(pair->expected);
	if (!pair->right_type && strcmp(pair->type, "none") != 0)
		difference->found = psprintf("a value of type %s", pair->type);
	else if (pair->same)
	{
		if (pair->ttl >= pair->life - LIFE_SLACK && pair->ttl >= 0)
			return NULL;
		difference->expected = psprintf("expires after " INT64_FORMAT " s or later", pair->life);
		difference->found = pair->ttl < 0 ? pstrdup("does not expire") :
			psprintf("expires after " INT64_FORMAT " s", pair->ttl);
	}
	return difference;
}

/* See the header. */
List *
reco_compare_keys(RecoRedis *redis, const RecoTemplate *template, const RecoState *state,
				  const int64 *ids, int count, bool (*settle) (void))
{
	Comparison	c = {redis, template, palloc0(sizeof(Pair) * Max(count, 1)), count, 0, CurrentMemoryContext,
	AllocSetContextCreate(CurrentMemoryContext, "reco hash", ALLOCSET_DEFAULT_SIZES)};
	List	   *differences = NIL;

	for (int i = 0; i < count; i++)
	{
		StringInfoData key;

		initStringInfo(&key);
		reco_format_key(template, ids[i], &key);
		c.pairs[i].id = ids[i];
		c.pairs[i].key = key.data;
		if (template->window)
			expect_window(&c.pairs[i], state);
	}
	if (!template->window)
		expect_users(&c, state, ids);
	if (settle != NULL)
		(void) settle();
	look_up(redis, &c);

	for (int i = 0; i < count; i++)
	{
		RecoDifference *difference = judge(&c, &c.pairs[i]);

		if (difference != NULL)
			differences = lappend(differences, difference);
	}
	return differences;
}
