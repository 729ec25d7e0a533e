/*-------------------------------------------------------------------------
 *
 * publish_worker.c
 *	  The publish worker: changed rows to Redis.
 *
 * One round takes keys from the queue (change_queue.c), reads their rows and
 * sends them (reader.c), renews the sink's mark that the copy is ours (sink.h),
 * and only then moves the queue's tail on.  So each change arrives at least once, and since the rows are read
 * anew and one process sends one batch after the other, the newest wins.
 * While everything is to be sent (resync.c), rounds and pieces of that take
 * turns.
 *
 * Whatever goes wrong with Redis is an ERROR that ends the process; queue and
 * stamp stay in shared memory for its successor.  No transaction is open
 * while Redis is talked to, no lock is taken.
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

/* Keys taken from the queue at once: under load the same key comes often. */
#define BATCH_KEYS 50000

/* Batches smaller than this wait until the last one is PACE_MS old. */
#define SMALL_BATCH_KEYS 2000
#define PACE_MS 5

/* How often the stamp is looked at, and how often whether a replay has ended. */
#define STAMP_MS 1000
#define REPLAY_MS 200

/* One whose stamp is overdue for so long looks before it writes; less than stamp.c's patience. */
#define SILENT_MS 2000

/* Redis that has taken what it was sent for so long answers again. */
#define PROOF_MS 3000

static RecoSinkLink *store = NULL;
static RecoKey *keys;			/* BATCH_KEYS */
static RecoKey *windows;		/* BATCH_KEYS */
static const RecoKey **pointers;	/* BATCH_KEYS */
static bool resyncing = false;
static bool owned = false;		/* no other publisher writes to Redis */
static bool proved = false;		/* and it has taken a key of ours */
static RecoMoment batch_at = 0; /* when the last batch began */
static RecoMoment stamp_due = 0;	/* when the stamp is swapped, or another's looked at, again */
static RecoMoment connected_at = 0;
static bool connecting = false;

static void
disconnect(void)
{
	if (store != NULL)
		reco_sink->close(store);
	store = NULL;
	resyncing = owned = proved = false;
	reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER);
}

/*
 * Take the settings over.  What an earlier publisher or we ourselves sent
 * elsewhere, or with a shorter life, is sent again.
 */
static void
reload(void)
{
	RecoStamp	stamp = reco_queue_stamp();
	uint32		target = reco_sink->target();
	int			ttl = reco_guc_redis_ttl();

	if (stamp.target != target)
	{
		disconnect();
		stamp.owned_since = 0;
	}
	if (stamp.target != target || stamp.ttl < ttl)
		reco_queue_request_publish_all();
	stamp.target = target;
	stamp.ttl = ttl;
	reco_queue_set_stamp(&stamp);
}

static void
start(void)
{
	keys = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey) * BATCH_KEYS);
	windows = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey) * BATCH_KEYS);
	pointers = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey *) * BATCH_KEYS);
	reload();
}

/* Connect if we are not. */
static void
ensure_connected(void)
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

/* Redis is another's: whatever it holds, it is not ours. */
static void
give_way(long wait)
{
	owned = resyncing = false;
	stamp_due = reco_monotonic_after(wait);
}

/*
 * May we write?  Asked before anything else is sent, also by one that was held
 * up for so long that others may have taken it for gone.
 */
static bool
ensure_owned(void)
{
	long		wait;

	if (owned && !reco_monotonic_has_passed(stamp_due + SILENT_MS * 1000))
		return true;
	if (!owned && !reco_monotonic_has_passed(stamp_due))
		return false;
	wait = reco_sink->claim(store);
	if (wait > 0)
	{
		give_way(wait);
		return false;
	}
	if (!owned)
		reco_status_report(RECO_PUBLISH, RECO_HEALTH_OK, "publishing");
	owned = true;
	stamp_due = reco_monotonic_after(STAMP_MS);
	return true;
}

static bool
swap_stamp(void)
{
	if (!reco_sink->renew(store))
	{
		give_way(STAMP_MS);
		return false;
	}
	stamp_due = reco_monotonic_after(STAMP_MS);
	return true;
}

/*
 * Redis has taken what it was sent: whatever was the matter with it is over
 * once there is nothing left that it could refuse, or that has lasted.
 */
static void
report_answer(void)
{
	reco_status_peer_answered(RECO_PUBLISH, reco_monotonic_now());
	if ((reco_queue_is_complete() && reco_queue_length() == 0) ||
		reco_monotonic_since(connected_at) > PROOF_MS)
		reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_REDIS);
}

