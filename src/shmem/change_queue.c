/*-------------------------------------------------------------------------
 *
 * change_queue.c
 *	  Keys of committed changes on their way to the publisher.
 *
 * A transaction remembers its keys in its own memory; after its commit, when
 * every new snapshot sees its rows, they go into a ring in shared memory.
 * The publisher peeks, reads the rows anew, sends them, and only then moves
 * the tail on: a key is never lost between the two.  Whenever the ring cannot
 * tell what changed (it is full, the server has just started), everything is
 * to be published instead.
 *
 * One LWLock guards the ring and is held for copying keys only.  A key of a
 * rolled back savepoint may stay: publishing an unchanged row does no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "shmem/change_queue.h"
#include "shmem/shmem.h"
#include "shmem/worker_status.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"

/* A power of two; 16 MB hold what 100k events a second change in 10 s. */
#define RING_SIZE (1024 * 1024)

/* A transaction with more keys than this asks for everything. */
#define MAX_TRANSACTION_KEYS (RING_SIZE / 2)

/*
 * When keys came, noted at the first of each span of time; with all marks
 * used every second one goes, and spans are twice as long from then on.
 */
#define MARKS 256
#define FIRST_SPAN 50			/* ms */

typedef struct Mark
{
	uint64		head;			/* the first key that came */
	RecoMoment	at;				/* then */
} Mark;

typedef struct RecoRing
{
	LWLock	   *lock;
	uint64		head;			/* keys ever put in */
	uint64		tail;			/* keys ever published */
	bool		publish_all;	/* everything is to be sent */
	bool		complete;		/* everything was sent once, but for the ring's keys */
	RecoMoment	incomplete_since;	/* when everything was asked for; 0: it is not */
	uint64		state;			/* whose keys these are, see reco_ring_serve() */
	RecoResync	resync;
	RecoStamp	stamp;
	int			nmarks;
	int64		span;			/* ms */
	Mark		marks[MARKS];	/* of the keys from the tail on, oldest first */
	RecoKey		keys[RING_SIZE];
} RecoRing;

static RecoRing *ring = NULL;

/* Of the present transaction; the array lives in TopTransactionContext. */
static RecoKey *pending = NULL;
static int	pending_count = 0;
static int	pending_size = 0;
static bool pending_everything = false;

static void
ring_init(LWLock *lock)
{
	ring->lock = lock;
	ring->publish_all = true;
	ring->incomplete_since = reco_monotonic_now();
	ring->span = FIRST_SPAN;
	while (ring->stamp.instance == 0)
		if (!pg_strong_random(&ring->stamp.instance, sizeof(ring->stamp.instance)))
			ereport(FATAL,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random number")));
}

const RecoShmemArea reco_ring_area = {
	.name = "reco_ring",.size = sizeof(RecoRing),.address = (void **) &ring,
	.init = ring_init,.has_lock = true
};

static void
add_pending(const RecoKey *key)
{
	Assert(IsTransactionState());
	if (pending_everything)
		return;
	if (pending_count == MAX_TRANSACTION_KEYS)
	{
		pending_everything = true;
		return;
	}
	if (pending_count == pending_size)
	{
		int			size = pending_size ? pending_size * 2 : 256;

		if (pending == NULL)
			pending = MemoryContextAlloc(TopTransactionContext, size * sizeof(RecoKey));
		else
			pending = repalloc(pending, size * sizeof(RecoKey));
		pending_size = size;
	}
	pending[pending_count++] = *key;
}

void
reco_ring_add_user(int64 user_id, ItemPointer place)
{
	RecoKey		key = {user_id, *place, false};

	add_pending(&key);
}

void
reco_ring_add_window(TimestampTz window_start, ItemPointer place)
{
	RecoKey		key = {window_start, *place, true};

	add_pending(&key);
}

void
reco_ring_add_everything(void)
{
	pending_everything = true;
}

/* Note when the keys come that are put in next; under the ring's lock. */
static void
mark_time(void)
{
	RecoMoment	now = reco_monotonic_now();
	int			kept = 0;

	if (ring->head == ring->tail)
	{
		ring->nmarks = 0;
		ring->span = FIRST_SPAN;
	}
	if (ring->nmarks > 0 && now - ring->marks[ring->nmarks - 1].at < ring->span * 1000)
		return;
	if (ring->nmarks == MARKS)
	{
		for (int i = 0; i < MARKS; i += 2)
			ring->marks[kept++] = ring->marks[i];
		ring->nmarks = kept;
		ring->span *= 2;
	}
	ring->marks[ring->nmarks++] = (Mark) {ring->head, now};
}

/* Marks of keys that have been published go, all but the last before the tail. */
static void
drop_marks(void)
{
	int			gone = 0;

	while (gone + 1 < ring->nmarks && ring->marks[gone + 1].head <= ring->tail)
		gone++;
	if (gone == 0)
		return;
	ring->nmarks -= gone;
	memmove(ring->marks, ring->marks + gone, ring->nmarks * sizeof(Mark));
}

/* Everything is to be sent; under the ring's lock. */
static void
ask_for_everything(void)
{
	ring->publish_all = true;
	if (ring->incomplete_since == 0)
		ring->incomplete_since = reco_monotonic_now();
}

/* Put the transaction's keys into the ring; must not fail. */
static void
push_pending(void)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	if (pending_everything ||
		ring->head - ring->tail + pending_count > RING_SIZE)
		ask_for_everything();
	if (!ring->publish_all)
	{
		mark_time();
		for (int i = 0; i < pending_count; i++)
			ring->keys[(ring->head + i) % RING_SIZE] = pending[i];
		ring->head += pending_count;
	}
	LWLockRelease(ring->lock);
	reco_status_wake(RECO_PUBLISH);
}

