/*-------------------------------------------------------------------------
 *
 * popularity.c
 *	  Generations: popularity is taken.
 *
 * A product's popularity is the sum of its counters in the windows that start
 * after clock - H.  When it is taken and any product's has changed, a
 * generation begins: rows of users who are touched are computed with it at
 * once, all others when the sweep (sweep.c) gets to them.
 *
 * With 100,000 products that takes a second, for which events would wait: so the
 * worker adds the counters up in a transaction of its own, in which it also loads
 * the products that the sweep will ask for, and in a second one
 * writes the products, with pauses, and their order, before it takes reco's lock
 * for the new generation.
 * That is the one place where the lock comes after a table; who changes rows of
 * reco.product holds no lock yet, and who takes the popularity has a lock
 * against others who do.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "affected.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "order.h"
#include "popularity.h"
#include "product.h"
#include "shared.h"
#include "sql.h"
#include "state.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "trending.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/*
 * Products are written in parts: of PART_SIZE, at most MAX_PARTS.  Before each is
 * a pause, in milliseconds: where ingestion needs most of a processor, a statement
 * of 0.7 s made events half a second late.  Longer pauses do not help: until the
 * transaction ends, nobody can prune what ingestion has replaced, and the catalog is
 * not followed.
 */
#define PART_SIZE 2500
#define MAX_PARTS 40
#define PAUSE 20

/* Products whose popularity differs, and theirs. */
typedef struct Part
{
	Datum		values[2];		/* text[], bigint[] */
} Part;

/* What the counters said. */
typedef struct Popularity
{
	RecoState	state;			/* by which they were added up */
	Part	   *parts;
	int			count;			/* 0: no product's differs */
	int64		version;		/* of the mirror that they make */
} Popularity;

static RecoPlan numbers_plan = {"SELECT next_number FROM reco.state"};
static RecoPlan look_plan = {
	"SELECT array_agg(product_id), array_agg(views) FROM ("
	" SELECT p.product_id, p.popularity, coalesce($1[n.number], 0) AS views, n.number / $2 AS part"
	" FROM reco.product p LEFT JOIN reco.product_number n USING (product_id)) f"
	" WHERE popularity <> views GROUP BY part",
	2, {INT8ARRAYOID, INT4OID}
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
	int64	   *sums;
	int32		size;
	int			first = 0;		/* subscript */
	Datum		values[2];
	MemoryContext caller;
	bool		null;

	found->state = *state;
	reco_sql_query(&numbers_plan, NULL, NULL, 1);
	size = DatumGetInt32(reco_sql_value(0, 1, &null));
	SPI_freetuptable(SPI_tuptable);
	sums = reco_trending_sums(state->clock - state->recent_window * USECS_PER_SEC, size);
	values[0] = PointerGetDatum(construct_md_array((Datum *) sums, NULL, 1, &size, &first, INT8OID,
												   sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[1] = Int32GetDatum(Max(PART_SIZE, size / MAX_PARTS + 1));
	found->count = reco_sql_query(&look_plan, values, NULL, 0);
	caller = MemoryContextSwitchTo(context);
	found->parts = palloc(found->count * sizeof(Part));
	for (int i = 0; i < found->count; i++)
	{
		for (int j = 0; j < 2; j++)
			found->parts[i].values[j] =
				PointerGetDatum(PG_DETOAST_DATUM_COPY(reco_sql_value(i, j + 1, &null)));
	}
	MemoryContextSwitchTo(caller);
	SPI_freetuptable(SPI_tuptable);
}

/* Nobody else takes the popularity until the end of the transaction. */
static void
lock_popularity(void)
{
	LockDatabaseObject(ExtensionRelationId, get_extension_oid("reco", false), 1, ExclusiveLock);
}

/* Let others have the processors; not to be done under reco's lock. */
static void
give_way(void)
{
	CHECK_FOR_INTERRUPTS();
	(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE, PG_WAIT_EXTENSION);
}

/*
 * Write the products and their new order, for the next version of the mirror;
 * patiently: with pauses.
 */
static void
write_products(Popularity *found, const RecoState *state, bool patiently)
{
	found->version = state->mirror_version + 1;
	if (found->count == 0)
		return;
	reco_affected_ignore(true);
	for (int i = 0; i < found->count; i++)
	{
		if (patiently)
			give_way();
		reco_sql_execute(&write_plan, found->parts[i].values, NULL);
	}
	reco_affected_ignore(false);
	if (patiently)
		give_way();
	reco_order_write(found->version);
}

/* The products are written: begin a generation, under reco's lock. */
static void
begin_generation(RecoState *state, const Popularity *found)
{
	if (found->count > 0)
	{
		/* a change of the catalog may have come in between */
		if (found->version != state->mirror_version + 1)
			reco_order_write(state->mirror_version + 1);
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
	write_products(&found, &state, false);
	begin_generation(&state, &found);
	SPI_finish();
	PG_RETURN_BOOL(found.count > 0);
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
		{
			look(found, &state, context);
			if (found->count > 0)
				reco_product_load(&state);
		}
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
		write_products(found, &state, true);
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
