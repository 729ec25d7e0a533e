/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  reco_redis_verify(): does Redis match the tables?
 *
 * Runs in a client's transaction, with a connection of its own.  First it waits
 * until the publisher has sent what was committed before the call.  Then it
 * compares the key of every row, and scans Redis for keys without one.  A
 * mismatch may merely be in transit: it is compared again, with a wait for the
 * publisher between reading its row and its key, and reported only if it
 * persists.  Each attempt needs a new snapshot, and so READ COMMITTED; no lock is
 * taken.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/array.h"
#include "common/own_extension.h"
#include "common/spi.h"
#include "common/wait_event.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "publish/comparison.h"
#include "publish/orphan_keys.h"
#include "shmem/change_queue.h"
#include "shmem/worker_status.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Keys compared at once: adapted to the memory that they take. */
#define FIRST_KEYS 64
#define MOST_KEYS 2000
#define PIECE_BYTES (16 * 1024 * 1024)

/* How long to wait for the publisher, and how often to poll; ms. */
#define TIMEOUT_MS 30000
#define POLL_MS 10

/* Comparisons of a key before a mismatch is reported. */
#define ATTEMPTS 20

/* A run over the users, or over the windows. */
typedef struct Run
{
	RecoSinkLink *link;
	bool		windows;
	RecoState	state;
	RecoIds		suspects;
	int			size;			/* allocated for suspects */
	int			keys;			/* of a piece */
	MemoryContext piece;		/* emptied after each piece */
} Run;

PG_FUNCTION_INFO_V1(reco_redis_verify);

static RecoPlan users_plan = {
	"SELECT user_id FROM reco.user_state"
	" WHERE user_id >= $1 AND list IS NOT NULL ORDER BY user_id LIMIT $2",
	2, {INT8OID, INT8OID}
};

static RecoPlan windows_plan = {
	"SELECT window_start FROM reco.window_top WHERE window_start >= $1"
	" ORDER BY window_start LIMIT $2", 2, {TIMESTAMPTZOID, INT8OID}
};

/* Wait until all that has been committed is sent; false: it takes too long. */
static bool
verify_wait_for_publisher(void)
{
	uint64		position = reco_queue_position();
	RecoMoment	end = reco_monotonic_after(TIMEOUT_MS);

	while (reco_service_is_replaying() || !reco_queue_has_published(position) ||
		   reco_queue_stamp().target != reco_sink->target())
	{
		if (!reco_enabled || reco_monotonic_has_passed(end))
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, POLL_MS,
						 reco_wait_event(RECO_WAIT_PUBLISHED));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

static void
verify_read_state(RecoState *state)
{
	if (!reco_state_peek(state))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("reco.state is empty"),
				 errhint("The workers fill it after a crash: see reco_status().")));
}

/* Reset a piece's memory, and adapt the size of the next one. */
static void
verify_end_piece(Run *run)
{
	Size		used = MemoryContextMemAllocated(run->piece, true);

	if (used > PIECE_BYTES)
		run->keys = Max(run->keys / 2, 1);
	else if (used < PIECE_BYTES / 4)
		run->keys = Min(run->keys * 2, MOST_KEYS);
	MemoryContextReset(run->piece);
	CHECK_FOR_INTERRUPTS();
}

/* Compare some keys, and remember mismatches. */
static void
verify_keys(Run *run, const int64 *ids, int count, bool (*settle) (void))
{
	List	   *mismatches = reco_comparison_run(run->link, run->windows, &run->state, ids, count, settle);
	ListCell   *cell;

	foreach(cell, mismatches)
	{
		RecoKeyMismatch *mismatch = lfirst(cell);

		if (run->suspects.count == run->size)
		{
			run->size = Max(run->size * 2, MOST_KEYS);
			run->suspects.ids = repalloc_huge(run->suspects.ids, sizeof(int64) * run->size);
		}
		run->suspects.ids[run->suspects.count++] = mismatch->id;
	}
}

/* Compare the key of every row. */
static void
verify_rows(Run *run)
{
	RecoPlan   *plan = run->windows ? &windows_plan : &users_plan;
	int64		next = PG_INT64_MIN;
	int			count = 1;

	while (count > 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(run->piece);
		Datum		values[] = {Int64GetDatum(next), Int64GetDatum(run->keys)};
		int64		ids[MOST_KEYS];

		count = (int) reco_sql_query(plan, values, NULL, 0);
		for (int i = 0; i < count; i++)
		{
			bool		null;

			ids[i] = DatumGetInt64(reco_sql_value(i, 1, &null));
		}
		SPI_freetuptable(SPI_tuptable);
		verify_keys(run, ids, count, NULL);
		if (count > 0)
		{
			if (ids[count - 1] == PG_INT64_MAX)
				count = 0;
			else
				next = ids[count - 1] + 1;
		}
		MemoryContextSwitchTo(caller);
		verify_end_piece(run);
	}
}