static void
ring_commit(void)
{
	if ((pending_count > 0 || pending_everything) && reco_service_serves_database())
		push_pending();
}

/* The array goes with the transaction's memory. */
static void
ring_reset_xact(void)
{
	pending = NULL;
	pending_count = pending_size = 0;
	pending_everything = false;
}

const RecoXactModule reco_ring_xact = {.commit = ring_commit,.reset = ring_reset_xact};

/* The oldest keys, which stay until reco_ring_advance. */
int
reco_ring_peek(RecoKey *keys, int max)
{
	int			count;

	LWLockAcquire(ring->lock, LW_SHARED);
	count = Min(max, (int64) (ring->head - ring->tail));
	for (int i = 0; i < count; i++)
		keys[i] = ring->keys[(ring->tail + i) % RING_SIZE];
	LWLockRelease(ring->lock);
	return count;
}

/* The n oldest keys have been published. */
void
reco_ring_advance(int n)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->tail = Min(ring->tail + n, ring->head);
	drop_marks();
	LWLockRelease(ring->lock);
}

int64
reco_ring_length(void)
{
	int64		length;

	LWLockAcquire(ring->lock, LW_SHARED);
	length = ring->head - ring->tail;
	LWLockRelease(ring->lock);
	return length;
}

/* What Redis holds is not to be trusted. */
void
reco_ring_request_publish_all(void)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ask_for_everything();
	LWLockRelease(ring->lock);
	reco_status_wake(RECO_PUBLISH);
}

bool
reco_ring_publish_all_requested(void)
{
	bool		requested;

	LWLockAcquire(ring->lock, LW_SHARED);
	requested = ring->publish_all;
	LWLockRelease(ring->lock);
	return requested;
}

/*
 * The publisher reads everything from now on: what was in the ring is part
 * of it, what commits later goes into the ring again.
 */
void
reco_ring_begin_publish_all(void)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->publish_all = false;
	memset(&ring->resync, 0, sizeof(ring->resync));
	ring->complete = false;
	ring->tail = ring->head;
	ring->nmarks = 0;
	if (ring->incomplete_since == 0)
		ring->incomplete_since = reco_monotonic_now();
	LWLockRelease(ring->lock);
}

/* Everything has been sent. */
void
reco_ring_end_publish_all(void)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->complete = true;
	if (!ring->publish_all)
		ring->incomplete_since = 0;
	LWLockRelease(ring->lock);
}

/* Was everything sent once, so that the ring's keys are all that is missing? */
bool
reco_ring_is_complete(void)
{
	bool		complete;

	LWLockAcquire(ring->lock, LW_SHARED);
	complete = ring->complete && !ring->publish_all;
	LWLockRelease(ring->lock);
	return complete;
}

RecoResync
reco_ring_resync(void)
{
	RecoResync	resync;

	LWLockAcquire(ring->lock, LW_SHARED);
	resync = ring->resync;
	LWLockRelease(ring->lock);
	return resync;
}

void
reco_ring_set_resync(RecoResync resync)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->resync = resync;
	LWLockRelease(ring->lock);
}

/*
 * The workers serve the state of which this is the identity.  If it is another
 * one than before, what Redis holds is not its own: everything is to be
 * published, and true is returned.
 */
bool
reco_ring_serve(uint64 state)
{
	bool		is_other;

	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	is_other = ring->state != state;
	ring->state = state;
	if (is_other)
	{
		ring->publish_all = true;
		if (ring->incomplete_since == 0)
			ring->incomplete_since = reco_monotonic_now();
	}
	LWLockRelease(ring->lock);
	return is_other;
}

RecoStamp
reco_ring_stamp(void)
{
	RecoStamp	stamp;

	LWLockAcquire(ring->lock, LW_SHARED);
	stamp = ring->stamp;
	LWLockRelease(ring->lock);
	return stamp;
}

void
reco_ring_set_stamp(const RecoStamp *stamp)
{
	LWLockAcquire(ring->lock, LW_EXCLUSIVE);
	ring->stamp = *stamp;
	LWLockRelease(ring->lock);
}

/*
 * What Redis lacks.  Without the lock: who holds it may have been stopped,
 * and each of the values is right by itself at some moment of the call.
 */
RecoBacklog
reco_ring_backlog(void)
{
	volatile RecoRing *now = ring;
	RecoBacklog backlog = {0};
	uint64		tail = now->tail;
	uint64		head = now->head;

	backlog.since = now->incomplete_since;
	backlog.keys = backlog.since != 0 ? -1 : (int64) (head - Min(tail, head));
	if (backlog.since == 0 && backlog.keys > 0)
		backlog.since = now->nmarks > 0 ? now->marks[0].at : reco_monotonic_now();
	return backlog;
}

/* Where the keys that commit next will stand. */
uint64
reco_ring_position(void)
{
	uint64		head;

	LWLockAcquire(ring->lock, LW_SHARED);
	head = ring->head;
	LWLockRelease(ring->lock);
	return head;
}

/* Is all that stood before a position in Redis? */
bool
reco_ring_has_published(uint64 position)
{
	bool		published;

	LWLockAcquire(ring->lock, LW_SHARED);
	published = ring->complete && !ring->publish_all && ring->tail >= position;
	LWLockRelease(ring->lock);
	return published;
}
