/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  The sweep: bringing lists to the current generation.
 *
 * The sweep goes through the users' rows in steps, each a transaction, so
 * that events wait for milliseconds at most.  A row that moves meanwhile has
 * been written, and so has the new generation already.
 *
 * Pages are half full, and a transaction cannot prune the rows that it has
 * replaced: a step that wrote all rows of a page would move many of them to
 * other pages, with new index entries.  Therefore a step processes a part of
 * the users in a range of pages, and the next step another part.
 *
 * If a generation begins during a sweep, the sweep continues from where it
 * is, once around the table.  If it started again at the first page, it would
 * never reach the last ones while the catalog changes frequently.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/hashfn.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "fmgr.h"
#include "lists/sweep.h"
#include "lists/user_state.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "utils/timestamp.h"

/* Number of steps that process the same pages. */
#define PARTS 4

/* Lists computed in one step, in about 5 ms; and if the sweep is behind. */
#define STEP_LISTS 500
#define CATCH_UP_LISTS 2000

/* Blocks scanned in one step, if their lists are current. */
#define STEP_BLOCKS 5000

/* Blocks scanned between two checks of the number of lists. */
#define CHUNK_BLOCKS 32

/*
 * If the queue is longer than this, the sweep pauses for some ms after a step,
 * so that keys of events need not wait behind its own.
 */
#define MAX_QUEUE 2000
#define PAUSE 10

/*
 * After a step, a patient sweep pauses for twice the time that it waited for
 * reco's lock.  That was the rest of a batch of events: when ingestion is
 * behind, batches are long and steps become rare.  A sweep that would not
 * finish within half of reco.popularity_interval is behind, and does not
 * pause.  With a backlog, 1M users and an interval of 50 s it took 26 s; with
 * pauses merely bounded by the interval, and no larger steps, it took 47 s.
 */
#define PATIENCE 2
#define LONGEST_PAUSE 500		/* ms, as a session may hold the lock for long */

/*
 * The progress of the sweep: a part of the users on the pages from first to
 * end.  The table may grow meanwhile, so a round ends at a certain page rather
 * than after a number of pages.
 */
typedef struct Progress
{
	Oid			file;			/* of the table */
	BlockNumber blocks;			/* blocks of the file */
	BlockNumber start;			/* where the round began */
	BlockNumber first;
	BlockNumber end;			/* determined by part 0 */
	bool		around;			/* whether the end of the table has been passed */
	int			part;
	int64		swept;			/* lists computed in this step */
	RecoUsers  *users;			/* open for writing in this step */
} Progress;

/* Go around the table once from where the last round ended. */
static void
sweep_begin_round(Progress *progress)
{
	progress->start = progress->first;
	progress->around = false;
	progress->part = 0;
}

/* The page before which the scan has to stop next. */
static BlockNumber
sweep_next_stop(const Progress *progress)
{
	return progress->around ? Min(progress->start, progress->blocks) : progress->blocks;
}

/* The number of blocks that remain. */
static BlockNumber
sweep_blocks_left(const Progress *progress)
{
	BlockNumber stop = sweep_next_stop(progress);
	BlockNumber left = stop - Min(progress->first, stop);

	return progress->around ? left : left + Min(progress->start, progress->blocks);
}

/* Process a row, as a RecoUserVisitor. */
static bool
sweep_visit(RecoUserRows *rows, TupleTableSlot *row, void *arg)
{
	Progress   *progress = arg;
	uint64		user_id = (uint64) reco_user_row_id(row);
	uint32		hash = murmurhash32((uint32) user_id ^ (uint32) (user_id >> 32));

	if (hash % PARTS != progress->part || reco_user_is_current(progress->users, row))
		return true;
	reco_user_refresh_row(progress->users, row);
	progress->swept++;
	return true;
}

/* Perform a step of about max lists; false if none remain. */
static bool
sweep_some(RecoWrite *write, Progress *progress, int64 max)
{
	RecoUsers  *users = reco_user_open(write);
	RecoUserRows *rows = reco_user_rows(users);
	BlockNumber end;
	BlockNumber block;

	/* VACUUM FULL has moved the rows: start over */
	if (progress->file != reco_user_rows_file(rows))
		*progress = (Progress) {.file = reco_user_rows_file(rows)};
	progress->blocks = reco_user_rows_blocks(rows);
	if (!progress->around && progress->first >= progress->blocks)
	{
		progress->first = 0;
		progress->around = true;
		progress->part = 0;
	}
	end = Min(sweep_next_stop(progress), progress->part > 0 ? progress->end : progress->first + STEP_BLOCKS);
	block = progress->first;
	progress->swept = 0;
	progress->users = users;
	while (block < end && (progress->part > 0 || progress->swept < max))
		block = reco_user_rows_scan(rows, block, Min(CHUNK_BLOCKS, end - block), sweep_visit, progress);
	reco_user_close(users);
	reco_metrics_add(RECO_METRIC_SWEPT, progress->swept);

	progress->end = block;
	if (++progress->part == PARTS)
	{
		progress->first = block;
		progress->part = 0;
	}
	return sweep_blocks_left(progress) > 0;
}

