/*-------------------------------------------------------------------------
 *
 * resync.c
 *	  Everything is sent to the sink, and what is left over there deleted.
 *
 * Runs in pieces: between two of them the publisher sends what changed
 * meanwhile.  First the users in the order of their numbers, then the
 * windows, then the sink is scanned for keys without a row.  A row that changes
 * behind us has its key in the queue; so has one that comes back after we
 * found it gone and before we delete its key.
 *
 * Whoever begins again (lost stamp, full ring) begins from the first user.
 * A publisher that ends in between leaves the queue incomplete; its successor
 * goes on where it was, so that what the sink refuses again and again does not
 * make all the rest be sent each time.
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

/* Windows sent in one piece. */
#define PIECE_WINDOWS 500

typedef enum Phase
{
	IDLE, USERS, WINDOWS, ORPHANED_USERS, ORPHANED_WINDOWS
} Phase;

static const char *const phase_names[] = {
	"idle", "users' lists", "windows", "users' keys left over", "windows' keys left over"
};

static RecoPlan windows_plan = {
	"SELECT window_start, ctid FROM reco.window_top WHERE window_start >= $1"
	" ORDER BY window_start LIMIT $2", 2, {TIMESTAMPTZOID, INT8OID}
};

static Phase phase = IDLE;
static int64 next;				/* user or window to go on with */
static RecoSinkScan scan;

static void
enter(Phase new)
{
	phase = new;
	next = PG_INT64_MIN;
	scan.begun = false;
	reco_queue_set_resync((RecoResync) {phase, next});
	reco_status_report(RECO_PUBLISH, RECO_HEALTH_REBUILDING, "sending everything: %s", phase_names[phase]);
}

/*
 * Begin, from the first user.  The caller has left a stamp before: one that is
 * lost from now on asks for everything again.
 */
void
reco_resync_begin(void)
{
	reco_queue_begin_publish_all();
	reco_metrics_add(RECO_METRIC_RESYNCS, 1);
	enter(USERS);
}

/* Go on where an earlier publisher was; the sink still holds what it has sent. */
void
reco_resync_resume(void)
{
	RecoResync	resync = reco_queue_resync();

	if (resync.phase == IDLE)
	{
		reco_resync_begin();
		return;
	}
	enter(resync.phase);
	next = resync.next;
	reco_queue_set_resync(resync);
}

/* Send some windows; false: there are no more. */
static bool
send_windows(RecoSinkLink *link)
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

/* Delete some keys without a row; false: there are no more. */
static bool
delete_orphans(RecoSinkLink *link, bool windows)
{
	RecoIds		found;

	if (!reco_sink->scan(link, windows, &scan, &found))
		return false;
	if (found.count == 0)
		return true;

	reco_sql_begin();
	reco_orphans_drop_rows(windows, &found);
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

/* One piece, in the current memory context; true: there is more to do. */
bool
reco_resync_step(RecoSinkLink *link)
{
	switch (phase)
	{
		case IDLE:
			return false;
		case USERS:
			if (!reco_reader_send_users_from(link, &next))
				enter(WINDOWS);
			break;
		case WINDOWS:
			if (!send_windows(link))
				enter(ORPHANED_USERS);
			break;
		case ORPHANED_USERS:
			if (!delete_orphans(link, false))
				enter(ORPHANED_WINDOWS);
			break;
		case ORPHANED_WINDOWS:
			if (!delete_orphans(link, true))
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
