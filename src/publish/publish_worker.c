/*-------------------------------------------------------------------------
 *
 * publish_worker.c
 *	  The worker that publishes changed rows to Redis.
 *
 * A round peeks at keys in the change queue (change_queue.c), reads their rows
 * and sends them (reader.c), renews the sink's stamp (sink.h), and only then
 * removes the keys from the queue.  So each change arrives at least once, and
 * since rows are read at that time, and a single process sends batch after
 * batch, the newest value wins.  During a resync (resync.c) its steps alternate
 * with rounds.
 *
 * Any failure of Redis is an ERROR that ends the process; queue and stamp remain
 * in shared memory for its successor.  No transaction is open while Redis is
 * waited for, and no lock is held.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/int.h"
#include "common/monotonic.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "publish/publish_worker.h"
#include "publish/reader.h"
#include "publish/resync.h"
#include "shmem/change_queue.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Keys of a batch: large, because under load the same keys come often. */
#define BATCH_KEYS 50000

/* A batch smaller than this begins at least PACE_MS after the last one. */
#define SMALL_BATCH_KEYS 2000
#define PACE_MS 5

/* How often the stamp is renewed, and how often the end of a replay is polled. */
#define STAMP_MS 1000
#define REPLAY_MS 200

/* With a stamp overdue for so long we claim again before writing; less than stamp.c's timeouts. */
#define SILENT_MS 2000

/* When Redis has accepted commands for so long, its trouble is over. */
#define PROOF_MS 3000

static RecoSinkLink *store = NULL;
static RecoKey *keys;			/* BATCH_KEYS */
static RecoKey *windows;		/* BATCH_KEYS */
static const RecoKey **pointers;	/* BATCH_KEYS */
static bool resyncing = false;
static bool owned = false;		/* we are the publisher of this Redis */
static bool proved = false;		/* Redis has accepted a key on this connection */
static RecoMoment batch_at = 0; /* when the last batch began */
static RecoMoment stamp_due = 0;	/* when to renew the stamp, or to claim again */
static RecoMoment connected_at = 0;
static bool connecting = false;

static void
publish_disconnect(void)
{
	if (store != NULL)
		reco_sink->close(store);
	store = NULL;
	resyncing = owned = proved = false;
	reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER);
}

/*
 * Apply the settings.  Everything is sent again if it was sent elsewhere, or
 * with a shorter TTL, by us or by an earlier publisher.
 */
static void
publish_reload(void)
{
	RecoStamp	stamp = reco_queue_stamp();
	uint32		target = reco_sink->target();
	int			ttl = reco_guc_redis_ttl();

	if (stamp.target != target)
	{
		publish_disconnect();
		stamp.owned_since = 0;
	}
	if (stamp.target != target || stamp.ttl < ttl)
		reco_queue_request_publish_all();
	stamp.target = target;
	stamp.ttl = ttl;
	reco_queue_set_stamp(&stamp);
}

static void
publish_start(void)
{
	keys = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey) * BATCH_KEYS);
	windows = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey) * BATCH_KEYS);
	pointers = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey *) * BATCH_KEYS);
	publish_reload();
}

/* Connect if we are not. */
static void
publish_connect(void)
{
	MemoryContext caller;

	if (store != NULL)
	{
		reco_sink->check(store);
		return;
	}
	reco_status_report(RECO_PUBLISH, RECO_HEALTH_STARTING, "connecting to Redis");
	connecting = true;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	store = reco_sink->connect(false);
	MemoryContextSwitchTo(caller);
	connecting = false;
	connected_at = reco_monotonic_now();
	stamp_due = 0;
}

/* Another publisher owns Redis: claim it again after a wait. */
static void
publish_yield(long wait)
{
	owned = resyncing = false;
	stamp_due = reco_monotonic_after(wait);
}

/*
 * May we write?  To be called before anything is sent.  If we were stopped for
 * so long that others may have taken over, Redis is claimed again.
 */
static bool
publish_claim(void)
{
	long		wait;

	if (owned && !reco_monotonic_has_passed(stamp_due + SILENT_MS * 1000))
		return true;
	if (!owned && !reco_monotonic_has_passed(stamp_due))
		return false;
	wait = reco_sink->claim(store);
	if (wait > 0)
	{
		publish_yield(wait);
		return false;
	}
	if (!owned)
		reco_status_report(RECO_PUBLISH, RECO_HEALTH_OK, "publishing");
	owned = true;
	stamp_due = reco_monotonic_after(STAMP_MS);
	return true;
}

static bool
publish_renew(void)
{
	if (!reco_sink->renew(store))
	{
		publish_yield(STAMP_MS);
		return false;
	}
	stamp_due = reco_monotonic_after(STAMP_MS);
	return true;
}

/*
 * Redis has accepted what it was sent: its trouble is over once there is nothing
 * left that it could reject, or this has lasted for a while.
 */
static void
publish_report_answer(void)
{
	reco_status_peer_answered(RECO_PUBLISH, reco_monotonic_now());
	if ((reco_queue_is_complete() && reco_queue_length() == 0) ||
		reco_monotonic_since(connected_at) > PROOF_MS)
		reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_REDIS);
}

static int
publish_compare_keys(const void *a, const void *b)
{
	return pg_cmp_s64(((const RecoKey *) a)->id, ((const RecoKey *) b)->id);
}

/* Sort users' keys, and remove duplicates; whose TID is kept matters little. */
static int
publish_sort_users(RecoKey *users, int count)
{
	qsort(users, count, sizeof(RecoKey), publish_compare_keys);
	return qunique(users, count, sizeof(RecoKey), publish_compare_keys);
}

