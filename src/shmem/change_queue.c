/*-------------------------------------------------------------------------
 *
 * change_queue.c
 *	  Keys of committed changes, for two readers.
 *
 * A transaction remembers its keys in its own memory; after its commit, when
 * every new snapshot sees its rows, and before its locks are released, they go
 * into a queue in shared memory.  The publisher peeks, reads the rows anew, sends them, and only then moves
 * the tail on: a key is never lost between the two.  Whenever the queue cannot
 * tell what changed (it is full, the server has just started), everything is
 * to be published instead.
 *
 * The prescan (invalidation_prescan.c) looks through the users' rows without
 * reco's lock, and reads here which of them were written meanwhile.  It needs
 * those too whose list did not change, which are put in while it watches.
 *
 * One LWLock guards the queue and is held for copying keys only.  A key of a
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
#define QUEUE_SIZE (1024 * 1024)

/* A transaction with more keys than this asks for everything. */
#define MAX_TRANSACTION_KEYS (QUEUE_SIZE / 2)

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

typedef struct RecoChangeQueue
{
	LWLock	   *lock;
	uint64		head;			/* keys ever put in */
	uint64		tail;			/* keys ever published */
	bool		publish_all;	/* everything is to be sent */
	bool		complete;		/* everything was sent once, but for the queue's keys */
	RecoMoment	incomplete_since;	/* when everything was asked for; 0: it is not */
	bool		watched;		/* users whose list did not change are wanted, too */
	bool		watch_lost;		/* not all were put in */
	uint64		state;			/* whose keys these are, see reco_queue_serve() */
	RecoResync	resync;
	RecoStamp	stamp;
	int			nmarks;
	int64		span;			/* ms */
	Mark		marks[MARKS];	/* of the keys from the tail on, oldest first */
	RecoKey		keys[QUEUE_SIZE];
} RecoChangeQueue;

static RecoChangeQueue *queue = NULL;

/* Of the present transaction; the array lives in TopTransactionContext. */
static RecoKey *pending = NULL;
static int	pending_count = 0;
static int	pending_size = 0;
static bool pending_everything = false;

static void
queue_init(LWLock *lock)
{
	queue->lock = lock;
	queue->publish_all = true;
	queue->incomplete_since = reco_monotonic_now();
	queue->span = FIRST_SPAN;
	while (queue->stamp.instance == 0)
		if (!pg_strong_random(&queue->stamp.instance, sizeof(queue->stamp.instance)))
			ereport(FATAL,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random number")));
}

const RecoShmemArea reco_change_queue_area = {
	.name = "reco_change_queue",.size = sizeof(RecoChangeQueue),.address = (void **) &queue,
	.init = queue_init,.has_lock = true
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

/*
 * The user's row was written; send: so that the publisher has to send it.  Whether
 * somebody watches changes under reco's lock only, which the caller holds.
 */
void
reco_queue_add_user(int64 user_id, ItemPointer tid, bool send)
{
	RecoKey		key = {.id = user_id,.tid = *tid,.send = send};

	if (send || queue->watched)
		add_pending(&key);
}

void
reco_queue_add_window(TimestampTz window_start, ItemPointer tid)
{
	RecoKey		key = {.id = window_start,.tid = *tid,.window = true,.send = true};

	add_pending(&key);
}

void
reco_queue_add_everything(void)
{
	pending_everything = true;
}

/* Note when the keys come that are put in next; under the queue's lock. */
static void
mark_time(void)
{
	RecoMoment	now = reco_monotonic_now();
	int			kept = 0;

	if (queue->head == queue->tail)
	{
		queue->nmarks = 0;
		queue->span = FIRST_SPAN;
	}
	if (queue->nmarks > 0 && now - queue->marks[queue->nmarks - 1].at < queue->span * 1000)
		return;
	if (queue->nmarks == MARKS)
	{
		for (int i = 0; i < MARKS; i += 2)
			queue->marks[kept++] = queue->marks[i];
		queue->nmarks = kept;
		queue->span *= 2;
	}
	queue->marks[queue->nmarks++] = (Mark) {queue->head, now};
}

/* Marks of keys that have been published go, all but the last before the tail. */
static void
drop_marks(void)
{
	int			gone = 0;

	while (gone + 1 < queue->nmarks && queue->marks[gone + 1].head <= queue->tail)
		gone++;
	if (gone == 0)
		return;
	queue->nmarks -= gone;
	memmove(queue->marks, queue->marks + gone, queue->nmarks * sizeof(Mark));
}

/* Everything is to be sent; under the queue's lock. */
static void
ask_for_everything(void)
{
	queue->publish_all = true;
	if (queue->incomplete_since == 0)
		queue->incomplete_since = reco_monotonic_now();
}

/* Everything will be sent, and with it what the queue holds; under the queue's lock. */
static void
skip_to_head(void)
{
	queue->tail = queue->head;
	queue->nmarks = 0;
}

/* Put the transaction's keys into the queue; must not fail. */
static void
push_pending(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	if (pending_everything ||
		queue->head - queue->tail + pending_count > QUEUE_SIZE)
		ask_for_everything();
	queue->watch_lost |= pending_everything;
	if (!queue->publish_all)
		mark_time();
	for (int i = 0; i < pending_count; i++)
		queue->keys[(queue->head + i) % QUEUE_SIZE] = pending[i];
	queue->head += pending_count;
	if (queue->publish_all)
		skip_to_head();
	LWLockRelease(queue->lock);
	reco_status_wake(RECO_PUBLISH);
}

static void
queue_commit(void)
{
	if ((pending_count > 0 || pending_everything) && reco_service_serves_database())
		push_pending();
}

/* The array goes with the transaction's memory. */
static void
queue_reset_xact(void)
{
	pending = NULL;
	pending_count = pending_size = 0;
	pending_everything = false;
}

const RecoXactModule reco_change_queue_xact = {.commit = queue_commit,.reset = queue_reset_xact};

/* The oldest keys, which stay until reco_queue_advance. */
int
reco_queue_peek(RecoKey *keys, int max)
{
	int			count;

	LWLockAcquire(queue->lock, LW_SHARED);
	count = Min(max, (int64) (queue->head - queue->tail));
	for (int i = 0; i < count; i++)
		keys[i] = queue->keys[(queue->tail + i) % QUEUE_SIZE];
	LWLockRelease(queue->lock);
	return count;
}

/* The n oldest keys have been published. */
void
reco_queue_advance(int n)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->tail = Min(queue->tail + n, queue->head);
	drop_marks();
	LWLockRelease(queue->lock);
}

int64
reco_queue_length(void)
{
	int64		length;

	LWLockAcquire(queue->lock, LW_SHARED);
	length = queue->head - queue->tail;
	LWLockRelease(queue->lock);
	return length;
}

/* What Redis holds is not to be trusted. */
void
reco_queue_request_publish_all(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	ask_for_everything();
	LWLockRelease(queue->lock);
	reco_status_wake(RECO_PUBLISH);
}

bool
reco_queue_publish_all_requested(void)
{
	bool		requested;

	LWLockAcquire(queue->lock, LW_SHARED);
	requested = queue->publish_all;
	LWLockRelease(queue->lock);
	return requested;
}

/*
 * The publisher reads everything from now on: what was in the queue is part
 * of it, what commits later goes into the queue again.
 */
void
reco_queue_begin_publish_all(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->publish_all = false;
	memset(&queue->resync, 0, sizeof(queue->resync));
	queue->complete = false;
	skip_to_head();
	if (queue->incomplete_since == 0)
		queue->incomplete_since = reco_monotonic_now();
	LWLockRelease(queue->lock);
}

/* Everything has been sent. */
void
reco_queue_end_publish_all(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->complete = true;
	if (!queue->publish_all)
		queue->incomplete_since = 0;
	LWLockRelease(queue->lock);
}

/* Was everything sent once, so that the queue's keys are all that is missing? */
bool
reco_queue_is_complete(void)
{
	bool		complete;

	LWLockAcquire(queue->lock, LW_SHARED);
	complete = queue->complete && !queue->publish_all;
	LWLockRelease(queue->lock);
	return complete;
}

RecoResync
reco_queue_resync(void)
{
	RecoResync	resync;

	LWLockAcquire(queue->lock, LW_SHARED);
	resync = queue->resync;
	LWLockRelease(queue->lock);
	return resync;
}

void
reco_queue_set_resync(RecoResync resync)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->resync = resync;
	LWLockRelease(queue->lock);
}

