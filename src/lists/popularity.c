/*-------------------------------------------------------------------------
 *
 * popularity.c
 *	  Generations: computing the popularity of all products.
 *
 * A product's popularity is the sum of its counters in the windows that start
 * after clock - H.  If it has changed for any product, a generation begins:
 * rows of users with new events are computed with it at once, all others when
 * the sweep (sweep.c) reaches them.
 *
 * Events do not wait for the computation.  The worker adds up the counters,
 * writes the products, with pauses, and brings them into order, before it
 * takes reco's lock for the new generation.  So reco.product is locked
 * before reco's lock, here and where a change of the catalog is written
 * (mirror_writer.c); no other table is.  Only one process at a time computes
 * the popularity, which another lock ensures, and nobody else changes
 * reco.product meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "common/wait_event.h"
#include "engine/product_cache.h"
#include "engine/product_table.h"
#include "engine/write.h"
#include "fmgr.h"
#include "lists/popularity.h"
#include "miscadmin.h"
#include "shmem/worker_status.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "trending/window_counter.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/*
 * Products are written PART_SIZE at a time, which takes about 10 ms, with a
 * pause of PAUSE milliseconds before each part.  Longer pauses do not help:
 * until the transaction ends, nobody can prune the rows that ingestion has
 * replaced, and the catalog is not followed.
 */
#define PART_SIZE 5000
#define PAUSE 10

/* A product whose popularity changes. */
typedef struct Change
{
	ItemPointerData tid;
	int64		popularity;
} Change;

/* The result of adding up the counters. */
typedef struct Popularity
{
	RecoState	state;			/* used for the computation */
	Change	   *changes;
	int64		count;			/* 0: no popularity changes */
	int64	   *by_number;		/* of all products */
	int32		size;			/* numbers */
} Popularity;

static RecoPlan numbers_plan = {"SELECT next_number FROM reco.state"};
static RecoPlan changed_plan = {
	"SELECT tid, views FROM ("
	" SELECT p.ctid AS tid, p.popularity, coalesce($1[n.number], 0) AS views"
	" FROM reco.product p LEFT JOIN reco.product_number n USING (product_id)) f"
	" WHERE popularity <> views",
	1, {INT8ARRAYOID}
};

/*
 * Keep others from computing the popularity and from changing products, until
 * the end of the transaction.  A process that holds reco's lock must not wait
 * for one that waits for it.
 */
static void
popularity_lock(void)
{
	Oid			extension = get_extension_oid("reco", false);
	Oid			products = reco_sql_table("product");
	bool		may_wait = !reco_write_is_locked();
	LOCKTAG		tag;

	/* so that DROP EXTENSION waits before it has locked a table */
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, 1);
	if (LockAcquire(&tag, ExclusiveLock, false, !may_wait) == LOCKACQUIRE_NOT_AVAIL ||
		(!may_wait && !ConditionalLockRelationOid(products, ShareRowExclusiveLock)))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain the locks to compute the popularity"),
				 errdetail("Another transaction computes it or changes reco.product."),
				 errhint("Call reco_take_popularity() before the transaction writes to reco's tables.")));
	if (may_wait)
		LockRelationOid(products, ShareRowExclusiveLock);
}