PG_FUNCTION_INFO_V1(reco_sweep);

/* reco_sweep(max_lists): returns how many lists were of an older generation. */
Datum
reco_sweep(PG_FUNCTION_ARGS)
{
	int32		max = PG_GETARG_INT32(0);
	Progress	progress = {0};
	RecoWrite  *write;
	int64		total = 0;
	bool		more = true;

	if (max < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_lists must be at least 1")));
	SPI_connect();
	write = reco_write_begin(NoLock);
	while (more && total < max)
	{
		more = sweep_some(write, &progress, Min(STEP_LISTS, max - total));
		total += progress.swept;
	}
	reco_write_end(write);
	SPI_finish();
	PG_RETURN_INT64(total);
}

/* The sweep of the follow worker. */
static struct
{
	int64		generation;		/* that it brings lists to */
	TimestampTz popularity_at;	/* time of its popularity; 0: unknown */
	RecoMoment	began;
	RecoMoment	due;			/* time of the next step */
	bool		patient;
	bool		behind;
	bool		done;
	Progress	progress;
}			sweeping;

/* Begin to bring lists to the current generation. */
static void
sweep_begin_generation(const RecoState *state)
{
	/* patient only if nothing but the popularity has changed */
	sweeping.patient = sweeping.popularity_at != 0 && state->popularity_at != sweeping.popularity_at &&
		state->generation == sweeping.generation + 1 && (sweeping.done || sweeping.patient);
	sweeping.behind = false;
	sweeping.generation = state->generation;
	sweeping.popularity_at = state->popularity_at;
	sweeping.began = reco_monotonic_now();
	sweep_begin_round(&sweeping.progress);
}

/* Is the sweep behind schedule? */
static bool
sweep_is_behind(void)
{
	const Progress *progress = &sweeping.progress;
	double		passed = reco_monotonic_since(sweeping.began) / 1000.0;

	BlockNumber done = progress->blocks - sweep_blocks_left(progress);

	return done < progress->blocks * passed / (reco_popularity_interval / 2.0);
}

/* Milliseconds until the next step, after one that waited that long for the lock. */
static long
sweep_pause_after(long waited)
{
	long		pause = sweeping.patient && !sweeping.behind ? Min(PATIENCE * waited, LONGEST_PAUSE) : 0;

	if (reco_queue_length() > MAX_QUEUE && !reco_queue_publish_all_requested())
		pause = Max(pause, PAUSE);
	return pause;
}

/* Is a step due?  If not, *next is set to the milliseconds until it is; -1: none is needed. */
static bool
sweep_is_due(long *next)
{
	RecoState	state;

	*next = -1;
	if (!reco_state_peek(&state))
		return false;
	if (state.generation != sweeping.generation)
		return true;
	sweeping.popularity_at = state.popularity_at;	/* the popularity may have been computed without a change */
	if (sweeping.done)
		return false;
	*next = Max(1, reco_monotonic_left(sweeping.due));
	return reco_monotonic_has_passed(sweeping.due);
}

/*
 * Perform a step, if it is due; returns the milliseconds until the next.
 * Lists with an old popularity can wait; those that a change of the catalog
 * has made wrong cannot.
 */
long
reco_sweep_step(void)
{
	RecoWrite  *write;
	RecoMoment	asked = reco_monotonic_now();
	long		waited;
	long		pause;

	reco_sql_begin();
	if (!sweep_is_due(&pause))
	{
		reco_sql_commit();
		return pause;
	}
	write = reco_write_begin(NoLock);
	waited = reco_monotonic_since(asked);
	if (reco_write_state(write)->generation != sweeping.generation)
		sweep_begin_generation(reco_write_state(write));
	sweeping.done = !sweep_some(write, &sweeping.progress, sweeping.behind ? CATCH_UP_LISTS : STEP_LISTS);
	reco_write_end(write);
	reco_sql_commit();
	if (sweeping.done)
		return -1;
	sweeping.behind = sweeping.patient && sweep_is_behind();
	pause = sweep_pause_after(waited);
	sweeping.due = reco_monotonic_after(pause);
	return pause;
}
