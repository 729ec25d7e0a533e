/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  Computing derived state again from activity and mirror.
 *
 * One transaction computes everything, by the same functions as the triggers,
 * under reco's lock: readers see the old state until it commits, writers
 * wait.  Memory is bounded: activity is read through a cursor and sorted on
 * disk.  New parameters come into force in this way, too.
 *
 * The caller also holds a lock on reco.activity: its command has taken it, or
 * reco_write_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/insert_nesting.h"
#include "activity/pending_events.h"
#include "activity/rebuild.h"
#include "activity/view_batch.h"
#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/spi.h"
#include "engine/product_dictionary.h"
#include "lists/user_state.h"
#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "shmem/worker_status.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Rows fetched from the cursor at once. */
#define FETCH_ROWS 10000

/* If there are more users than this, the views of all users are read. */
#define MAX_SINGLE_USERS 20000

static RecoPlan some_plan = {
	"SELECT user_id, product_id, \"timestamp\" FROM reco.activity"
	" WHERE event_type = 'page_view' AND \"timestamp\" > $1 AND user_id = ANY ($2)"
	" AND product_id IS NOT NULL",
	2, {TIMESTAMPTZOID, INT8ARRAYOID}
};
static RecoPlan since_plan = {
	"SELECT user_id, product_id, \"timestamp\" FROM reco.activity"
	" WHERE event_type = 'page_view' AND \"timestamp\" >= $1 AND product_id IS NOT NULL"
	" AND user_id IS NOT NULL", 1, {TIMESTAMPTZOID}
};
static RecoPlan mirror_products_plan = {
	"SELECT product_id FROM reco.product p"
	" WHERE NOT EXISTS (SELECT FROM reco.product_number n WHERE n.product_id = p.product_id)"
};
static RecoPlan estimate_plan = {
	"SELECT count(*) FROM reco.activity WHERE event_type = 'page_view' AND \"timestamp\" >= $1",
	1, {TIMESTAMPTZOID}
};
static RecoPlan drop_counters_plan = {"DELETE FROM reco.window_counter"};
static RecoPlan drop_trending_plan = {"DELETE FROM reco.window_top"};
static RecoPlan drop_users_plan = {
	"DELETE FROM reco.user_state WHERE generation <> $1", 1, {INT8OID}
};
static RecoPlan truncate_plan = {
	"TRUNCATE reco.user_state, reco.window_counter, reco.window_top"
};

/* Put rows of activity into a batch of views, which runs queries of its own. */
static void
rebuild_put_rows(RecoViewBatch *views, SPITupleTable *rows, uint64 count)
{
	for (uint64 i = 0; i < count; i++)
	{
		bool		null;
		int64		user_id = DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &null));
		text	   *product = DatumGetTextPP(SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &null));
		RecoSlice	id = {VARDATA_ANY(product), VARSIZE_ANY_EXHDR(product)};

		reco_view_batch_put(views, user_id, id,
							DatumGetTimestampTz(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &null)));
	}
	SPI_freetuptable(rows);
}