/* Add up the counters; without reco's lock, as of one snapshot. */
static void
popularity_compute(Popularity *found, const RecoState *state)
{
	int			first = 0;		/* subscript */
	Datum		values[1];
	bool		null;

	found->state = *state;
	reco_sql_query(&numbers_plan, NULL, NULL, 1);
	found->size = DatumGetInt32(reco_sql_value(0, 1, &null));
	SPI_freetuptable(SPI_tuptable);
	found->by_number = reco_window_counter_sums(state->clock - state->recent_window * USECS_PER_SEC, found->size);
	values[0] = PointerGetDatum(construct_md_array((Datum *) found->by_number, NULL, 1, &found->size, &first, INT8OID,
												   sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	found->count = reco_sql_query(&changed_plan, values, NULL, 0);
	found->changes = palloc_extended(Max(1, found->count) * sizeof(Change), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < found->count; i++)
	{
		found->changes[i].tid = *(ItemPointer) DatumGetPointer(reco_sql_value(i, 1, &null));
		found->changes[i].popularity = DatumGetInt64(reco_sql_value(i, 2, &null));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Yield the processors to others; not under reco's lock. */
static void
popularity_yield(void)
{
	CHECK_FOR_INTERRUPTS();
	(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE, reco_wait_event(RECO_WAIT_PACE));
}

static void
popularity_write_product(RecoTable *table, Change *change)
{
	TupleTableSlot *row = reco_table_fetch_at(table, &change->tid);

	if (row == NULL)
		elog(ERROR, "could not find product at (%u,%u) in \"reco.product\"",
			 ItemPointerGetBlockNumber(&change->tid), ItemPointerGetOffsetNumber(&change->tid));
	reco_product_table_set_popularity(table, row, change->popularity);
}

/* Write the products; patiently: with pauses. */
static void
popularity_write_products(Popularity *found, bool patiently)
{
	RecoTable  *table;

	if (found->count == 0)
		return;
	table = reco_product_table_open_exclusive();
	for (int64 i = 0; i < found->count; i++)
	{
		if (patiently && i % PART_SIZE == 0)
			popularity_yield();
		popularity_write_product(table, &found->changes[i]);
	}
	reco_table_close(table);
}

/*
 * Begin a generation, under reco's lock, after the products have been written;
 * at: the time of the popularity.
 */
static void
popularity_begin_generation(RecoWrite *write, const Popularity *found, TimestampTz at)
{
	if (found->count > 0)
	{
		reco_write_next_generation(write);
		reco_write_products_ordered(write, found->by_number, found->size);
	}
	else if (reco_product_unordered() > 0)
		reco_write_products_ordered(write, NULL, 0);
	reco_write_set_popularity_at(write, at);
}

PG_FUNCTION_INFO_V1(reco_take_popularity);

/* reco_take_popularity(): true if a generation began. */
Datum
reco_take_popularity(PG_FUNCTION_ARGS)
{
	RecoWrite  *write;
	const RecoState *state;
	Popularity	found;

	reco_write_require_allowed();
	SPI_connect();
	popularity_lock();
	write = reco_write_begin(NoLock);
	state = reco_write_state(write);
	popularity_compute(&found, state);
	popularity_write_products(&found, false);
	popularity_begin_generation(write, &found, state->clock);
	reco_write_end(write);
	SPI_finish();
	PG_RETURN_BOOL(found.count > 0);
}

/* Milliseconds until the popularity is due, by reco's clock. */
static long
popularity_due_in(const RecoState *state)
{
	TimestampTz due = state->popularity_at + reco_popularity_interval * USECS_PER_SEC;

	return due <= state->clock ? 0 : (long) ((due - state->clock) / 1000);
}

/* Is the popularity due?  Milliseconds until it is. */
static long
popularity_look(void)
{
	RecoState	state;
	long		left = 1000;

	reco_sql_begin();
	if (!reco_service_is_replaying() && reco_state_peek(&state))
		left = popularity_due_in(&state);
	reco_sql_commit();
	return left;
}

/*
 * Compute it, unless somebody else has done so meanwhile; returns the
 * milliseconds until it is due again.
 */
static long
popularity_refresh(void)
{
	RecoState	state;
	Popularity	found;
	long		left = 0;

	reco_sql_begin();
	popularity_lock();
	if (reco_state_peek(&state) && popularity_due_in(&state) == 0)
	{
		TimestampTz at = state.clock;
		RecoWrite  *write;
		const RecoState *now;

		popularity_compute(&found, &state);
		popularity_write_products(&found, true);
		reco_product_prepare_order(found.count > 0 ? found.by_number : NULL, found.size);
		write = reco_write_begin(NoLock);
		now = reco_write_state(write);
		if (now->recent_window != found.state.recent_window ||
			now->trending_window != found.state.trending_window)
			at = now->clock - reco_popularity_interval * USECS_PER_SEC;	/* due again */
		popularity_begin_generation(write, &found, at);
		left = popularity_due_in(now);
		reco_write_end(write);
	}
	reco_sql_commit();
	return left;
}

/*
 * Compute it, if it is due; returns the milliseconds until the next step.
 * However short the interval, half of the time is left to the sweep and to
 * following the catalog.
 */
long
reco_popularity_step(void)
{
	static RecoMoment rest_until = 0;
	RecoMoment	begin = reco_monotonic_now();
	long		left = reco_monotonic_left(rest_until);

	if (left > 0)
		return left;
	left = popularity_look();
	if (left == 0)
	{
		left = popularity_refresh();
		rest_until = 2 * reco_monotonic_now() - begin;
	}
	return Max(1, left);
}