/* Compare by id, then by the order in which they came. */
static int
publish_compare_pointers(const void *a, const void *b)
{
	const RecoKey *left = *(const RecoKey *const *) a;
	const RecoKey *right = *(const RecoKey *const *) b;

	if (left->id != right->id)
		return pg_cmp_s64(left->id, right->id);
	return (left > right) - (left < right);
}

/* Collect the windows among the keys, the last key of each: it has the current TID. */
static int
publish_pick_windows(int count)
{
	int			found = 0;
	int			kept = 0;

	for (int i = 0; i < count; i++)
		if (keys[i].window)
			pointers[found++] = &keys[i];
	qsort(pointers, found, sizeof(RecoKey *), publish_compare_pointers);
	for (int i = 0; i < found; i++)
		if (i + 1 == found || pointers[i + 1]->id != pointers[i]->id)
			windows[kept++] = *pointers[i];
	return kept;
}

/* Publish a batch of keys from the queue. */
static void
publish_batch(void)
{
	/* try a single key first, so that Redis does not reject a whole batch */
	int			count = reco_queue_peek(keys, proved ? BATCH_KEYS : 1);
	int			users = 0;
	int			nwindows = publish_pick_windows(count);

	batch_at = reco_monotonic_now();
	for (int i = 0; i < count; i++)
		if (!keys[i].window && keys[i].send)
			keys[users++] = keys[i];
	users = publish_sort_users(keys, users);

	reco_reader_send_users(store, keys, users);
	reco_reader_send_windows(store, windows, nwindows);
	proved = true;
	if (publish_renew())
		reco_queue_advance(count);
}

/* One step of a resync, if one is requested or in progress. */
static void
publish_resync(void)
{
	if (reco_queue_publish_all_requested())
	{
		if (!publish_renew())
			return;
		reco_resync_begin();
		resyncing = true;
	}
	else if (!resyncing && !reco_queue_is_complete())
	{
		reco_resync_resume();
		resyncing = true;
	}
	if (resyncing && !reco_resync_step(store))
	{
		resyncing = false;
		reco_status_report(RECO_PUBLISH, RECO_HEALTH_OK, "publishing");
	}
}

/* Milliseconds until a small batch may begin. */
static long
publish_pace_left(void)
{
	return reco_monotonic_left(batch_at + PACE_MS * 1000);
}

/* Resync, if needed, for as long as the last batch took, if there was one, so that both proceed. */
static void
publish_resync_meanwhile(bool batch)
{
	RecoMoment	begun = reco_monotonic_now();
	RecoMoment	until = batch ? begun + (begun - batch_at) : begun;

	do
		publish_resync();
	while (resyncing && !reco_monotonic_has_passed(until));
}

/* Lists are incomplete during a replay: let Redis keep the last good ones, and renew the stamp. */
static void
publish_wait_for_replay(void)
{
	reco_status_report(RECO_PUBLISH, RECO_HEALTH_REBUILDING, "waiting for the end of the replay");
	resyncing = false;
	if (!reco_queue_publish_all_requested())
		reco_queue_request_publish_all();
	if (reco_monotonic_has_passed(stamp_due))
		(void) publish_renew();
	publish_report_answer();
}

static long
publish_step(void)
{
	int64		length = reco_queue_length();
	long		pace = length < SMALL_BATCH_KEYS ? publish_pace_left() : 0;

	/* without reading tables we would not notice DROP EXTENSION */
	if (!reco_service_serves_database())
		proc_exit(0);
	if (!reco_sink->is_configured())
	{
		reco_status_report(RECO_PUBLISH, RECO_HEALTH_OFF, "reco.redis_url is not set");
		reco_trouble_drop(RECO_PUBLISH, RECO_TROUBLE_REDIS);
		reco_status_set_peer(RECO_PUBLISH, RECO_PEER_NONE);
		reco_queue_begin_publish_all();
		return STAMP_MS;
	}

	reco_status_set_peer(RECO_PUBLISH, RECO_PEER_REDIS);
	publish_connect();
	if (!publish_claim())
	{
		publish_report_answer();
		return Max(reco_monotonic_left(stamp_due), 1);
	}
	if (reco_service_is_replaying())
	{
		publish_wait_for_replay();
		return REPLAY_MS;
	}
	if (length > 0 && pace == 0)
		publish_batch();
	else if (reco_monotonic_has_passed(stamp_due))
		(void) publish_renew();
	if (owned)
		publish_resync_meanwhile(length > 0 && pace == 0);
	publish_report_answer();

	if (resyncing)
		return 0;
	return reco_queue_length() > 0 ? publish_pace_left() : Max(reco_monotonic_left(stamp_due), 1);
}

static pgsocket
publish_socket(void)
{
	return store ? reco_sink->socket(store) : PGINVALID_SOCKET;
}

/* An error that closed the connection, or occurred while connecting, is a trouble of Redis. */
static RecoTroubleKind
publish_blame(const ErrorData *error, RecoHealth *health)
{
	bool		lost = store != NULL && reco_sink->socket(store) == PGINVALID_SOCKET;

	if (!connecting && !lost)
		return RECO_TROUBLE_WORKER;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_CONNECTION_EXCEPTION ||
		error->sqlerrcode == ERRCODE_CANNOT_CONNECT_NOW)
		*health = RECO_HEALTH_WAITING;
	return RECO_TROUBLE_REDIS;
}

const RecoRoutine reco_publish_routine = {
	.name = "reco publish",
	.id = RECO_PUBLISH,
	.start = publish_start,
	.step = publish_step,
	.reloaded = publish_reload,
	.socket = publish_socket,
	.blame = publish_blame,
};
