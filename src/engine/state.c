/*-------------------------------------------------------------------------
 *
 * state.c
 *	  reco's lock, and the row of clock, horizon, generation and parameters.
 *
 * Every transaction that writes derived state holds one heavyweight lock, on
 * the extension as an object, until its end.  It is taken before any of
 * reco's rows is read, but after reco.product is locked (popularity.c), so
 * reco's workers and functions never deadlock with each other and the result
 * does not depend on how they interleave; transactions of several statements
 * may.  pg_locks shows it; no plain role can take it.
 *
 * The row is unlogged like all that it describes: after a crash it is gone,
 * and whoever locks first makes a new one.  It is read where it last stood:
 * beside an old snapshot the table holds a version of each second.  Who writes
 * it looks at all, and so notices that there are two.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/guc.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "engine/state.h"
#include "miscadmin.h"
#include "shmem/service_state.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Seconds from 1970, where windows begin to count, to 2000, where timestamps do. */
#define EPOCH_SHIFT (((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * SECS_PER_DAY)

static ItemPointerData place;	/* of the row; invalid: not known */

static RecoState written;		/* by the present transaction, */
static int	written_level = 0;	/* the nest level that wrote the row; 0: none did */

#define READ \
	"SELECT clock, horizon, popularity_at, generation, mirror_version, numbers_version," \
	" extract(epoch FROM trending_window)::int, extract(epoch FROM recent_window)::int," \
	" extract(epoch FROM retention)::int, trending_size, max_user_views, top_categories," \
	" max_recommendations, trending_max, ctid FROM reco.state"

static RecoPlan read_plan = {READ};
static RecoPlan read_at_plan = {READ " WHERE ctid = $1", 1, {TIDOID}};

/* Columns of the table, see own_tables.c. */
#define STATE_MIRROR_VERSION 13
#define STATE_NUMBERS_VERSION 14

#define STATE_COLUMNS 14
#define STATE_ARGTYPES STATE_COLUMNS, {TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID, \
	INT8OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID}

static RecoPlan insert_plan = {
	"INSERT INTO reco.state (clock, horizon, popularity_at, generation, mirror_version, numbers_version,"
	" trending_window, recent_window, retention, trending_size, max_user_views,"
	" top_categories, max_recommendations, trending_max)"
	" VALUES ($1, $2, $3, $4, $5, $6, make_interval(secs => $7), make_interval(secs => $8),"
	" make_interval(secs => $9), $10, $11, $12, $13, $14)", STATE_ARGTYPES
};

static RecoPlan update_plan = {
	"UPDATE reco.state SET clock = $1, horizon = $2, popularity_at = $3, generation = $4,"
	" mirror_version = $5, numbers_version = $6, trending_window = make_interval(secs => $7),"
	" recent_window = make_interval(secs => $8), retention = make_interval(secs => $9),"
	" trending_size = $10, max_user_views = $11, top_categories = $12,"
	" max_recommendations = $13, trending_max = $14", STATE_ARGTYPES
};

/* A prepared transaction would hold the lock with nobody to ask about it. */
static void
state_pre_prepare(void)
{
	if (reco_state_is_locked())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has changed reco's tables"),
				 errhint("Commit the change of reco's tables in a transaction of its own.")));
}

/* Tell who does not read the table what is committed in it; see service_state.c. */
void
reco_state_publish(const RecoState *state)
{
	RecoStateCopy copy = {
		.clock = state->clock,
		.horizon = state->horizon,
		.popularity_at = state->popularity_at,
		.generation = state->generation,
		.mirror_version = state->mirror_version,
		.numbers_version = state->numbers_version,
		.trending_window = state->trending_window,
		.recent_window = state->recent_window,
		.retention = state->retention,
		.trending_size = state->trending_size,
		.trending_max = state->trending_max,
		.max_user_views = state->max_user_views,
		.top_categories = state->top_categories,
		.max_recommendations = state->max_recommendations,
	};

	if (reco_shared_serves_database())
		reco_shared_set_state(&copy);
}

static void
state_commit(void)
{
	if (written_level > 0)
		reco_state_publish(&written);
}

static void
state_reset(void)
{
	written_level = 0;
}

static void
state_commit_sub(int level)
{
	written_level = Min(written_level, level - 1);
}

/* What stood before is in shared memory; a clock that moves tells it anew in a second. */
static void
state_abort_sub(int level)
{
	if (written_level >= level)
		written_level = 0;
}

