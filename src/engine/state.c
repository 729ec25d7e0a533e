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
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Seconds from 1970, where windows begin to count, to 2000, where timestamps do. */
#define EPOCH_SHIFT (((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * SECS_PER_DAY)

static ItemPointerData place;	/* of the row; invalid: not known */

static RecoState written;		/* by the present transaction, */
static int	written_level = 0;	/* the nest level that wrote the row; 0: none did */

/* A column of reco.state and its place in RecoState; of an interval that holds the seconds. */
typedef struct StateColumn
{
	const char *column;
	Oid			type;
	size_t		offset;
	const int  *setting;		/* that a parameter takes over; NULL: it is none */
} StateColumn;

#define FIELD(column, type) {#column, type, offsetof(RecoState, column), NULL}
#define PARAMETER(column, type) {#column, type, offsetof(RecoState, column), &reco_##column}

/* In the order of the table's columns; the one place where they stand in C. */
static const StateColumn fields[RECO_STATE_COLUMNS] = {
	FIELD(clock, TIMESTAMPTZOID),
	FIELD(horizon, TIMESTAMPTZOID),
	FIELD(generation, INT8OID),
	PARAMETER(trending_window, INTERVALOID),
	PARAMETER(recent_window, INTERVALOID),
	PARAMETER(retention, INTERVALOID),
	PARAMETER(trending_size, INT4OID),
	PARAMETER(trending_max, INT4OID),
	PARAMETER(max_user_views, INT4OID),
	PARAMETER(top_categories, INT4OID),
	PARAMETER(max_recommendations, INT4OID),
	FIELD(popularity_at, TIMESTAMPTZOID),
	FIELD(mirror_version, INT8OID),
	FIELD(numbers_version, INT8OID),
};

static RecoPlan read_plan;
static RecoPlan read_at_plan;
static RecoPlan insert_plan;
static RecoPlan update_plan;

/* Make the statements out of the columns. */
static void
prepare_plans(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData columns;
	StringInfoData parameters;

	initStringInfo(&columns);
	initStringInfo(&parameters);
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
	{
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "", fields[i].column);
		appendStringInfo(&parameters, "%s$%d", i > 0 ? ", " : "", i + 1);
		insert_plan.argtypes[i] = update_plan.argtypes[i] = fields[i].type;
	}
	insert_plan.nargs = update_plan.nargs = RECO_STATE_COLUMNS;
	insert_plan.query = psprintf("INSERT INTO reco.state (%s) VALUES (%s)", columns.data, parameters.data);
	update_plan.query = psprintf("UPDATE reco.state SET (%s) = ROW (%s)", columns.data, parameters.data);
	read_at_plan.nargs = 1;
	read_at_plan.argtypes[0] = TIDOID;
	read_at_plan.query = psprintf("SELECT %s, ctid FROM reco.state WHERE ctid = $1", columns.data);
	read_plan.query = psprintf("SELECT %s, ctid FROM reco.state", columns.data);
	MemoryContextSwitchTo(caller);
}

static RecoPlan *
state_plan(RecoPlan *plan)
{
	if (plan->query == NULL)
		prepare_plans();
	return plan;
}

static Datum
field_get(const StateColumn *field, const RecoState *state)
{
	const void *value = (const char *) state + field->offset;
	Interval   *interval;

	switch (field->type)
	{
		case TIMESTAMPTZOID:
		case INT8OID:
			return Int64GetDatum(*(const int64 *) value);
		case INTERVALOID:
			interval = palloc0(sizeof(Interval));
			interval->time = *(const int *) value * USECS_PER_SEC;
			return IntervalPGetDatum(interval);
		default:
			return Int32GetDatum(*(const int *) value);
	}
}

static void
field_set(const StateColumn *field, RecoState *state, Datum datum)
{
	void	   *value = (char *) state + field->offset;
	Interval   *interval;

	switch (field->type)
	{
		case TIMESTAMPTZOID:
		case INT8OID:
			*(int64 *) value = DatumGetInt64(datum);
			break;
		case INTERVALOID:
			interval = DatumGetIntervalP(datum);
			*(int *) value = interval->time / USECS_PER_SEC +
				(interval->day + interval->month * DAYS_PER_MONTH) * (int64) SECS_PER_DAY;
			break;
		default:
			*(int *) value = DatumGetInt32(datum);
	}
}

/* The setting of a parameter; a retention that is too short is raised. */
static int
field_setting(const StateColumn *field)
{
	return field->setting == &reco_retention ? reco_guc_retention() : *field->setting;
}

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
	if (reco_service_serves_database())
		reco_service_set_state(state);
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

/* The row's columns, RECO_STATE_COLUMNS of them. */
void
reco_state_values(const RecoState *state, Datum *values)
{
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
		values[i] = field_get(&fields[i], state);
}

/* Read the row without the lock; false if there is none. */
bool
reco_state_peek(RecoState *state)
{
	Datum		at = PointerGetDatum(&place);
	bool		null;

	if (!(ItemPointerIsValid(&place) && reco_sql_query(state_plan(&read_at_plan), &at, NULL, 1) > 0) &&
		reco_sql_query(state_plan(&read_plan), NULL, NULL, 1) == 0)
		return false;
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
		field_set(&fields[i], state, reco_sql_value(0, i + 1, &null));
	place = *(ItemPointer) DatumGetPointer(reco_sql_value(0, RECO_STATE_COLUMNS + 1, &null));
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

	reco_own_tables_check();
	if (find_row(table, snapshot, row))
	{
		RecoState	state;

		slot_getallattrs(row);
		for (int i = 0; i < RECO_STATE_COLUMNS; i++)
			field_set(&fields[i], &state, row->tts_values[i]);
		versions = (RecoVersions) {state.mirror_version, state.numbers_version};
	}
	ExecDropSingleTupleTableSlot(row);
	table_close(table, AccessShareLock);
	return versions;
}

/* Read the row; the caller holds the lock.  Makes it where there is none. */
void
reco_state_read(RecoState *state)
{
	Datum		values[RECO_STATE_COLUMNS];

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
	reco_state_values(state, values);
	reco_sql_execute(state_plan(&insert_plan), values, NULL);
	written = *state;
	written_level = GetCurrentTransactionNestLevel();
}

/* Write the row; the caller holds the lock. */
void
reco_state_write(const RecoState *state)
{
	Datum		values[RECO_STATE_COLUMNS];

	Assert(reco_state_is_locked());
	reco_state_values(state, values);
	if (reco_sql_execute(state_plan(&update_plan), values, NULL) != 1)
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
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
	{
		const StateColumn *field = &fields[i];

		if (field->setting != NULL &&
			*(const int *) ((const char *) state + field->offset) != field_setting(field))
			return true;
	}
	return false;
}

/* Let the settings be in force; derived state must be computed again. */
void
reco_state_take_settings(RecoState *state)
{
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
	{
		if (fields[i].setting != NULL)
			*(int *) ((char *) state + fields[i].offset) = field_setting(&fields[i]);
	}
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
