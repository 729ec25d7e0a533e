/*-------------------------------------------------------------------------
 *
 * resync.c
 *	  Resync: sends everything to the sink, and deletes orphans there.
 *
 * Runs in steps, between which the publisher sends what has changed meanwhile:
 * first the users by number, then the windows, then the sink is scanned for keys
 * without a row.  A row that changes after it was sent has its key in the change
 * queue; so has one that comes back before its orphaned key is deleted.
 *
 * A new request (lost stamp, full queue) starts again from the first user.  A
 * publisher that exits in between leaves the resync incomplete; its successor
 * resumes it, so that a value which the sink rejects again and again does not
 * make all others be sent each time.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "publish/orphan_keys.h"
#include "publish/reader.h"
#include "publish/resync.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "utils/timestamp.h"

/* Windows sent in one step. */
#define PIECE_WINDOWS 500

typedef enum Phase
{
	IDLE, USERS, WINDOWS, ORPHANED_USERS, ORPHANED_WINDOWS
} Phase;

static const char *const phase_names[] = {
	"idle", "users' lists", "windows", "orphaned keys of users", "orphaned keys of windows"
};

static RecoPlan windows_plan = {
	"SELECT window_start, ctid FROM reco.window_top WHERE window_start >= $1"
	" ORDER BY window_start LIMIT $2", 2, {TIMESTAMPTZOID, INT8OID}
};

static Phase phase = IDLE;
static int64 next;				/* the user or window to continue with */
static RecoSinkScan scan;

static void
resync_enter(Phase new)
{
	phase = new;
	next = PG_INT64_MIN;
	scan.begun = false;
	reco_queue_set_resync((RecoResync) {phase, next});
	reco_status_report(RECO_PUBLISH, RECO_HEALTH_REBUILDING, "sending everything: %s", phase_names[phase]);
}

/*
 * Begin with the first user.  The caller has renewed the stamp before, so that a
 * loss from now on requests another resync.
 */
void
reco_resync_begin(void)
{
	reco_queue_begin_publish_all();
	reco_metrics_add(RECO_METRIC_RESYNCS, 1);
	resync_enter(USERS);
}

/* Resume the resync of an earlier publisher; the sink still has what that one sent. */
void
reco_resync_resume(void)
{
	RecoResync	resync = reco_queue_resync();

	if (resync.phase == IDLE)
	{
		reco_resync_begin();
		return;
	}
	resync_enter(resync.phase);
	next = resync.next;
	reco_queue_set_resync(resync);
}

/* Send some windows; false: there are no more. */
static bool
resync_send_windows(RecoSinkLink *link)
{
	Datum		values[] = {TimestampTzGetDatum(next), Int64GetDatum(PIECE_WINDOWS)};
	RecoKey    *windows = palloc(sizeof(RecoKey) * PIECE_WINDOWS);
	int			count;

	reco_sql_begin();
	count = (int) reco_sql_query(&windows_plan, values, NULL, 0);
	for (int i = 0; i < count; i++)
	{
		bool		null;

		windows[i].id = DatumGetTimestampTz(reco_sql_value(i, 1, &null));
		windows[i].tid = *(ItemPointer) DatumGetPointer(reco_sql_value(i, 2, &null));
	}
	reco_sql_commit();
	if (count == 0)
		return false;
	reco_reader_send_windows(link, windows, count);
	next = windows[count - 1].id + 1;
	return count == PIECE_WINDOWS;
}

/* Delete some orphans; false: there are no more. */
static bool
resync_delete_orphans(RecoSinkLink *link, bool windows)
{
	RecoIds		found;

	if (!reco_sink->scan(link, windows, &scan, &found))
		return false;
	if (found.count == 0)
		return true;

	reco_sql_begin();
	reco_orphan_keys_filter(windows, &found);
	reco_sql_commit();
	reco_sink->keep_own(link, windows, &found);
	for (int i = 0; i < found.count; i++)
	{
		if (windows)
			reco_sink->put_window(link, found.ids[i], NULL, 0);
		else
			reco_sink->drop_user(link, found.ids[i]);
	}
	reco_sink->flush(link);
	return true;
}

/* One step, in the current memory context; true: there is more to do. */
bool
reco_resync_step(RecoSinkLink *link)
{
	switch (phase)
	{
		case IDLE:
			return false;
		case USERS:
			if (!reco_reader_send_users_from(link, &next))
				resync_enter(WINDOWS);
			break;
		case WINDOWS:
			if (!resync_send_windows(link))
				resync_enter(ORPHANED_USERS);
			break;
		case ORPHANED_USERS:
			if (!resync_delete_orphans(link, false))
				resync_enter(ORPHANED_WINDOWS);
			break;
		case ORPHANED_WINDOWS:
			if (!resync_delete_orphans(link, true))
			{
				phase = IDLE;
				reco_queue_set_resync((RecoResync) {phase, 0});
				reco_queue_end_publish_all();
			}
			break;
	}
	if (phase == USERS || phase == WINDOWS)
		reco_queue_set_resync((RecoResync) {phase, next});
	return phase != IDLE;
}
