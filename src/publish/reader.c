/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Rows of the derived tables, as they are now, on their way to the sink.
 *
 * Each function reads rows in a short transaction, formats them into memory,
 * leaves the transaction, and only then talks to the sink.  A round is bounded
 * by ROUND_ROWS and ROUND_BYTES, or a single value; while the sink works on one,
 * the next is read.  No lock is needed: a row that changes after it was read
 * has its key in the queue and is sent again.
 *
 * What a round holds lives in the memory context "reco send", emptied at the
 * begin of the next.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "engine/lookup.h"
#include "lists/user_state.h"
#include "publish/reader.h"
#include "publish/value.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "trending/window_top.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define ROUND_ROWS 1000
#define ROUND_BYTES (4 * 1024 * 1024)

/* Rows of a first round, while nobody knows how long the lists are. */
#define FIRST_ROWS 32

/* A user's value, or a product of a window and its views. */
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
	instr_time	begun;			/* its present phase */
} Round;

static RecoPlan users_from_plan = {
	"SELECT user_id, list FROM reco.user_state"
	" WHERE user_id >= $1 AND list IS NOT NULL ORDER BY user_id LIMIT $2",
	2, {INT8OID, INT8OID}
};

static MemoryContext memory = NULL;

/* Begin a round: an empty one, within a transaction. */
static void
begin_round(Round *round)
{
	round->begun = reco_metrics_phase_begin();
	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "reco send", ALLOCSET_DEFAULT_SIZES);
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
end_reading(Round *round)
{
	reco_sql_commit();
	reco_metrics_phase_end(RECO_PHASE_READ, round->begun);
	round->begun = reco_metrics_phase_begin();
}

/* All of it is on its way. */
static void
end_round(Round *round)
{
	reco_metrics_phase_end(RECO_PHASE_SEND, round->begun);
	MemoryContextSwitchTo(round->caller);
}

/* Wait until the sink has done all rounds. */
static void
flush(RecoSinkLink *link)
{
	instr_time	begun = reco_metrics_phase_begin();

	reco_sink->flush(link);
	reco_metrics_phase_end(RECO_PHASE_SEND, begun);
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

	reco_value_append_list(&round->bytes, user, list);
	entry->length = round->bytes.len - entry->offset;
}

/* What an entry holds; data is not NULL. */
static RecoSlice
entry_text(const Round *round, const Entry *entry)
{
	return (RecoSlice) {round->bytes.data + entry->offset, entry->length};
}

/* Send a round of users. */
static void
send_users(RecoSinkLink *link, Round *round)
{
	for (int i = 0; i < round->count; i++)
	{
		const Entry *entry = &round->entries[i];

		if (entry->length < 0)
			reco_sink->drop_user(link, entry->id);
		else
			reco_sink->put_user(link, entry->id, entry_text(round, entry));
	}
	end_round(round);
	reco_metrics_add(RECO_METRIC_PUBLISHED, round->count);
}

/* Read the users' rows into a round; returns how many of them it took. */
static int
read_users(Round *round, const RecoKey *users, int count)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RecoTable  *table = reco_user_open_read(snapshot);
	int			taken;

	reco_value_begin(snapshot);
	for (taken = 0; taken < count && !is_full(round); taken++)
	{
		RecoKey		user = users[taken];
		Datum		list;

		if (reco_user_fetch_list(table, user.id, &user.tid, &list))
			add_user(round, user.id, list);
		else
			add_entry(round, user.id);
	}
	reco_value_end();
	reco_table_close(table);
	return taken;
}

/* Send the rows of keys of one kind, round by round. */
static void
send_rows(RecoSinkLink *link, const RecoKey *keys, int count,
		  int (*read_round) (Round *, const RecoKey *, int), void (*send_round) (RecoSinkLink *, Round *))
{
	if (count == 0)
		return;
	while (count > 0)
	{
		Round		round;
		int			taken;

		begin_round(&round);
		taken = read_round(&round, keys, Min(count, ROUND_ROWS));
		end_reading(&round);
		send_round(link, &round);
		keys += taken;
		count -= taken;
	}
	flush(link);
}

void
reco_reader_send_users(RecoSinkLink *link, const RecoKey *users, int count)
{
	send_rows(link, users, count, read_users, send_users);
}

/* Read users with a list, so many at most from one on, into a round. */
static void
read_users_from(Round *round, int64 first, int64 limit)
{
	Datum		values[] = {Int64GetDatum(first), Int64GetDatum(limit)};
	Snapshot	snapshot = GetActiveSnapshot();
	SPITupleTable *rows;

	reco_value_begin(snapshot);
	reco_sql_query_at(&users_from_plan, values, snapshot);
	rows = SPI_tuptable;
	for (uint64 row = 0; row < rows->numvals && !is_full(round); row++)
	{
		bool		null;
		int64		user = DatumGetInt64(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &null));

		add_user(round, user, SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &null));
	}
	reco_value_end();
}

/*
 * The users with a list from *next on, some of them; false: that was the last.
 * Their rows are all in memory before the first is looked at, so how many are
 * asked for follows how long the lists of the last round were.
 */
bool
reco_reader_send_users_from(RecoSinkLink *link, int64 *next)
{
	static int	limit = FIRST_ROWS;
	Round		round;
	int64		last;

	begin_round(&round);
	read_users_from(&round, *next, limit);
	end_reading(&round);
	limit = is_full(&round) ? Max(round.count, 1) : Min(limit * 2, ROUND_ROWS);
	send_users(link, &round);
	flush(link);
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
	RecoTable  *table = reco_window_top_open_read(snapshot);
	int			taken;

	reco_lookup_begin(snapshot);
	for (taken = 0; taken < count && !is_full(round); taken++)
	{
		RecoKey		window = windows[taken];
		RecoTopK	top;

		if (reco_window_top_fetch_near(table, window.id, &window.tid, &top) == NULL)
			add_entry(round, window.id);
		for (int i = 0; i < top.count; i++)
		{
			Entry	   *entry = add_entry(round, window.id);

			reco_value_append_product(&round->bytes, PointerGetDatum(reco_lookup_product(top.ranks[i].number)));
			entry->length = round->bytes.len - entry->offset;
			entry->count = top.ranks[i].views;
		}
	}
	reco_lookup_end();
	reco_table_close(table);
	return taken;
}

/* Send a round of windows, whose products stand side by side. */
static void
send_windows(RecoSinkLink *link, Round *round)
{
	RecoSinkField *fields = palloc_extended(sizeof(RecoSinkField) * Max(round->count, 1), MCXT_ALLOC_HUGE);
	int			next;

	for (int first = 0; first < round->count; first = next)
	{
		int			count = 0;

		for (next = first; next < round->count && round->entries[next].id == round->entries[first].id; next++)
		{
			const Entry *entry = &round->entries[next];

			if (entry->length >= 0)
				fields[count++] = (RecoSinkField) {entry_text(round, entry), entry->count};
		}
		reco_sink->put_window(link, round->entries[first].id, fields, count);
		reco_metrics_add(RECO_METRIC_PUBLISHED, 1);
	}
	end_round(round);
}

void
reco_reader_send_windows(RecoSinkLink *link, const RecoKey *windows, int count)
{
	send_rows(link, windows, count, read_windows, send_windows);
}
