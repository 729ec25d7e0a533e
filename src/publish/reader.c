/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reads current rows and passes them to the sink.
 *
 * Each round reads rows in a short transaction, formats them in memory, commits,
 * and only then calls the sink.  A round is bounded by ROUND_ROWS and ROUND_BYTES,
 * or a single value; while the sink processes one, the next is read.  No lock is
 * needed: if a row changes after it was read, its key is in the change queue and
 * it is sent again.
 *
 * A round's memory is reset at the beginning of the next.
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

/* Rows of the first round, when the lists' length is unknown. */
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
	instr_time	begun;			/* its current phase */
} Round;

static RecoPlan users_from_plan = {
	"SELECT user_id, list FROM reco.user_state"
	" WHERE user_id >= $1 AND list IS NOT NULL ORDER BY user_id LIMIT $2",
	2, {INT8OID, INT8OID}
};

static MemoryContext round_memory = NULL;

/* Begin an empty round, and its transaction. */
static void
reader_begin_round(Round *round)
{
	round->begun = reco_metrics_phase_begin();
	if (round_memory == NULL)
		round_memory = AllocSetContextCreate(TopMemoryContext, "reco send", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(round_memory);
	round->caller = MemoryContextSwitchTo(round_memory);
	reco_sql_begin();
	MemoryContextSwitchTo(round_memory);
	initStringInfo(&round->bytes);
	round->count = 0;
	round->size = ROUND_ROWS;
	round->entries = palloc(sizeof(Entry) * round->size);
}

/* Reading is done: commit. */
static void
reader_end_reading(Round *round)
{
	reco_sql_commit();
	reco_metrics_phase_end(RECO_PHASE_READ, round->begun);
	round->begun = reco_metrics_phase_begin();
}

/* The round has been passed to the sink. */
static void
reader_end_round(Round *round)
{
	reco_metrics_phase_end(RECO_PHASE_SEND, round->begun);
	MemoryContextSwitchTo(round->caller);
}

/* Wait until the sink has completed all rounds. */
static void
reader_flush(RecoSinkLink *link)
{
	instr_time	begun = reco_metrics_phase_begin();

	reco_sink->flush(link);
	reco_metrics_phase_end(RECO_PHASE_SEND, begun);
}

/* Add an entry, whose bytes the caller then appends. */
static Entry *
reader_add_entry(Round *round, int64 id)
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
reader_is_full(const Round *round)
{
	return round->bytes.len >= ROUND_BYTES;
}

static void
reader_add_user(Round *round, int64 user, Datum list)
{
	Entry	   *entry = reader_add_entry(round, user);

	reco_value_append_list(&round->bytes, user, list);
	entry->length = round->bytes.len - entry->offset;
}

/* An entry's bytes; data is not NULL. */
static RecoSlice
reader_entry_text(const Round *round, const Entry *entry)
{
	return (RecoSlice) {round->bytes.data + entry->offset, entry->length};
}

/* Send a round of users. */
static void
reader_send_users(RecoSinkLink *link, Round *round)
{
	for (int i = 0; i < round->count; i++)
	{
		const Entry *entry = &round->entries[i];

		if (entry->length < 0)
			reco_sink->drop_user(link, entry->id);
		else
			reco_sink->put_user(link, entry->id, reader_entry_text(round, entry));
	}
	reader_end_round(round);
	reco_metrics_add(RECO_METRIC_PUBLISHED, round->count);
}

/* Read users' rows into a round; returns how many users it could take. */
static int
reader_read_users(Round *round, const RecoKey *users, int count)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RecoTable  *table = reco_user_open_read(snapshot);
	int			nread;

	reco_value_begin(snapshot);
	for (nread = 0; nread < count && !reader_is_full(round); nread++)
	{
		RecoKey		user = users[nread];
		Datum		list;

		if (reco_user_fetch_list(table, user.id, &user.tid, &list))
			reader_add_user(round, user.id, list);
		else
			reader_add_entry(round, user.id);
	}
	reco_value_end();
	reco_table_close(table);
	return nread;
}

