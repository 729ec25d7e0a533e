/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Rows of the derived tables, as they are now, on their way to Redis.
 *
 * Each function reads rows in a short transaction, formats them into memory,
 * leaves the transaction, and only then talks to Redis.  A round is bounded
 * by ROUND_ROWS and ROUND_BYTES, or a single value; while Redis works on one,
 * the next is read, and the replies are collected at the end.  No lock is
 * needed: a row that changes after it was read has its key in the ring and is
 * sent again.
 *
 * What a round holds lives in the memory context "reco send", emptied at the
 * begin of the next.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/spi.h"
#include "engine/lookup.h"
#include "lists/user_state.h"
#include "publish/quote.h"
#include "publish/value.h"
#include "redis/connection.h"
#include "redis/sender.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "trending/window_top.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define ROUND_ROWS 1000
#define ROUND_BYTES (4 * 1024 * 1024)

/* Fields of a hash that one HSET brings. */
#define HSET_FIELDS 500

/* A user's value, or a field of a window's hash and its count. */
typedef struct Entry
{
	int64		id;
	int			offset;			/* within bytes */
	int			length;			/* -1: there is no row */
	int64		count;
} Entry;

typedef struct Round
{
	MemoryContext caller;
	StringInfoData bytes;
	Entry	   *entries;
	int			count;
	int			size;
} Round;

static RecoPlan users_from_plan = {
	"SELECT user_id, list FROM reco.user_state"
	" WHERE user_id >= $1 AND list IS NOT NULL ORDER BY user_id LIMIT $2",
	2, {INT8OID, INT8OID}
};

static MemoryContext memory = NULL;
static RecoTemplate user_template;
static RecoTemplate trending_template;
static instr_time phase_begun;

/* The templates or the time to live have changed. */
void
reco_send_reload(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "reco send", ALLOCSET_DEFAULT_SIZES);
	else
	{
		pfree(user_template.prefix);
		pfree(user_template.suffix);
		pfree(trending_template.prefix);
		pfree(trending_template.suffix);
	}
	user_template = reco_format_user_template();
	trending_template = reco_format_trending_template();
	MemoryContextSwitchTo(caller);
}

/* Begin a round: an empty one, within a transaction. */
static void
begin_round(Round *round)
{
	INSTR_TIME_SET_CURRENT(phase_begun);
	MemoryContextReset(memory);
	round->caller = MemoryContextSwitchTo(memory);
	reco_sql_begin();
	MemoryContextSwitchTo(memory);
	initStringInfo(&round->bytes);
	round->count = 0;
	round->size = ROUND_ROWS;
	round->entries = palloc(sizeof(Entry) * round->size);
}

/* The reading is done: leave the transaction. */
static void
end_reading(void)
{
	reco_sql_commit();
	reco_phase_end(RECO_PHASE_READ, &phase_begun);
}

/* All of it is on its way. */
static void
end_round(Round *round)
{
	reco_phase_end(RECO_PHASE_SEND, &phase_begun);
	MemoryContextSwitchTo(round->caller);
}

/* Wait until Redis has answered to all rounds. */
static void
collect(RecoRedis *redis)
{
	reco_redis_collect(redis, NULL, NULL);
	reco_phase_end(RECO_PHASE_SEND, &phase_begun);
}

/* A new one, whose bytes the caller then appends. */
static Entry *
add_entry(Round *round, int64 id)
{
	Entry	   *entry;

	if (round->count == round->size)
	{
		round->size *= 2;
		round->entries = repalloc_huge(round->entries, sizeof(Entry) * round->size);
	}
	entry = &round->entries[round->count++];
	entry->id = id;
	entry->offset = round->bytes.len;
	entry->length = -1;
	entry->count = 0;
	return entry;
}

static bool
is_full(const Round *round)
{
	return round->bytes.len >= ROUND_BYTES;
}

static void
add_user(Round *round, int64 user, Datum list)
{
	Entry	   *entry = add_entry(round, user);

	reco_quote_list(&round->bytes, user, list);
	entry->length = round->bytes.len - entry->offset;
}

/* Send a round of users: SET with a time to live, or DEL. */
static void
send_users(RecoRedis *redis, Round *round)
{
	StringInfoData key;
	char		seconds[12];

	initStringInfo(&key);
	pg_ltoa(reco_guc_redis_ttl(), seconds);
	for (int i = 0; i < round->count; i++)
	{
		const Entry *entry = &round->entries[i];

		reco_format_key(&user_template, entry->id, &key);
		if (entry->length < 0)
		{
			RecoWord	words[] = {{"DEL", 3}, {key.data, key.len}};

			reco_redis_append(redis, lengthof(words), words);
		}
		else
		{
			RecoWord	words[] = {{"SET", 3}, {key.data, key.len},
			{round->bytes.data + entry->offset, entry->length}, {"EX", 2}, reco_redis_word(seconds)};

			reco_redis_append(redis, lengthof(words), words);
		}
	}
	end_round(round);
	reco_counter_add(RECO_COUNT_PUBLISHED, round->count);
}

/* Read the users' rows into a round; returns how many of them it took. */
static int
read_users(Round *round, const RecoKey *users, int count)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RecoTable  *table = reco_user_open_read(snapshot);
	int			taken;

	reco_quote_begin(snapshot);
	for (taken = 0; taken < count && !is_full(round); taken++)
	{
		RecoKey		user = users[taken];
		Datum		list;

		if (reco_user_fetch_list(table, user.id, &user.place, &list))
			add_user(round, user.id, list);
		else
			add_entry(round, user.id);
	}
	reco_quote_end();
	reco_table_close(table);
	return taken;
}

