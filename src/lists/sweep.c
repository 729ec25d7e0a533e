/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  The lists are brought to the current generation.
 *
 * The sweep goes through the users' rows in steps, each a transaction, so that
 * events wait for milliseconds at most.  A row that moves meanwhile has been
 * written, and so is of the new generation already.
 *
 * A page is half full, and a transaction cannot prune what it has replaced: a
 * step that wrote all rows of a page would drive many of them out of it, into
 * the index and onto new pages.  So a step takes a part of the users in a
 * range of pages, and the next one another part.
 *
 * A generation that begins during a sweep makes it go on from where it is, once
 * around the table: from the first page on, pages at the end would never see it
 * where the catalog changes much.
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

/* Steps that go through the same pages. */
#define PARTS 4

/* Lists that one step computes, about 5 ms; and if the sweep is late. */
#define STEP_LISTS 500
#define LATE_LISTS 2000

/* Blocks that one step looks at, if their lists are current. */
#define STEP_BLOCKS 5000

/* Blocks scanned between two looks at the number of lists. */
#define CHUNK_BLOCKS 32

/*
 * Beyond so many keys in the queue the next step waits some ms: the keys of
 * events would have to wait behind those of the sweep.
 */
#define MAX_QUEUE 2000
#define PAUSE 10

/*
 * A patient sweep waits for twice the time that reco's lock took to get.  That
 * is the rest of a batch of events: where ingestion is behind, batches are long
 * and steps become rare.  It is late, and waits no longer, when it is behind a
 * course that ends after half of reco.popularity_interval.  Beside a backlog, with
 * 1M users and an interval of 50 s, it kept that course: 26 s; with pauses that
 * were merely bounded by the interval, and no larger steps, it took 47 s.
 */
#define PATIENCE 2
#define LONGEST_PAUSE 500		/* ms, for a session may sit on the lock */

/*
 * How far the sweep is: a part of the users on the pages from first to end.  The
 * table may grow meanwhile, so a round ends at a place and not after so many
 * blocks.
 */
typedef struct Progress
{
	Oid			file;			/* that holds the rows */
	BlockNumber blocks;			/* of it */
	BlockNumber start;			/* of the round */
	BlockNumber first;
	BlockNumber end;			/* found by part 0 */
	bool		around;			/* past the table's last page */
	int			part;
	int64		swept;			/* lists in this step */
	RecoUsers  *users;			/* whose rows the step writes */
} Progress;

/* Go around the table once from where the last round ended. */
static void
sweep_begin_round(Progress *progress)
{
	progress->start = progress->first;
	progress->around = false;
	progress->part = 0;
}

/* Where the pages end that come next. */
static BlockNumber
sweep_next_stop(const Progress *progress)
{
	return progress->around ? Min(progress->start, progress->blocks) : progress->blocks;
}

/* Blocks still to go. */
static BlockNumber
sweep_blocks_left(const Progress *progress)
{
	BlockNumber stop = sweep_next_stop(progress);
	BlockNumber left = stop - Min(progress->first, stop);

	return progress->around ? left : left + Min(progress->start, progress->blocks);
}

/* A row that the sweep passes. */
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

/* One step, of about max lists; false: there are no more. */
static bool
sweep_some(RecoWrite *write, Progress *progress, int64 max)
{
	RecoUsers  *users = reco_user_open(write);
	RecoUserRows *rows = reco_user_rows(users);
	BlockNumber end;
	BlockNumber block;

	/* VACUUM FULL has moved the rows: begin again */
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

/* reco_sweep(max_lists): how many lists were of an older generation. */
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

/* The worker's sweep. */
static struct
{
	int64		generation;		/* that it brings */
	TimestampTz popularity_at;	/* when its popularity was taken; 0: not known */
	RecoMoment	began;
	RecoMoment	due;			/* of the next step */
	bool		patient;
	bool		late;
	bool		done;
	Progress	progress;
}			sweeping;

/* Begin to bring the present generation. */
static void
sweep_begin_generation(const RecoState *state)
{
	/* the popularity alone has begun it, and nothing is left that cannot wait */
	sweeping.patient = sweeping.popularity_at != 0 && state->popularity_at != sweeping.popularity_at &&
		state->generation == sweeping.generation + 1 && (sweeping.done || sweeping.patient);
	sweeping.late = false;
	sweeping.generation = state->generation;
	sweeping.popularity_at = state->popularity_at;
	sweeping.began = reco_monotonic_now();
	sweep_begin_round(&sweeping.progress);
}

/* Is it behind its course? */
static bool
sweep_is_late(void)
{
	const Progress *progress = &sweeping.progress;
	double		passed = reco_monotonic_since(sweeping.began) / 1000.0;

	return progress->blocks - sweep_blocks_left(progress) < progress->blocks * passed / (reco_popularity_interval / 2.0);
}

/* Milliseconds until the next step, after one that waited so many for the lock. */
static long
sweep_pause_after(long waited)
{
	long		pause = sweeping.patient && !sweeping.late ? Min(PATIENCE * waited, LONGEST_PAUSE) : 0;

	if (reco_queue_length() > MAX_QUEUE && !reco_queue_publish_all_requested())
		pause = Max(pause, PAUSE);
	return pause;
}

/* Is there a step to do?  If not, *next is in so many milliseconds, or -1. */
static bool
sweep_is_due(long *next)
{
	RecoState	state;

	*next = -1;
	if (!reco_state_peek(&state))
		return false;
	if (state.generation != sweeping.generation)
		return true;
	sweeping.popularity_at = state.popularity_at;	/* it may have changed nothing */
	if (sweeping.done)
		return false;
	*next = Max(1, reco_monotonic_left(sweeping.due));
	return reco_monotonic_has_passed(sweeping.due);
}

/*
 * One step, if it is time; the next one follows at once, or after a pause.  Lists
 * of an older popularity can wait, those that a change of the catalog has made
 * wrong cannot.
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
	sweeping.done = !sweep_some(write, &sweeping.progress, sweeping.late ? LATE_LISTS : STEP_LISTS);
	reco_write_end(write);
	reco_sql_commit();
	if (sweeping.done)
		return -1;
	sweeping.late = sweeping.patient && sweep_is_late();
	pause = sweep_pause_after(waited);
	sweeping.due = reco_monotonic_after(pause);
	return pause;
}