/* Send the rows of keys of one kind, round by round. */
static void
reader_send_rows(RecoSinkLink *link, const RecoKey *keys, int count,
				 int (*read_round) (Round *, const RecoKey *, int), void (*send_round) (RecoSinkLink *, Round *))
{
	if (count == 0)
		return;
	while (count > 0)
	{
		Round		round;
		int			nread;

		reader_begin_round(&round);
		nread = read_round(&round, keys, Min(count, ROUND_ROWS));
		reader_end_reading(&round);
		send_round(link, &round);
		keys += nread;
		count -= nread;
	}
	reader_flush(link);
}

void
reco_reader_send_users(RecoSinkLink *link, const RecoKey *users, int count)
{
	reader_send_rows(link, users, count, reader_read_users, reader_send_users);
}

/* Read at most limit users with a list, from "first" on, into a round. */
static void
reader_read_users_from(Round *round, int64 first, int64 limit)
{
	Datum		values[] = {Int64GetDatum(first), Int64GetDatum(limit)};
	Snapshot	snapshot = GetActiveSnapshot();
	SPITupleTable *rows;

	reco_value_begin(snapshot);
	reco_sql_query_at(&users_from_plan, values, snapshot);
	rows = SPI_tuptable;
	for (uint64 row = 0; row < rows->numvals && !reader_is_full(round); row++)
	{
		bool		null;
		int64		user = DatumGetInt64(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &null));

		reader_add_user(round, user, SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &null));
	}
	reco_value_end();
}

/*
 * See the header.  All rows of the query are in memory at once, so their number
 * is adapted to the length of the lists in the last round.
 */
bool
reco_reader_send_users_from(RecoSinkLink *link, int64 *next)
{
	static int	limit = FIRST_ROWS;
	Round		round;
	int64		last;

	reader_begin_round(&round);
	reader_read_users_from(&round, *next, limit);
	reader_end_reading(&round);
	limit = reader_is_full(&round) ? Max(round.count, 1) : Min(limit * 2, ROUND_ROWS);
	reader_send_users(link, &round);
	reader_flush(link);
	if (round.count == 0)
		return false;
	last = round.entries[round.count - 1].id;
	if (last == PG_INT64_MAX)
		return false;
	*next = last + 1;
	return true;
}

/* Read windows' rows into a round; returns how many windows it could take. */
static int
reader_read_windows(Round *round, const RecoKey *windows, int count)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RecoTable  *table = reco_window_top_open_read(snapshot);
	int			nread;

	reco_lookup_begin(snapshot);
	for (nread = 0; nread < count && !reader_is_full(round); nread++)
	{
		RecoKey		window = windows[nread];
		RecoTopK	top;

		if (reco_window_top_fetch_near(table, window.id, &window.tid, &top) == NULL)
			reader_add_entry(round, window.id);
		for (int i = 0; i < top.count; i++)
		{
			Entry	   *entry = reader_add_entry(round, window.id);

			reco_value_append_product(&round->bytes, reco_lookup_product(top.ranks[i].number));
			entry->length = round->bytes.len - entry->offset;
			entry->count = top.ranks[i].views;
		}
	}
	reco_lookup_end();
	reco_table_close(table);
	return nread;
}

/* Send a round of windows; a window's products are adjacent. */
static void
reader_send_windows(RecoSinkLink *link, Round *round)
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
				fields[count++] = (RecoSinkField) {reader_entry_text(round, entry), entry->count};
		}
		reco_sink->put_window(link, round->entries[first].id, fields, count);
		reco_metrics_add(RECO_METRIC_PUBLISHED, 1);
	}
	reader_end_round(round);
}

void
reco_reader_send_windows(RecoSinkLink *link, const RecoKey *windows, int count)
{
	reader_send_rows(link, windows, count, reader_read_windows, reader_send_windows);
}