/* Replace derived state by the views that a plan returns; total is for reco_progress(). */
static void
rebuild_replace_views(RecoWrite *write, RecoViewBatchMode mode, RecoPlan *plan, Datum *values, int64 total)
{
	RecoViewBatch *views = reco_view_batch_begin(write, mode);
	Portal		portal;
	int64		done = 0;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	portal = SPI_cursor_open(NULL, reco_sql_prepare(plan), values, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		done += SPI_processed;
		rebuild_put_rows(views, SPI_tuptable, SPI_processed);
		if (total > 0)
			reco_service_set_progress(done, total);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	PopActiveSnapshot();
	reco_view_batch_end(views);
}

/* Delete the users' rows; those who still have views get new ones. */
static void
rebuild_drop_without_views(RecoWrite *write, const int64 *user_ids, int n)
{
	RecoUsers  *users = reco_user_open(write);

	for (int i = 0; i < n; i++)
		reco_user_replace(users, user_ids[i], NULL, 0);
	reco_user_close(users);
}

/*
 * Read some users' recent views again from activity, in a single scan.  The
 * IDs are sorted and distinct.
 */
void
reco_rebuild_users(RecoWrite *write, const int64 *user_ids, int n)
{
	const RecoState *state = reco_write_state(write);
	Datum	   *ids;
	Datum		values[2] = {TimestampTzGetDatum(state->clock - state->recent_window * USECS_PER_SEC)};

	rebuild_drop_without_views(write, user_ids, n);
	if (n > MAX_SINGLE_USERS)
	{
		rebuild_replace_views(write, RECO_VIEWS_REPLACE, &since_plan, values, 0);
		return;
	}
	ids = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(user_ids[i]);
	values[1] = PointerGetDatum(reco_array(ids, n, INT8OID));
	rebuild_replace_views(write, RECO_VIEWS_REPLACE, &some_plan, values, 0);
}

/* Empty the derived tables: all activity is gone. */
void
reco_rebuild_nothing(RecoWrite *write)
{
	reco_sql_execute(&truncate_plan, NULL, NULL);
	reco_pending_discard();
	reco_queue_add_everything();
}

/* Give numbers to products that have none, which a damaged dictionary may leave behind; returns how many. */
static uint64
rebuild_number_products(RecoWrite *write, RecoPlan *plan)
{
	uint64		count = reco_sql_query(plan, NULL, NULL, 0);
	RecoSlice  *ids = palloc_extended(Max(1, count) * sizeof(RecoSlice), MCXT_ALLOC_HUGE);
	int32	   *numbers = palloc_extended(Max(1, count) * sizeof(int32), MCXT_ALLOC_HUGE);

	for (uint64 i = 0; i < count; i++)
	{
		bool		null;
		text	   *id = DatumGetTextPP(reco_sql_value(i, 1, &null));

		ids[i].data = VARDATA_ANY(id);
		ids[i].length = VARSIZE_ANY_EXHDR(id);
	}
	reco_dictionary_resolve(write, ids, numbers, (int) count);
	return count;
}

static void
rebuild_everything(RecoWrite *write)
{
	const RecoState *state = reco_write_state(write);
	Datum		values[1] = {TimestampTzGetDatum(state->horizon)};
	bool		null;
	int64		total;

	reco_sql_query(&estimate_plan, values, NULL, 1);
	total = Max(1, DatumGetInt64(reco_sql_value(0, 1, &null)));
	reco_service_set_progress(0, total);

	/* a process may have cached a damaged dictionary */
	reco_write_numbers_changed(write);
	reco_write_next_generation(write);
	if (rebuild_number_products(write, &mirror_products_plan) > 0)
		reco_write_products_changed(write, NULL, 0);

	reco_sql_execute(&drop_counters_plan, NULL, NULL);
	reco_sql_execute(&drop_trending_plan, NULL, NULL);
	rebuild_replace_views(write, RECO_VIEWS_REBUILD, &since_plan, values, total);
	values[0] = Int64GetDatum(state->generation);
	reco_sql_execute(&drop_users_plan, values, NULL);
	reco_pending_discard();
	reco_queue_add_everything();
}

/*
 * Compute everything again with the parameters in the state, which are in
 * force from the end of the transaction on.  Rows that are written get a new
 * generation; the others belong to users without recent views.
 */
void
reco_rebuild_all(RecoWrite *write)
{
	PG_TRY();
	{
		rebuild_everything(write);
	}
	PG_FINALLY();
	{
		reco_service_set_progress(0, 0);
	}
	PG_END_TRY();
}

PG_FUNCTION_INFO_V1(reco_rebuild);

/* reco_rebuild(): the parameters in force do not change. */
Datum
reco_rebuild(PG_FUNCTION_ARGS)
{
	RecoWrite  *write;

	reco_insert_nesting_check("rebuild the state");
	SPI_connect();
	write = reco_write_begin(AccessShareLock);
	reco_rebuild_all(write);
	reco_write_end(write);
	SPI_finish();
	PG_RETURN_VOID();
}