void
reco_send_users(RecoRedis *redis, const RecoKey *users, int count)
{
	if (count == 0)
		return;
	while (count > 0)
	{
		Round		round;
		int			taken;

		begin_round(&round);
		taken = read_users(&round, users, Min(count, ROUND_ROWS));
		end_reading();
		send_users(redis, &round);
		users += taken;
		count -= taken;
	}
	collect(redis);
}

/* Read users with a list, from one on, into a round. */
static void
read_users_from(Round *round, int64 first)
{
	Datum		values[] = {Int64GetDatum(first), Int64GetDatum(ROUND_ROWS)};
	Snapshot	snapshot = GetActiveSnapshot();
	SPITupleTable *rows;

	reco_quote_begin(snapshot);
	reco_sql_query_at(&users_from_plan, values, snapshot);
	rows = SPI_tuptable;
	for (uint64 row = 0; row < rows->numvals && !is_full(round); row++)
	{
		bool		null;
		int64		user = DatumGetInt64(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &null));

		add_user(round, user, SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &null));
	}
	reco_quote_end();
}

/* The users with a list from *next on, some of them; false: that was the last. */
bool
reco_send_users_from(RecoRedis *redis, int64 *next)
{
	Round		round;
	int64		last;

	begin_round(&round);
	read_users_from(&round, *next);
	end_reading();
	send_users(redis, &round);
	collect(redis);
	if (round.count == 0)
		return false;
	last = round.entries[round.count - 1].id;
	if (last == PG_INT64_MAX)
		return false;
	*next = last + 1;
	return true;
}

/* Read the windows' rows into a round; returns how many windows it took. */
static int
read_windows(Round *round, const RecoKey *windows, int count)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RecoTable  *table = reco_top_open_read(snapshot);
	int			taken;

	reco_lookup_begin(snapshot);
	for (taken = 0; taken < count && taken < ROUND_ROWS && !is_full(round); taken++)
	{
		RecoKey		window = windows[taken];
		RecoTop		top;

		if (reco_top_fetch_near(table, window.id, &window.place, &top) == NULL)
			add_entry(round, window.id);
		for (int i = 0; i < top.count; i++)
		{
			Entry	   *entry = add_entry(round, window.id);

			reco_format_product(&round->bytes, PointerGetDatum(reco_lookup_product(top.ranks[i].number)));
			entry->length = round->bytes.len - entry->offset;
			entry->count = top.ranks[i].views;
		}
	}
	reco_lookup_end();
	reco_table_close(table);
	return taken;
}

/* HSET with some of the entries, all of one window. */
static void
append_fields(RecoRedis *redis, const Round *round, const Entry *entries, int count, RecoWord key)
{
	RecoWord	words[2 + 2 * HSET_FIELDS];
	char		counts[HSET_FIELDS][MAXINT8LEN + 1];
	int			n = 0;

	words[n++] = reco_redis_word("HSET");
	words[n++] = key;
	for (int i = 0; i < count; i++)
	{
		words[n++] = (RecoWord) {round->bytes.data + entries[i].offset, entries[i].length};
		words[n++] = (RecoWord) {counts[i], pg_lltoa(entries[i].count, counts[i])};
	}
	reco_redis_append(redis, n, words);
}

/* Replace one window's hash, or delete it; readers never see a part. */
static void
append_window(RecoRedis *redis, const Round *round, const Entry *entries, int count, RecoWord key,
			  RecoWord seconds)
{
	reco_redis_append(redis, 1, (RecoWord[]) {{"MULTI", 5}});
	reco_redis_append(redis, 2, (RecoWord[]) {{"DEL", 3}, key});
	if (entries[0].length >= 0)
	{
		for (int i = 0; i < count; i += HSET_FIELDS)
			append_fields(redis, round, entries + i, Min(HSET_FIELDS, count - i), key);
		reco_redis_append(redis, 3, (RecoWord[]) {{"EXPIRE", 6}, key, seconds});
	}
	reco_redis_append(redis, 1, (RecoWord[]) {{"EXEC", 4}});
}

/*
 * Send a round of windows.  A window's row lives until the clock has passed
 * its end by the retention; its first view may be ahead of the clock.
 */
static void
send_windows(RecoRedis *redis, Round *round)
{
	int64		life = (int64) reco_guc_retention() + 2 * reco_trending_window + reco_max_future;
	char		seconds[MAXINT8LEN + 1];
	StringInfoData key;
	int			next;

	initStringInfo(&key);
	pg_lltoa(Max(life, reco_guc_redis_ttl()), seconds);
	for (int first = 0; first < round->count; first = next)
	{
		for (next = first + 1; next < round->count; next++)
		{
			if (round->entries[next].id != round->entries[first].id)
				break;
		}
		reco_format_key(&trending_template, round->entries[first].id, &key);
		append_window(redis, round, &round->entries[first], next - first,
					  (RecoWord) {key.data, key.len}, reco_redis_word(seconds));
		reco_counter_add(RECO_COUNT_PUBLISHED, 1);
	}
	end_round(round);
}

void
reco_send_windows(RecoRedis *redis, const RecoKey *windows, int count)
{
	if (count == 0)
		return;
	while (count > 0)
	{
		Round		round;
		int			taken;

		begin_round(&round);
		taken = read_windows(&round, windows, count);
		end_reading();
		send_windows(redis, &round);
		windows += taken;
		count -= taken;
	}
	collect(redis);
}
