/*-------------------------------------------------------------------------
 *
 * popularity.c
 *	  Generations: popularity is taken, and a sweep brings the lists along.
 *
 * A product's popularity is the sum of its counters in the windows that start
 * after clock - H.  When it is taken and any product's has changed, a
 * generation begins: rows of users who are touched are computed with it at
 * once, all others when the sweep gets to them.
 *
 * With 100,000 products that takes seconds, for which events would wait: so the
 * worker adds the counters up in a transaction of its own, and in a second one
 * writes the products before it takes reco's lock for the new generation.
 * That is the one place where the lock comes after a table; who changes rows of
 * reco.product holds no lock yet, and who takes the popularity has a lock
 * against others who do.
 *
 * The sweep goes through the table once, some blocks a transaction, so that
 * events wait for milliseconds at most.  A row that moves forward meanwhile has
 * been written, and so is of the new generation already.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "affected.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "counters.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "popularity.h"
#include "product.h"
#include "ring.h"
#include "shared.h"
#include "sql.h"
#include "storage/lmgr.h"
#include "state.h"
#include "user.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Lists that one step of the sweep computes, about 5 ms. */
#define SWEEP_LISTS 500

/*
 * Beyond so many keys in the ring the next step waits some ms: the keys of
 * events would have to wait behind those of the sweep.
 */
#define SWEEP_RING 2000
#define SWEEP_PAUSE 10

/* Blocks that one step of the sweep looks at, if their lists are current. */
#define SWEEP_BLOCKS 5000

/* Blocks scanned between two looks at the number of lists. */
#define SWEEP_CHUNK 32

/* What the counters said: products whose popularity differs, and theirs. */
typedef struct Popularity
{
	RecoState	state;			/* by which they were added up */
	Datum		values[2];		/* text[], bigint[] */
	bool		any;
} Popularity;

static RecoPlan look_plan = {
	"SELECT array_agg(product_id), array_agg(views) FROM ("
	" SELECT p.product_id, coalesce(v.views, 0)::bigint AS views, p.popularity"
	" FROM reco.product p"
	" LEFT JOIN reco.product_number n USING (product_id)"
	" LEFT JOIN (SELECT number, sum(view_count) AS views FROM reco.window_count"
	"  WHERE window_start > $1 GROUP BY number) v USING (number)) f"
	" WHERE popularity <> views",
	1, {TIMESTAMPTZOID}
};
static RecoPlan write_plan = {
	"UPDATE reco.product p SET popularity = f.views FROM unnest($1, $2) AS f(product_id, views)"
	" WHERE p.product_id = f.product_id COLLATE \"C\"",
	2, {TEXTARRAYOID, INT8ARRAYOID}
};

/* Add the counters up; without reco's lock they are those of one snapshot. */
static void
look(Popularity *found, const RecoState *state, MemoryContext context)
{
	Datum		values[1] = {TimestampTzGetDatum(state->clock - state->recent_window * USECS_PER_SEC)};
	MemoryContext caller;
	bool		null[2];

	found->state = *state;
	reco_sql_query(&look_plan, values, NULL, 1);
	caller = MemoryContextSwitchTo(context);
	for (int i = 0; i < 2; i++)
	{
		found->values[i] = reco_sql_value(0, i + 1, &null[i]);
		if (!null[i])
			found->values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(found->values[i]));
	}
	MemoryContextSwitchTo(caller);
	found->any = !null[0];
	SPI_freetuptable(SPI_tuptable);
}

/* Nobody else takes the popularity until the end of the transaction. */
static void
lock_popularity(void)
{
	LockDatabaseObject(ExtensionRelationId, get_extension_oid("reco", false), 1, ExclusiveLock);
}

static void
write_products(Popularity *found)
{
	if (!found->any)
		return;
	reco_affected_ignore(true);
	reco_sql_execute(&write_plan, found->values, NULL);
	reco_affected_ignore(false);
}

/* The products are written: begin a generation, under reco's lock. */
static void
begin_generation(RecoState *state, const Popularity *found)
{
	if (found->any)
	{
		state->generation++;
		reco_product_changed(state, NULL, 0);
	}
	state->popularity_at = found->state.clock;
	reco_state_write(state);
}

PG_FUNCTION_INFO_V1(reco_take_popularity);

/* reco_take_popularity(): true if a generation began. */
Datum
reco_take_popularity(PG_FUNCTION_ARGS)
{
	RecoState	state;
	Popularity	found;

	SPI_connect();
	lock_popularity();
	reco_state_lock();
	reco_state_read(&state);
	reco_product_sync(&state);
	look(&found, &state, CurrentMemoryContext);
	write_products(&found);
	begin_generation(&state, &found);
	SPI_finish();
	PG_RETURN_BOOL(found.any);
}

/* Milliseconds of the clock until the popularity is due. */
static long
due_in(const RecoState *state)
{
	TimestampTz due = state->popularity_at + reco_popularity_interval * USECS_PER_SEC;

	return due <= state->clock ? 0 : (long) ((due - state->clock) / 1000);
}

/* One transaction: look, if it is due; ms until it is (0: has looked). */
static long
look_if_due(Popularity *found, MemoryContext context)
{
	RecoState	state;
	long		left = 1000;

	reco_sql_begin();
	if (!reco_shared_is_replaying() && reco_state_peek(&state))
	{
		left = due_in(&state);
		if (left == 0)
			look(found, &state, context);
	}
	reco_sql_commit();
	return left;
}

/* The next one: write what was found, and begin a generation; ms until the next is due. */
static long
take(Popularity *found)
{
	RecoState	state;
	long		left = 0;

	reco_sql_begin();
	lock_popularity();
	/* somebody else may have taken it meanwhile */
	if (reco_state_peek(&state) && state.popularity_at == found->state.popularity_at)
	{
		write_products(found);
		reco_state_lock();
		reco_state_read(&state);
		reco_product_sync(&state);
		if (state.recent_window != found->state.recent_window ||
			state.trending_window != found->state.trending_window)
			found->state.clock = state.clock - reco_popularity_interval * USECS_PER_SEC;	/* due again */
		begin_generation(&state, found);
		left = due_in(&state);
	}
	reco_sql_commit();
	return left;
}

long
reco_popularity_step(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "reco popularity",
												  ALLOCSET_DEFAULT_SIZES);
	Popularity	found;
	long		left = look_if_due(&found, context);

	if (left == 0)
		left = take(&found);
	MemoryContextDelete(context);
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

long
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
		return -1;
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
	if (next == InvalidBlockNumber)
		return -1;
	return reco_ring_length() > SWEEP_RING ? SWEEP_PAUSE : 0;
}