/* Scan Redis for keys without a row. */
static void
verify_scan(Run *run)
{
	RecoSinkScan scan = {.begun = false};
	RecoIds		found;
	bool		more = true;

	while (more)
	{
		MemoryContext caller = MemoryContextSwitchTo(run->piece);

		more = reco_sink->scan(run->link, run->windows, &scan, &found);
		if (more && found.count > 0)
		{
			reco_orphan_keys_filter(run->windows, &found);
			for (int i = 0; i < found.count; i += run->keys)
				verify_keys(run, found.ids + i, Min(run->keys, found.count - i), NULL);
		}
		MemoryContextSwitchTo(caller);
		verify_end_piece(run);
	}
}

/* Compare the suspects again. */
static void
verify_suspects(Run *run)
{
	RecoIds		ids = run->suspects;

	run->suspects = (RecoIds) {palloc(sizeof(int64) * MOST_KEYS), 0};
	run->size = MOST_KEYS;
	for (int next = 0; next < ids.count;)
	{
		MemoryContext caller = MemoryContextSwitchTo(run->piece);
		int			count = Min(run->keys, ids.count - next);

		verify_keys(run, ids.ids + next, count, verify_wait_for_publisher);
		next += count;
		MemoryContextSwitchTo(caller);
		verify_end_piece(run);
	}
	pfree(ids.ids);
}

/* Compare them for the last time, and return mismatches. */
static void
verify_report(Run *run, ReturnSetInfo *output)
{
	for (int next = 0; next < run->suspects.count;)
	{
		MemoryContext caller = MemoryContextSwitchTo(run->piece);
		int			count = Min(run->keys, run->suspects.count - next);
		List	   *mismatches = reco_comparison_run(run->link, run->windows, &run->state,
													 run->suspects.ids + next, count, NULL);
		ListCell   *cell;

		next += count;

		foreach(cell, mismatches)
		{
			RecoKeyMismatch *d = lfirst(cell);
			Datum		values[3] = {CStringGetTextDatum(d->key)};
			bool		nulls[3] = {false, d->expected == NULL, d->found == NULL};

			values[1] = nulls[1] ? 0 : CStringGetTextDatum(d->expected);
			values[2] = nulls[2] ? 0 : CStringGetTextDatum(d->found);
			tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
		}
		MemoryContextSwitchTo(caller);
		verify_end_piece(run);
	}
}

/* Compare all users or all windows. */
static void
verify_run(RecoSinkLink *link, bool windows, bool sent, ReturnSetInfo *output)
{
	Run			run = {.link = link, .windows = windows};

	run.piece = AllocSetContextCreate(CurrentMemoryContext, "reco redis verify", ALLOCSET_DEFAULT_SIZES);
	run.suspects.ids = palloc(sizeof(int64) * MOST_KEYS);
	run.size = MOST_KEYS;
	run.keys = FIRST_KEYS;
	verify_read_state(&run.state);
	verify_rows(&run);
	verify_scan(&run);
	reco_ids_sort(&run.suspects);
	for (int attempt = 1; attempt < ATTEMPTS && sent && run.suspects.count > 0; attempt++)
	{
		sent = verify_wait_for_publisher();
		verify_read_state(&run.state);
		verify_suspects(&run);
	}
	verify_report(&run, output);
	MemoryContextDelete(run.piece);
}

/* reco_redis_verify() RETURNS TABLE (key text, expected text, found text) */
Datum
reco_redis_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *output = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoSinkLink *link;
	bool		sent;

	reco_sql_require_primary();
	reco_own_extension_check(false);
	if (!reco_service_serves_database() || !reco_sink->is_configured())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is published from this database"),
				 errhint("Set reco.database and reco.redis_url, and shared_preload_libraries = 'reco'.")));
	reco_sql_require_read_committed("compare Redis with reco's tables");
	InitMaterializedSRF(fcinfo, 0);
	sent = verify_wait_for_publisher();
	if (!sent)
		ereport(WARNING,
				(errmsg("the publisher has not caught up: Redis is compared as it is"),
				 errhint("See reco_status().")));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	link = reco_sink->connect(true);
	verify_run(link, false, sent, output);
	verify_run(link, true, sent, output);
	reco_sink->close(link);
	SPI_finish();
	return (Datum) 0;
}
