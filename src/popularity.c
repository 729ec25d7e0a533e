/*-------------------------------------------------------------------------
 *
 * popularity.c
 *	  Generations: popularity is taken, and a sweep brings the lists along.
 *
 * A product's popularity is the sum of its counters in the windows that start
 * after clock - H.  When it is taken and any product's has changed, a
 * generation begins: rows of users who are touched are computed with it at
 * once, all others when the sweep gets to them.  The sweep goes through the
 * table once, some blocks a transaction, so that events wait for milliseconds
 * at most.  A row that moves forward meanwhile has been written, and so is of
 * the new generation already.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "affected.h"
#include "catalog/pg_type.h"
#include "counters.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "popularity.h"
#include "product.h"
#include "shared.h"
#include "sql.h"
#include "state.h"
#include "user.h"
#include "utils/timestamp.h"

/* Lists that one step of the sweep computes, about 20 ms. */
#define SWEEP_LISTS 2000

/* Blocks that one step of the sweep looks at, if their lists are current. */
#define SWEEP_BLOCKS 5000

/* Blocks scanned between two looks at the number of lists. */
#define SWEEP_CHUNK 32

static RecoPlan take_plan = {
	"UPDATE reco.product p SET popularity = f.views FROM ("
	" SELECT p.product_id, coalesce(v.views, 0)::bigint AS views"
	" FROM reco.product p"
	" LEFT JOIN reco.product_number n USING (product_id)"
	" LEFT JOIN (SELECT number, sum(view_count) AS views FROM reco.window_count"
	"  WHERE window_start > $1 GROUP BY number) v USING (number)) f"
	" WHERE p.product_id = f.product_id AND p.popularity <> f.views",
	1, {TIMESTAMPTZOID}
};

/* Take the popularity under reco's lock; true if a generation began. */
static bool
take(RecoState *state)
{
	Datum		values[1] = {TimestampTzGetDatum(state->clock - state->recent_window * USECS_PER_SEC)};
	uint64		changed;

	reco_affected_ignore(true);
	changed = reco_sql_execute(&take_plan, values, NULL);
	reco_affected_ignore(false);
	state->popularity_at = state->clock;
	if (changed > 0)
	{
		state->generation++;
		reco_product_changed(state, NULL, 0);
	}
	reco_state_write(state);
	return changed > 0;
}

PG_FUNCTION_INFO_V1(reco_take_popularity);

/* reco_take_popularity(): true if a generation began. */
Datum
reco_take_popularity(PG_FUNCTION_ARGS)
{
	RecoState	state;
	bool		began;

	SPI_connect();
	reco_state_lock();
	reco_state_read(&state);
	reco_product_sync(&state);
	began = take(&state);
	SPI_finish();
	PG_RETURN_BOOL(began);
}

/* Milliseconds of the clock until the popularity is due. */
static long
due_in(const RecoState *state)
{
	TimestampTz due = state->popularity_at + reco_popularity_interval * USECS_PER_SEC;

	return due <= state->clock ? 0 : (long) ((due - state->clock) / 1000);
}

long
reco_popularity_step(void)
{
	RecoState	state;
	long		left = 1000;

	reco_sql_begin();
	if (!reco_shared_is_replaying() && reco_state_peek(&state))
	{
		left = due_in(&state);
		if (left == 0)
		{
			reco_state_lock();
			reco_state_read(&state);
			reco_product_sync(&state);
			take(&state);
			left = due_in(&state);
		}
	}
	reco_sql_commit();
	return Max(1, left);
}

/* A row that the sweep passes; arg: how many may still be computed. */
static bool
visit(RecoUsers *users, TupleTableSlot *row, void *arg)
{
	int64	   *left = arg;

	if (reco_user_is_current(users, row))
		return true;
	reco_user_refresh_row(users, row);
	(*left)--;
	return true;
}

/*
 * Sweep from a block on, until max lists are computed or the step has looked
 * at enough; returns the block to go on with, InvalidBlockNumber at the end.
 */
static BlockNumber
sweep(const RecoState *state, BlockNumber block, int64 max, int64 *swept)
{
	RecoUsers  *users = reco_user_open(state);
	BlockNumber blocks = reco_user_blocks(users);
	BlockNumber end = Min(blocks, block + SWEEP_BLOCKS);
	int64		left = max;

	while (block < end && left > 0)
		block = reco_user_scan(users, block, Min(SWEEP_CHUNK, end - block), visit, &left);
	reco_user_close(users);
	*swept = max - left;
	reco_counter_add(RECO_COUNT_SWEPT, *swept);
	return block >= blocks ? InvalidBlockNumber : block;
}

PG_FUNCTION_INFO_V1(reco_sweep);

/* reco_sweep(max_lists): how many lists were of an older generation. */
Datum
reco_sweep(PG_FUNCTION_ARGS)
{
	int32		max = PG_GETARG_INT32(0);
	RecoState	state;
	BlockNumber block = 0;
	int64		total = 0;

	if (max < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_lists must be at least 1")));
	SPI_connect();
	reco_state_lock();
	reco_state_read(&state);
	reco_product_sync(&state);
	while (block != InvalidBlockNumber && total < max)
	{
		int64		swept;

		block = sweep(&state, block, max - total, &swept);
		total += swept;
	}
	SPI_finish();
	PG_RETURN_INT64(total);
}

bool
reco_sweep_step(void)
{
	static int64 sweeping = 0;	/* the generation that it brings */
	static BlockNumber next = 0;
	RecoState	state;
	int64		swept = 0;

	reco_sql_begin();
	if (!reco_state_peek(&state) ||
		(state.generation == sweeping && next == InvalidBlockNumber))
	{
		reco_sql_commit();
		return false;
	}
	reco_state_lock();
	reco_state_read(&state);
	reco_product_sync(&state);
	if (state.generation != sweeping)
	{
		sweeping = state.generation;
		next = 0;
	}
	next = sweep(&state, next, SWEEP_LISTS, &swept);
	reco_sql_commit();
	return next != InvalidBlockNumber;
}