const RecoXactModule reco_state_xact = {
	.pre_prepare = state_pre_prepare,
	.commit = state_commit,
	.reset = state_reset,
	.commit_sub = state_commit_sub,
	.abort_sub = state_abort_sub,
};

/*
 * May the transaction write derived state?  Who does must see what the last
 * holder of the lock has committed.  The tables of an extension that is being
 * created nobody else has seen.
 */
void
reco_state_require_writable(void)
{
	if (!creating_extension)
		reco_sql_require_read_committed("change reco's tables");
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot change reco's tables in a read-only transaction")));
}

/*
 * Take the lock for the rest of the transaction; waits for other writers.
 * Statements from here on see what they have committed.
 */
void
reco_state_lock(void)
{
	Oid			extension = get_extension_oid("reco", false);

	reco_state_require_writable();
	LockDatabaseObject(ExtensionRelationId, extension, 0, ExclusiveLock);
	if (get_extension_oid("reco", true) != extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"reco\" was dropped while its lock was waited for")));
}

/* Give it back, with nothing read or written under it. */
void
reco_state_unlock(void)
{
	Assert(reco_state_is_locked());
	UnlockDatabaseObject(ExtensionRelationId, get_extension_oid("reco", false), 0, ExclusiveLock);
}

/*
 * Does the transaction hold it?  The lock manager knows, also where a
 * subtransaction that had taken it was rolled back.
 */
bool
reco_state_is_locked(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, get_extension_oid("reco", true), 0);
	return reco_lock_is_held(&tag, ExclusiveLock);
}

static TimestampTz
whole_second(TimestampTz at)
{
	int64		rest = at % USECS_PER_SEC;

	return at - (rest < 0 ? rest + USECS_PER_SEC : rest);
}

static void
values_of(const RecoState *state, Datum *values)
{
	int			n = 0;

	values[n++] = TimestampTzGetDatum(state->clock);
	values[n++] = TimestampTzGetDatum(state->horizon);
	values[n++] = TimestampTzGetDatum(state->popularity_at);
	values[n++] = Int64GetDatum(state->generation);
	values[n++] = Int64GetDatum(state->mirror_version);
	values[n++] = Int64GetDatum(state->numbers_version);
	values[n++] = Int32GetDatum(state->trending_window);
	values[n++] = Int32GetDatum(state->recent_window);
	values[n++] = Int32GetDatum(state->retention);
	values[n++] = Int32GetDatum(state->trending_size);
	values[n++] = Int32GetDatum(state->max_user_views);
	values[n++] = Int32GetDatum(state->top_categories);
	values[n++] = Int32GetDatum(state->max_recommendations);
	values[n++] = Int32GetDatum(state->trending_max);
}