/*
 * The workers serve the state of which this is the identity.  If it is another
 * one than before, what Redis holds is not its own: everything is to be
 * published, and true is returned.
 */
bool
reco_queue_serve(uint64 state)
{
	bool		is_other;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	is_other = queue->state != state;
	queue->state = state;
	if (is_other)
	{
		queue->publish_all = true;
		if (queue->incomplete_since == 0)
			queue->incomplete_since = reco_monotonic_now();
	}
	LWLockRelease(queue->lock);
	return is_other;
}

RecoStamp
reco_queue_stamp(void)
{
	RecoStamp	stamp;

	LWLockAcquire(queue->lock, LW_SHARED);
	stamp = queue->stamp;
	LWLockRelease(queue->lock);
	return stamp;
}

void
reco_queue_set_stamp(const RecoStamp *stamp)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->stamp = *stamp;
	LWLockRelease(queue->lock);
}

/*
 * What Redis lacks.  Without the lock: who holds it may have been stopped,
 * and each of the values is right by itself at some moment of the call.
 */
RecoBacklog
reco_queue_backlog(void)
{
	volatile RecoChangeQueue *now = queue;
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
reco_queue_position(void)
{
	uint64		head;

	LWLockAcquire(queue->lock, LW_SHARED);
	head = queue->head;
	LWLockRelease(queue->lock);
	return head;
}

/* Is all that stood before a position in Redis? */
bool
reco_queue_has_published(uint64 position)
{
	bool		published;

	LWLockAcquire(queue->lock, LW_SHARED);
	published = queue->complete && !queue->publish_all && queue->tail >= position;
	LWLockRelease(queue->lock);
	return published;
}

/*
 * From now on all users whose rows are written are put in; under reco's lock,
 * so that what was written before stands before the position returned.
 */
uint64
reco_queue_watch(void)
{
	uint64		position;

	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->watched = true;
	queue->watch_lost = false;
	position = queue->head;
	LWLockRelease(queue->lock);
	return position;
}

/*
 * The users whose rows were written since a position, some of them several
 * times; ends the watch.  Under reco's lock, so that nobody is about to put
 * more in.  Returns how many, palloc'd; -1: more than max, or they are lost.
 */
int
reco_queue_unwatch(uint64 position, RecoKey **users, int max)
{
	int64		length;
	int			count = -1;

	*users = palloc(max * sizeof(RecoKey));
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->watched = false;
	length = queue->head - position;
	if (length <= max && !queue->watch_lost)
	{
		count = 0;
		for (uint64 at = position; at < queue->head; at++)
			if (!queue->keys[at % QUEUE_SIZE].window)
				(*users)[count++] = queue->keys[at % QUEUE_SIZE];
	}
	LWLockRelease(queue->lock);
	return count;
}