static int
compare_keys(const void *a, const void *b)
{
	return pg_cmp_s64(((const RecoKey *) a)->id, ((const RecoKey *) b)->id);
}

/* Sort users' keys, and drop duplicates: whose place is kept matters little. */
static int
sort_users(RecoKey *users, int count)
{
	qsort(users, count, sizeof(RecoKey), compare_keys);
	return qunique(users, count, sizeof(RecoKey), compare_keys);
}

/* By id; of one id in the order in which they came. */
static int
compare_pointers(const void *a, const void *b)
{
	const RecoKey *left = *(const RecoKey *const *) a;
	const RecoKey *right = *(const RecoKey *const *) b;

	if (left->id != right->id)
		return pg_cmp_s64(left->id, right->id);
	return (left > right) - (left < right);
}

/* The windows among some keys, the last key of each: it tells where the row stands now. */
static int
pick_windows(int count)
{
	int			found = 0;
	int			kept = 0;

	for (int i = 0; i < count; i++)
		if (keys[i].window)
			pointers[found++] = &keys[i];
	qsort(pointers, found, sizeof(RecoKey *), compare_pointers);
	for (int i = 0; i < found; i++)
		if (i + 1 == found || pointers[i + 1]->id != pointers[i]->id)
			windows[kept++] = *pointers[i];
	return kept;
}

/* Send what the queue holds, or a batch of it. */
static void
publish_batch(void)
{
	/* what Redis refuses is refused once, not a whole batch of it */
	int			count = reco_queue_peek(keys, proved ? BATCH_KEYS : 1);
	int			users = 0;
	int			nwindows = pick_windows(count);

	batch_at = reco_monotonic_now();
	for (int i = 0; i < count; i++)
		if (!keys[i].window && keys[i].send)
			keys[users++] = keys[i];
	users = sort_users(keys, users);

	reco_reader_send_users(store, keys, users);
	reco_reader_send_windows(store, windows, nwindows);
	proved = true;
	if (swap_stamp())
		reco_queue_advance(count);
}

/* One piece of sending everything, if that is asked for or under way. */
static void
resync(void)
{
	if (reco_queue_publish_all_requested())
	{
		if (!swap_stamp())
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

/* Milliseconds that a small batch has to wait. */
static long
pace_left(void)
{
	return reco_monotonic_left(batch_at + PACE_MS * 1000);
}

/* Send everything, if need be, for as long as the batch took, if there was one: none waits for the other. */
static void
resync_meanwhile(bool batch)
{
	RecoMoment	begun = reco_monotonic_now();
	RecoMoment	until = batch ? begun + (begun - batch_at) : begun;

	do
		resync();
	while (resyncing && !reco_monotonic_has_passed(until));
}

/* Lists are not fit to be seen: Redis keeps the last good ones, and stays ours. */
static void
wait_for_replay(void)
{
	reco_status_report(RECO_PUBLISH, RECO_HEALTH_REBUILDING, "waiting for the end of the replay");
	resyncing = false;
	if (!reco_queue_publish_all_requested())
		reco_queue_request_publish_all();
	if (reco_monotonic_has_passed(stamp_due))
		(void) swap_stamp();
	report_answer();
}

static long
step(void)
{
	int64		length = reco_queue_length();
	long		pace = length < SMALL_BATCH_KEYS ? pace_left() : 0;

	/* Reading nothing, we do not notice ourselves that reco was dropped. */
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
	ensure_connected();
	if (!ensure_owned())
	{
		report_answer();
		return Max(reco_monotonic_left(stamp_due), 1);
	}
	if (reco_service_is_replaying())
	{
		wait_for_replay();
		return REPLAY_MS;
	}
	if (length > 0 && pace == 0)
		publish_batch();
	else if (reco_monotonic_has_passed(stamp_due))
		(void) swap_stamp();
	if (owned)
		resync_meanwhile(length > 0 && pace == 0);
	report_answer();

	if (resyncing)
		return 0;
	return reco_queue_length() > 0 ? pace_left() : Max(reco_monotonic_left(stamp_due), 1);
}

static pgsocket
socket_of_sink(void)
{
	return store ? reco_sink->socket(store) : PGINVALID_SOCKET;
}

/* An error that closed the connection, or while it was made, is Redis'. */
static RecoTroubleKind
blame(const ErrorData *error, RecoHealth *health)
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
	.start = start,
	.step = step,
	.reloaded = reload,
	.socket = socket_of_sink,
	.blame = blame,
};