/* Read the row without the lock; false if there is none. */
bool
reco_state_peek(RecoState *state)
{
	Datum		at = PointerGetDatum(&place);
	bool		null;
	int			n = 0;

	if (!(ItemPointerIsValid(&place) && reco_sql_query(&read_at_plan, &at, NULL, 1) > 0) &&
		reco_sql_query(&read_plan, NULL, NULL, 1) == 0)
		return false;
	state->clock = DatumGetTimestampTz(reco_sql_value(0, ++n, &null));
	state->horizon = DatumGetTimestampTz(reco_sql_value(0, ++n, &null));
	state->popularity_at = DatumGetTimestampTz(reco_sql_value(0, ++n, &null));
	state->generation = DatumGetInt64(reco_sql_value(0, ++n, &null));
	state->mirror_version = DatumGetInt64(reco_sql_value(0, ++n, &null));
	state->numbers_version = DatumGetInt64(reco_sql_value(0, ++n, &null));
	state->trending_window = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->recent_window = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->retention = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->trending_size = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->max_user_views = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->top_categories = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->max_recommendations = DatumGetInt32(reco_sql_value(0, ++n, &null));
	state->trending_max = DatumGetInt32(reco_sql_value(0, ++n, &null));
	place = *(ItemPointer) DatumGetPointer(reco_sql_value(0, ++n, &null));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* Find the row that a snapshot shows; false: there is none. */
static bool
find_row(Relation table, Snapshot snapshot, TupleTableSlot *row)
{
	TableScanDesc scan;
	bool		found;

	if (ItemPointerIsValid(&place) &&
		ItemPointerGetBlockNumber(&place) < RelationGetNumberOfBlocks(table) &&
		table_tuple_fetch_row_version(table, &place, snapshot, row))
		return true;
	scan = table_beginscan(table, snapshot, 0, NULL);
	found = table_scan_getnextslot(scan, ForwardScanDirection, row);
	if (found)
	{
		ExecMaterializeSlot(row);	/* the scan's end lets go of its page */
		place = row->tts_tid;
	}
	table_endscan(scan);
	return found;
}

/* The versions that a snapshot shows; 0 where there is no row. */
RecoVersions
reco_state_versions(Snapshot snapshot)
{
	Relation	table = table_open(reco_sql_table("state"), AccessShareLock);
	TupleTableSlot *row = table_slot_create(table, NULL);
	RecoVersions versions = {0, 0};
	bool		null;

	reco_tables_check();
	if (find_row(table, snapshot, row))
	{
		versions.mirror = DatumGetInt64(slot_getattr(row, STATE_MIRROR_VERSION, &null));
		versions.numbers = DatumGetInt64(slot_getattr(row, STATE_NUMBERS_VERSION, &null));
	}
	ExecDropSingleTupleTableSlot(row);
	table_close(table, AccessShareLock);
	return versions;
}

/* Read the row; the caller holds the lock.  Makes it where there is none. */
void
reco_state_read(RecoState *state)
{
	Datum		values[STATE_COLUMNS];

	Assert(reco_state_is_locked());
	if (reco_state_peek(state))
		return;
	memset(state, 0, sizeof(*state));
	state->clock = whole_second(GetCurrentTimestamp());
	state->popularity_at = state->clock - reco_popularity_interval * USECS_PER_SEC; /* due */
	state->generation = 1;
	/* never those of an earlier row, which processes may have cached things for */
	state->mirror_version = state->numbers_version = GetCurrentTimestamp();
	reco_state_take_settings(state);
	values_of(state, values);
	reco_sql_execute(&insert_plan, values, NULL);
	written = *state;
	written_level = GetCurrentTransactionNestLevel();
}

/* Write the row; the caller holds the lock. */
void
reco_state_write(const RecoState *state)
{
	Datum		values[STATE_COLUMNS];

	Assert(reco_state_is_locked());
	values_of(state, values);
	if (reco_sql_execute(&update_plan, values, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("reco.state does not hold exactly one row"),
				 errhint("Run TRUNCATE reco.state and reco_rebuild().")));
	written = *state;
	written_level = GetCurrentTransactionNestLevel();
}

/* Do the settings differ from the parameters in force? */
bool
reco_state_settings_differ(const RecoState *state)
{
	return state->trending_window != reco_trending_window ||
		state->recent_window != reco_recent_window ||
		state->retention != reco_guc_retention() ||
		state->trending_size != reco_trending_size ||
		state->trending_max != reco_trending_max ||
		state->max_user_views != reco_max_user_views ||
		state->top_categories != reco_top_categories ||
		state->max_recommendations != reco_max_recommendations;
}

/* Let the settings be in force; derived state must be computed again. */
void
reco_state_take_settings(RecoState *state)
{
	state->trending_window = reco_trending_window;
	state->recent_window = reco_recent_window;
	state->retention = reco_guc_retention();
	state->trending_size = reco_trending_size;
	state->trending_max = reco_trending_max;
	state->max_user_views = reco_max_user_views;
	state->top_categories = reco_top_categories;
	state->max_recommendations = reco_max_recommendations;
	reco_state_set_clock(state, state->clock);
}

/* Move the clock, and the horizon with it. */
void
reco_state_set_clock(RecoState *state, TimestampTz clock)
{
	state->clock = whole_second(clock);
	state->horizon = reco_state_window(state, state->clock - state->retention * USECS_PER_SEC);
}

/* The start of the window that holds a moment: date_bin(W, at, 'epoch'). */
TimestampTz
reco_state_window(const RecoState *state, TimestampTz at)
{
	int64		window = state->trending_window * USECS_PER_SEC;
	int64		rest = (at + EPOCH_SHIFT * USECS_PER_SEC) % window;

	return at - (rest < 0 ? rest + window : rest);
}

/*
 * A moment in seconds, rounded up.  The clock is in whole seconds, so a view
 * is later than any of its moments exactly if its rounded second is.  Counted
 * from 2068, so that the years 2000 to 2136 fit.
 */
int32
reco_state_second(TimestampTz at)
{
	TimestampTz floor = whole_second(at);

	return (int32) (floor / USECS_PER_SEC + (at > floor ? 1 : 0) + PG_INT32_MIN);
}

/* The moment at the end of such a second. */
TimestampTz
reco_state_moment(int32 second)
{
	return (second - (int64) PG_INT32_MIN) * USECS_PER_SEC;
}
