/*-------------------------------------------------------------------------
 *
 * state.c
 *	  The row of reco.state: clock, horizon, generation and parameters in force.
 *
 * The row is fetched by its last TID, because with an old snapshot around the
 * table contains a version of each second.  write.c writes it.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/own_tables.h"
#include "common/spi.h"
#include "engine/state.h"
#include "shmem/service_state.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Seconds from 1970, the origin of windows, to 2000, that of timestamps. */
#define EPOCH_SHIFT (((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * SECS_PER_DAY)

static ItemPointerData row_tid;	/* of the row; invalid: unknown */

/*
 * A column of reco.state, and the offset of its field in RecoState; an
 * interval is kept in seconds.
 */
typedef struct StateColumn
{
	const char *column;
	Oid			type;
	size_t		offset;
	const int  *setting;		/* the setting of a parameter; NULL: no parameter */
} StateColumn;

#define FIELD(column, type) {#column, type, offsetof(RecoState, column), NULL}
#define PARAMETER(column, type) {#column, type, offsetof(RecoState, column), &reco_##column}

/* In the order of the table's columns. */
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

/* Build the statements from the columns. */
static void
state_prepare_plans(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
		appendStringInfo(&columns, "%s, ", fields[i].column);
	read_at_plan.nargs = 1;
	read_at_plan.argtypes[0] = TIDOID;
	read_at_plan.query = psprintf("SELECT %sctid FROM reco.state WHERE ctid = $1", columns.data);
	read_plan.query = psprintf("SELECT %sctid FROM reco.state", columns.data);
	MemoryContextSwitchTo(caller);
}

static RecoPlan *
state_plan(RecoPlan *plan)
{
	if (plan->query == NULL)
		state_prepare_plans();
	return plan;
}

/* A column of the table, and its type. */
const char *
reco_state_column(int i, Oid *type)
{
	*type = fields[i].type;
	return fields[i].column;
}

static Datum
state_field_get(const StateColumn *field, const RecoState *state)
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
state_field_set(const StateColumn *field, RecoState *state, Datum datum)
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
state_field_setting(const StateColumn *field)
{
	return field->setting == &reco_retention ? reco_guc_retention() : *field->setting;
}

/* Publish the committed row for those who do not read the table; see service_state.c. */
void
reco_state_publish(const RecoState *state)
{
	if (reco_service_serves_database())
		reco_service_set_state(state);
}

static TimestampTz
state_whole_second(TimestampTz at)
{
	int64		rest = at % USECS_PER_SEC;

	return at - (rest < 0 ? rest + USECS_PER_SEC : rest);
}

/* Return the values of the RECO_STATE_COLUMNS columns. */
void
reco_state_values(const RecoState *state, Datum *values)
{
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
		values[i] = state_field_get(&fields[i], state);
}

/* Read the row without the lock; false if there is none. */
bool
reco_state_peek(RecoState *state)
{
	Datum		at = PointerGetDatum(&row_tid);
	bool		null;

	if (!(ItemPointerIsValid(&row_tid) && reco_sql_query(state_plan(&read_at_plan), &at, NULL, 1) > 0) &&
		reco_sql_query(state_plan(&read_plan), NULL, NULL, 1) == 0)
		return false;
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
		state_field_set(&fields[i], state, reco_sql_value(0, i + 1, &null));
	row_tid = *(ItemPointer) DatumGetPointer(reco_sql_value(0, RECO_STATE_COLUMNS + 1, &null));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* Find the row that is visible to a snapshot; false if there is none. */
static bool
state_find_row(Relation table, Snapshot snapshot, TupleTableSlot *row)
{
	TableScanDesc scan;
	bool		found;

	if (ItemPointerIsValid(&row_tid) &&
		ItemPointerGetBlockNumber(&row_tid) < RelationGetNumberOfBlocks(table) &&
		table_tuple_fetch_row_version(table, &row_tid, snapshot, row))
		return true;
	scan = table_beginscan(table, snapshot, 0, NULL);
	found = table_scan_getnextslot(scan, ForwardScanDirection, row);
	if (found)
	{
		ExecMaterializeSlot(row);	/* before the end of the scan releases its page */
		row_tid = row->tts_tid;
	}
	table_endscan(scan);
	return found;
}

/* The versions visible to a snapshot; 0 if there is no row. */
RecoVersions
reco_state_versions(Snapshot snapshot)
{
	Relation	table = table_open(reco_sql_table("state"), AccessShareLock);
	TupleTableSlot *row = table_slot_create(table, NULL);
	RecoVersions versions = {0, 0};

	reco_own_tables_check();
	if (state_find_row(table, snapshot, row))
	{
		RecoState	state;

		slot_getallattrs(row);
		for (int i = 0; i < RECO_STATE_COLUMNS; i++)
			state_field_set(&fields[i], &state, row->tts_values[i]);
		versions = (RecoVersions) {state.mirror_version, state.numbers_version};
	}
	ExecDropSingleTupleTableSlot(row);
	table_close(table, AccessShareLock);
	return versions;
}

/* The initial state. */
void
reco_state_init(RecoState *state)
{
	memset(state, 0, sizeof(*state));
	state->clock = state_whole_second(GetCurrentTimestamp());
	state->popularity_at = state->clock - reco_popularity_interval * USECS_PER_SEC; /* due */
	state->generation = 1;
	/* never those of an earlier row, which other processes may have cached */
	state->mirror_version = state->numbers_version = GetCurrentTimestamp();
	reco_state_apply_settings(state);
}

/* Do the settings differ from the parameters in force? */
bool
reco_state_settings_differ(const RecoState *state)
{
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
	{
		const StateColumn *field = &fields[i];

		if (field->setting != NULL &&
			*(const int *) ((const char *) state + field->offset) != state_field_setting(field))
			return true;
	}
	return false;
}

/* Make the settings the parameters in force. */
void
reco_state_apply_settings(RecoState *state)
{
	for (int i = 0; i < RECO_STATE_COLUMNS; i++)
	{
		if (fields[i].setting != NULL)
			*(int *) ((char *) state + fields[i].offset) = state_field_setting(&fields[i]);
	}
	reco_state_set_clock(state, state->clock);
}

/* Advance the clock, and the horizon with it. */
void
reco_state_set_clock(RecoState *state, TimestampTz clock)
{
	state->clock = state_whole_second(clock);
	state->horizon = reco_state_window(state, state->clock - state->retention * USECS_PER_SEC);
}

/* The start of the window that contains a time: date_bin(W, at, 'epoch'). */
TimestampTz
reco_state_window(const RecoState *state, TimestampTz at)
{
	int64		window = state->trending_window * USECS_PER_SEC;
	int64		rest = (at + EPOCH_SHIFT * USECS_PER_SEC) % window;

	return at - (rest < 0 ? rest + window : rest);
}

/*
 * A time in seconds, rounded up.  The clock is in whole seconds, so a view is
 * later than the clock exactly if its rounded second is.  Counted from 2068,
 * so that the years 2000 to 2136 fit.
 */
int32
reco_state_second(TimestampTz at)
{
	TimestampTz floor = state_whole_second(at);

	return (int32) (floor / USECS_PER_SEC + (at > floor ? 1 : 0) + PG_INT32_MIN);
}

/* The time at the end of such a second. */
TimestampTz
reco_state_moment(int32 second)
{
	return (second - (int64) PG_INT32_MIN) * USECS_PER_SEC;
}
