/*-------------------------------------------------------------------------
 *
 * change_queue.c
 *	  Keys of committed changes, for two readers.
 *
 * A transaction collects its keys in local memory.  When it has committed, so
 * that every new snapshot sees its rows, and before its locks are released,
 * they are moved to a queue in shared memory.
 *
 * The publisher peeks at the keys, reads the rows as they are then, sends
 * them, and only then advances the tail, so no key is ever lost in between.
 * Whenever the queue cannot tell what has changed (it is full, or the server
 * has just started), everything is published instead.
 *
 * The prescan (invalidation_prescan.c) scans the users' rows without reco's
 * lock, and learns here which of them have been written meanwhile.  It also
 * needs those whose list has not changed, which are queued only while it
 * watches.
 *
 * One LWLock protects the queue; it is held only for copying keys.  A key of
 * a rolled back savepoint may remain: publishing an unchanged row is
 * harmless.
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

/* A power of two; in 16 MB there is room for the changes of 10 s at 100k events/s. */
#define QUEUE_SIZE (1024 * 1024)

/* A transaction with more keys than this requests that everything is published. */
#define MAX_TRANSACTION_KEYS (QUEUE_SIZE / 2)

/*
 * The times at which keys were queued: one mark for the first key of each span
 * of time.  When all marks are used, every second one is removed, and spans
 * are twice as long from then on.
 */
#define MARKS 256
#define FIRST_SPAN 50			/* ms */

typedef struct Mark
{
	uint64		head;			/* position of the first key queued at that time */
	RecoMoment	at;				/* when it was queued */
} Mark;

typedef struct RecoChangeQueue
{
	LWLock	   *lock;
	uint64		head;			/* number of keys ever queued */
	uint64		tail;			/* number of keys ever published */
	bool		publish_all;	/* everything must be published */
	bool		complete;		/* everything has been published once, except for the keys in the queue */
	RecoMoment	incomplete_since;	/* when that was requested; 0: it was not */
	bool		watched;		/* users whose list has not changed are queued, too */
	bool		watch_lost;		/* not all of them were queued */
	uint64		state;			/* identifies whose keys these are, see reco_queue_serve() */
	RecoResync	resync;
	RecoStamp	stamp;
	int			nmarks;
	int64		span;			/* ms */
	Mark		marks[MARKS];	/* for the keys from the tail on, oldest first */
	RecoKey		keys[QUEUE_SIZE];
} RecoChangeQueue;

static RecoChangeQueue *queue = NULL;

/* Of the current transaction; the array is in TopTransactionContext. */
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
queue_add_pending(const RecoKey *key)
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
 * Add a user whose row has been written; send: the publisher has to send it.
 * Whether a prescan watches can change only under reco's lock, which the
 * caller holds.
 */
void
reco_queue_add_user(int64 user_id, ItemPointer tid, bool send)
{
	RecoKey		key = {.id = user_id,.tid = *tid,.send = send};

	if (send || queue->watched)
		queue_add_pending(&key);
}

void
reco_queue_add_window(TimestampTz window_start, ItemPointer tid)
{
	RecoKey		key = {.id = window_start,.tid = *tid,.window = true,.send = true};

	queue_add_pending(&key);
}

void
reco_queue_add_everything(void)
{
	pending_everything = true;
}

/* Record the time of the keys that are queued next; under the queue's lock. */
static void
queue_mark_time(void)
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

/*
 * Remove marks of published keys, except the last one before the tail; under
 * the queue's lock.
 */
static void
queue_drop_marks(void)
{
	int			gone = 0;

	while (gone + 1 < queue->nmarks && queue->marks[gone + 1].head <= queue->tail)
		gone++;
	if (gone == 0)
		return;
	queue->nmarks -= gone;
	memmove(queue->marks, queue->marks + gone, queue->nmarks * sizeof(Mark));
}

/* Request that everything is published; under the queue's lock. */
static void
queue_request_everything(void)
{
	queue->publish_all = true;
	if (queue->incomplete_since == 0)
		queue->incomplete_since = reco_monotonic_now();
}

/* Empty the queue, since everything will be published; under the queue's lock. */
static void
queue_skip_to_head(void)
{
	queue->tail = queue->head;
	queue->nmarks = 0;
}

/* Move the transaction's keys into the queue; must not fail. */
static void
queue_push_pending(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	if (pending_everything ||
		queue->head - queue->tail + pending_count > QUEUE_SIZE)
		queue_request_everything();
	queue->watch_lost |= pending_everything;
	if (!queue->publish_all)
		queue_mark_time();
	for (int i = 0; i < pending_count; i++)
		queue->keys[(queue->head + i) % QUEUE_SIZE] = pending[i];
	queue->head += pending_count;
	if (queue->publish_all)
		queue_skip_to_head();
	LWLockRelease(queue->lock);
	reco_status_wake(RECO_PUBLISH);
}

static void
queue_commit(void)
{
	if ((pending_count > 0 || pending_everything) && reco_service_serves_database())
		queue_push_pending();
}

/* The array is freed with the transaction's memory. */
static void
queue_reset_xact(void)
{
	pending = NULL;
	pending_count = pending_size = 0;
	pending_everything = false;
}

const RecoXactModule reco_change_queue_xact = {.commit = queue_commit,.reset = queue_reset_xact};

/* Copy the oldest keys, which remain until reco_queue_advance(). */
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

/* Remove the n oldest keys, which have been published. */
void
reco_queue_advance(int n)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->tail = Min(queue->tail + n, queue->head);
	queue_drop_marks();
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

/* Request that everything is published, since the contents of Redis cannot be trusted. */
void
reco_queue_request_publish_all(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue_request_everything();
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
 * The publisher begins to read everything.  That includes whatever was in the
 * queue; changes that commit from now on are queued again.
 */
void
reco_queue_begin_publish_all(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->publish_all = false;
	memset(&queue->resync, 0, sizeof(queue->resync));
	queue->complete = false;
	queue_skip_to_head();
	if (queue->incomplete_since == 0)
		queue->incomplete_since = reco_monotonic_now();
	LWLockRelease(queue->lock);
}

/* Everything has been published. */
void
reco_queue_end_publish_all(void)
{
	LWLockAcquire(queue->lock, LW_EXCLUSIVE);
	queue->complete = true;
	if (!queue->publish_all)
		queue->incomplete_since = 0;
	LWLockRelease(queue->lock);
}

/* Has everything been published once, so that only the keys in the queue are missing? */
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
 * Set the state that the workers serve, by its identity.  If it differs from
 * the one before, Redis contains another state: everything must be published,
 * and true is returned.
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
 * What has not been published yet.  Takes no lock, whose holder may have been
 * stopped; each value is correct by itself at some time during the call.
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

/* The position of the keys that will be queued next. */
uint64
reco_queue_position(void)
{
	uint64		head;

	LWLockAcquire(queue->lock, LW_SHARED);
	head = queue->head;
	LWLockRelease(queue->lock);
	return head;
}

/* Has everything before a position been published? */
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
 * From now on, queue all users whose rows are written.  Called under reco's
 * lock, so that what was written before is before the position returned.
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
 * End the watch, and copy the users whose rows have been written since a
 * position, some of them several times.  Called under reco's lock, so that
 * nobody is about to queue more.  Returns how many, palloc'd; -1: more than
 * max, or some are lost.
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
