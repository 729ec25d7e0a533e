/*-------------------------------------------------------------------------
 *
 * publish_worker.c
 *	  The publish worker: changed rows to Redis.
 *
 * One round takes keys from the ring (change_queue.c), reads their rows and sends
 * them (sender.c), swaps the stamp (stamp.c), and only then moves the ring's
 * tail on.  So each change arrives at least once, and since the rows are read
 * anew and one process sends one batch after the other, the newest wins.
 * While everything is to be sent (resync.c), rounds and pieces of that take
 * turns.
 *
 * Whatever goes wrong with Redis is an ERROR that ends the process; ring and
 * stamp stay in shared memory for its successor.  No transaction is open
 * while Redis is talked to, no lock is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/monotonic.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "publish/publish_worker.h"
#include "publish/resync.h"
#include "redis/connection.h"
#include "redis/sender.h"
#include "redis/stamp.h"
#include "shmem/change_queue.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Keys taken from the ring at once: under load the same key comes often. */
#define BATCH_KEYS 50000

/* Batches smaller than this wait until the last one is PACE_MS old. */
#define SMALL_BATCH_KEYS 2000
#define PACE_MS 5

/* How often the stamp is looked at, and how often whether a replay has ended. */
#define STAMP_MS 1000
#define REPLAY_MS 200

static RecoRedis *redis = NULL;
static RecoKey *keys;			/* BATCH_KEYS */
static RecoKey *windows;		/* BATCH_KEYS */
static const RecoKey **pointers;	/* BATCH_KEYS */
static bool resyncing = false;
static RecoMoment batch_at = 0; /* when the last batch began */
static RecoMoment stamp_due = 0;	/* when the stamp is swapped again */
static RecoMoment idle_at = 0;	/* when the ring was last seen empty */

static void
disconnect(void)
{
	if (redis != NULL)
		reco_redis_close(redis);
	redis = NULL;
	resyncing = false;
}

/*
 * Take the settings over.  What an earlier publisher or we ourselves sent
 * elsewhere, or with a shorter life, is sent again.
 */
static void
reload(void)
{
	RecoStamp	stamp = reco_ring_stamp();
	uint32		target = reco_stamp_target();
	int			ttl = reco_guc_redis_ttl();

	reco_send_reload();
	if (stamp.target != target)
		disconnect();
	if (stamp.target != target || stamp.ttl < ttl)
		reco_ring_request_publish_all();
	stamp.target = target;
	stamp.ttl = ttl;
	reco_ring_set_stamp(&stamp);
}

static void
start(void)
{
	keys = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey) * BATCH_KEYS);
	windows = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey) * BATCH_KEYS);
	pointers = MemoryContextAlloc(TopMemoryContext, sizeof(RecoKey *) * BATCH_KEYS);
	idle_at = reco_monotonic_now();
	reload();
}

/* Connect if we are not, and look whether Redis still holds our work. */
static void
ensure_connected(void)
{
	MemoryContext caller;

	if (redis != NULL)
	{
		reco_redis_check(redis);
		return;
	}
	reco_shared_state(RECO_PUBLISH, "connecting to Redis");
	caller = MemoryContextSwitchTo(TopMemoryContext);
	redis = reco_redis_connect(false);
	MemoryContextSwitchTo(caller);
	reco_stamp_look(redis);
	reco_shared_state(RECO_PUBLISH, "publishing");
}

static void
swap_stamp(void)
{
	reco_stamp_swap(redis);
	stamp_due = reco_monotonic_after(STAMP_MS);
}

static void
report_lag(void)
{
	int64		length = reco_ring_length();

	if (length == 0)
		idle_at = reco_monotonic_now();
	reco_shared_lag(RECO_PUBLISH, length, reco_monotonic_since(idle_at) / 1000.0);
}

static int
compare_keys(const void *a, const void *b)
{
	int64		left = ((const RecoKey *) a)->id;
	int64		right = ((const RecoKey *) b)->id;

	return left < right ? -1 : left > right;
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
		return left->id < right->id ? -1 : 1;
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

/* Send what the ring holds, or a batch of it. */
static void
publish_batch(void)
{
	int			count = reco_ring_peek(keys, BATCH_KEYS);
	int			users = 0;
	int			nwindows = pick_windows(count);

	batch_at = reco_monotonic_now();
	for (int i = 0; i < count; i++)
		if (!keys[i].window)
			keys[users++] = keys[i];
	users = sort_users(keys, users);

	reco_send_users(redis, keys, users);
	reco_send_windows(redis, windows, nwindows);
	swap_stamp();
	reco_ring_advance(count);
}

/* One piece of sending everything, if that is asked for or under way. */
static void
resync(void)
{
	if (reco_ring_publish_all_requested() || !(resyncing || reco_ring_is_complete()))
	{
		reco_resync_begin(redis);
		resyncing = true;
	}
	if (resyncing && !reco_resync_step(redis))
	{
		resyncing = false;
		reco_shared_state(RECO_PUBLISH, "publishing");
	}
}

/* Milliseconds that a small batch has to wait. */
static long
pace_left(void)
{
	return reco_monotonic_left(batch_at + PACE_MS * 1000);
}

/* Send everything, if need be, for as long as the batch took: none waits for the other. */
static void
resync_meanwhile(void)
{
	RecoMoment	begun = reco_monotonic_now();
	RecoMoment	until = begun + (begun - batch_at);

	do
		resync();
	while (resyncing && !reco_monotonic_has_passed(until));
}

static long
step(void)
{
	int64		length = reco_ring_length();
	long		pace = length < SMALL_BATCH_KEYS ? pace_left() : 0;

	/* Reading nothing, we do not notice ourselves that reco was dropped. */
	if (!reco_shared_serves_database())
		proc_exit(0);
	if (reco_redis_url[0] == '\0')
	{
		reco_shared_state(RECO_PUBLISH, "reco.redis_url is not set");
		reco_ring_begin_publish_all();
		return STAMP_MS;
	}
	if (reco_shared_is_replaying())
	{
		/* Lists are not fit to be seen: Redis keeps the last good ones. */
		reco_shared_state(RECO_PUBLISH, "waiting for the end of the replay");
		disconnect();
		if (!reco_ring_publish_all_requested())
			reco_ring_request_publish_all();
		return REPLAY_MS;
	}

	ensure_connected();
	if (length > 0 && pace == 0)
	{
		publish_batch();
		resync_meanwhile();
	}
	else
	{
		if (reco_monotonic_has_passed(stamp_due))
			swap_stamp();
		resync();
	}
	report_lag();

	if (resyncing)
		return 0;
	return reco_ring_length() > 0 ? pace_left() : Max(reco_monotonic_left(stamp_due), 1);
}

static pgsocket
socket_of_redis(void)
{
	return redis ? reco_redis_socket(redis) : PGINVALID_SOCKET;
}

const RecoRoutine reco_publish_routine = {
	.name = "reco publish",
	.id = RECO_PUBLISH,
	.start = start,
	.step = step,
	.reloaded = reload,
	.socket = socket_of_redis,
};
