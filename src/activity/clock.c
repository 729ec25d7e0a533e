/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  reco's clock.
 *
 * Everything is judged by the clock in reco.state, which advances in whole
 * seconds and never goes back.  The transaction that advances it also removes
 * views that have aged out from their users' rows and drops the windows
 * before the horizon, so the state is right in every snapshot.
 *
 * The worker makes partitions in a transaction of its own, because that waits
 * for DDL of others on reco.activity.  Only if changed parameters need other
 * partitions are those made in the transaction of the change.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/clock.h"
#include "activity/partition.h"
#include "activity/partition_upkeep.h"
#include "activity/rebuild.h"
#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/spi.h"
#include "engine/write.h"
#include "fmgr.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "shmem/worker_status.h"
#include "trending/window_counter.h"
#include "utils/timestamp.h"

/* Approximate number of users' rows that a step writes while the clock lags. */
#define STEP_USERS 10000

/*
 * If the clock is ahead of the wall clock by more than this many seconds, a
 * warning is logged.
 */
#define AHEAD 60

/* The longest step, in seconds: if nothing expires, a day takes 24 steps. */
#define LONGEST_STEP 3600

/* The limit of reco_state_second(), with room for windows ahead. */
#define LAST_CLOCK ((TimestampTz) ((130 * 365 + 32) * USECS_PER_DAY))

static RecoPlan expired_plan = {
	"SELECT DISTINCT user_id FROM reco.activity WHERE event_type = 'page_view'"
	" AND \"timestamp\" > $1 AND \"timestamp\" <= $2 ORDER BY user_id",
	2, {TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* Refresh the users whose views between two times have expired. */
static int64
clock_expire(RecoWrite *write, TimestampTz after, TimestampTz upto)
{
	Datum		values[2] = {TimestampTzGetDatum(after), TimestampTzGetDatum(upto)};
	uint64		count = reco_sql_query(&expired_plan, values, NULL, 0);
	SPITupleTable *expired = SPI_tuptable;
	RecoUsers  *users;
	int64		written;

	if (count == 0)
		return 0;
	users = reco_user_open(write);
	for (uint64 i = 0; i < count; i++)
	{
		bool		null;

		CHECK_FOR_INTERRUPTS();
		reco_user_refresh(users, DatumGetInt64(SPI_getbinval(expired->vals[i],
															 expired->tupdesc, 1, &null)));
	}
	written = reco_user_close(users);
	SPI_freetuptable(expired);
	return written;
}

/* Make the partitions needed at a time of the clock. */
static void
clock_prepare(TimestampTz clock)
{
	RecoState	state;

	if (!reco_state_peek(&state))
	{
		memset(&state, 0, sizeof(state));
		state.clock = GetCurrentTimestamp();
		reco_state_apply_settings(&state);
	}
	reco_state_set_clock(&state, Max(clock, state.clock));
	reco_partition_make_ahead(&state);
}

/* Advance the clock, with everything that expires; returns the number of users' rows written. */
static int64
clock_advance(RecoWrite *write, TimestampTz to)
{
	const RecoState *state = reco_write_state(write);
	int64		recent = state->recent_window * USECS_PER_SEC;
	TimestampTz before = state->clock;
	TimestampTz horizon = state->horizon;
	int64		written;

	if (to < before + USECS_PER_SEC)
		return 0;
	reco_write_set_clock(write, to);
	written = clock_expire(write, before - recent, state->clock - recent);
	if (state->horizon > horizon)
		reco_window_counter_drop(write);
	return written;
}

PG_FUNCTION_INFO_V1(reco_tick);

/* reco_tick(to): returns the clock. */
Datum
reco_tick(PG_FUNCTION_ARGS)
{
	TimestampTz to = PG_GETARG_TIMESTAMPTZ(0);
	RecoWrite  *write;
	TimestampTz clock;

	if (TIMESTAMP_NOT_FINITE(to))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the clock cannot be set to infinity")));
	if (to > LAST_CLOCK)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the clock cannot be set to a time after the year 2130")));
	SPI_connect();
	clock_prepare(to);
	write = reco_write_begin(AccessShareLock);
	clock_advance(write, to);
	clock = reco_write_state(write)->clock;
	reco_write_end(write);
	SPI_finish();
	PG_RETURN_TIMESTAMPTZ(clock);
}

/* Make the settings the parameters in force, if they differ. */
static void
clock_apply_settings(RecoWrite *write)
{
	if (!reco_state_settings_differ(reco_write_state(write)))
		return;
	reco_status_report(RECO_INGEST, RECO_HEALTH_REBUILDING, "computing the state anew for changed parameters");
	ereport(LOG, (errmsg("reco computes its state anew for changed parameters")));
	reco_write_apply_settings(write);
	reco_partition_make_ahead(reco_write_state(write));
	reco_rebuild_all(write);
}

/*
 * Report whether the clock is ahead, set by reco_tick() or with the host's
 * clock: it waits then.
 */
static void
clock_report_ahead(TimestampTz clock, TimestampTz wall)
{
	if (clock - wall <= AHEAD * USECS_PER_SEC)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_CLOCK);
	else
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_CLOCK, RECO_HEALTH_WAITING,
						   "DROP and CREATE EXTENSION set it anew.",
						   "the clock in reco.state is ahead of the wall clock, and waits for it until %s",
						   timestamptz_to_str(clock));
}

/* The length of the next step, by what the last one had to write. */
static int64
clock_next_step(int64 seconds, int64 written)
{
	int64		fit = STEP_USERS * Max(1, seconds) / Max(1, written);

	return Max(1, Min(LONGEST_STEP, Min(fit, 2 * seconds)));
}

long
reco_clock_step(void)
{
	static int64 step = 1;		/* seconds, at most */
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz before;
	RecoState	state;
	RecoWrite  *write;
	bool		complete;
	int64		written;

	reco_sql_begin();
	if (!reco_state_peek(&state))
		state.clock = now;
	else if (!reco_state_settings_differ(&state) && now < state.clock + USECS_PER_SEC)
	{
		reco_sql_commit();
		reco_state_publish(&state);
		clock_report_ahead(state.clock, now);
		return Max(1, (state.clock + USECS_PER_SEC - now) / 1000);
	}
	reco_sql_commit();
	complete = reco_partition_upkeep_make(Min(now, state.clock + step * USECS_PER_SEC), now);

	reco_sql_begin();
	write = reco_write_begin(AccessShareLock);
	if (complete)				/* new parameters may need other partitions */
		clock_apply_settings(write);
	before = reco_write_state(write)->clock;
	written = clock_advance(write, Min(now, before + step * USECS_PER_SEC));
	state = *reco_write_state(write);
	reco_write_end(write);
	reco_sql_commit();

	step = clock_next_step((state.clock - before) / USECS_PER_SEC, written);
	now = GetCurrentTimestamp();
	return now < state.clock + USECS_PER_SEC ? Max(1, (state.clock + USECS_PER_SEC - now) / 1000) : 0;
}
