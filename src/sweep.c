/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  Brings the lists to the current generation.
 *
 * The sweep goes through the table once, some blocks a transaction, so that
 * events wait for milliseconds at most.  A row that moves forward meanwhile has
 * been written, and so is of the new generation already.
 *
 * A change of the catalog is swept as fast as can be: its lists are wrong.
 * Those of another popularity are only old, so under load the sweep is spread
 * over half of the time until the next one, as the checkpointer does with its
 * writes.  In one go, a million lists took a fifth of ingestion for half a
 * minute, and events at half of the greatest load were 3.7 s late.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "counters.h"
#include "fmgr.h"
#include "guc.h"
#include "product.h"
#include "ring.h"
#include "sql.h"
#include "sweep.h"
#include "user.h"
#include "utils/timestamp.h"

/* Lists that one step computes, about 5 ms. */
#define STEP_LISTS 500

/* Blocks that one step looks at, if their lists are current. */
#define STEP_BLOCKS 5000

/* Blocks scanned between two looks at the number of lists. */
#define CHUNK_BLOCKS 32

/*
 * Beyond so many keys in the ring the next step waits some ms: the keys of
 * events would have to wait behind those of the sweep.
 */
#define LONG_RING 2000
#define RING_PAUSE 10

/* Events a second that are a load. */
#define LOAD 10000

/* The sweep that is under way, or the last one. */
typedef struct Sweep
{
	int64		generation;
	TimestampTz popularity_at;	/* when the popularity of that generation was taken */
	bool		hurried;		/* lists may be wrong, not only old */
	TimestampTz begun;
	BlockNumber next;
	BlockNumber blocks;
	TimestampTz due;			/* the next step */
} Sweep;

static Sweep current = {0};

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
sweep(const RecoState *state, BlockNumber block, int64 max, int64 *swept, BlockNumber *blocks)
{
	RecoUsers  *users = reco_user_open(state);
	BlockNumber end;
	int64		left = max;

	*blocks = reco_user_blocks(users);
	end = Min(*blocks, block + STEP_BLOCKS);
	while (block < end && left > 0)
		block = reco_user_scan(users, block, Min(CHUNK_BLOCKS, end - block), visit, &left);
	reco_user_close(users);
	*swept = max - left;
	reco_counter_add(RECO_COUNT_SWEPT, *swept);
	return block >= *blocks ? InvalidBlockNumber : block;
}

PG_FUNCTION_INFO_V1(reco_sweep);

/* reco_sweep(max_lists): how many lists were of an older generation. */
Datum
reco_sweep(PG_FUNCTION_ARGS)
{
	int32		max = PG_GETARG_INT32(0);
	RecoState	state;
	BlockNumber block = 0;
	BlockNumber blocks;
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

		block = sweep(&state, block, max - total, &swept, &blocks);
		total += swept;
	}
	SPI_finish();
	PG_RETURN_INT64(total);
}

/* After a start nobody knows what the last generation was about. */
static void
begin_sweep(const RecoState *state)
{
	bool		broken_off = current.hurried && current.next != InvalidBlockNumber;

	current.hurried = current.generation == 0 || broken_off ||
		current.popularity_at == state->popularity_at;
	current.generation = state->generation;
	current.popularity_at = state->popularity_at;
	current.begun = GetCurrentTimestamp();
	current.next = 0;
}

/* Do events come in numbers, since the last look? */
static bool
is_loaded(TimestampTz now)
{
	static TimestampTz looked_at = 0;
	static uint64 known = 0;
	uint64		events = reco_counter_value(RECO_COUNT_EVENTS);
	bool		loaded = (double) (events - known) * USECS_PER_SEC > (double) LOAD * (now - looked_at);

	looked_at = now;
	known = events;
	return loaded;
}

/* When the next step is due. */
static TimestampTz
next_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	double		done = (double) current.next / Max(1, current.blocks);
	TimestampTz due = current.begun + (TimestampTz) (done * reco_popularity_interval / 2 * USECS_PER_SEC);
	bool		loaded = is_loaded(now);

	if (loaded && !current.hurried && due > now)
		return due;
	return reco_ring_length() > LONG_RING ? TimestampTzPlusMilliseconds(now, RING_PAUSE) : now;
}

/* Milliseconds until there is something to do; -1: there is nothing. */
static long
time_left(const RecoState *state)
{
	if (state->generation != current.generation)
		return 0;
	if (current.next == InvalidBlockNumber)
		return -1;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), current.due);
}

long
reco_sweep_step(void)
{
	RecoState	state;
	int64		swept = 0;
	long		left = -1;

	reco_sql_begin();
	if (reco_state_peek(&state))
		left = time_left(&state);
	if (left == 0)
	{
		reco_state_lock();
		reco_state_read(&state);
		reco_product_sync(&state);
		if (state.generation != current.generation)
			begin_sweep(&state);
		current.next = sweep(&state, current.next, STEP_LISTS, &swept, &current.blocks);
		if (current.next != InvalidBlockNumber)
			current.due = next_due();
		left = time_left(&state);
	}
	reco_sql_commit();
	return left;
}
