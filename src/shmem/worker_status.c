/*-------------------------------------------------------------------------
 *
 * worker_status.c
 *	  What reco's processes know of each other: states, flags, latches.
 *
 * Flags are atomics: any process changes them without a lock.
 * The workers' texts are guarded by one LWLock, held for a copy only.  All
 * of it begins anew when the server starts, as the unlogged state does after
 * a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "shmem/written.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

typedef struct RecoShared
{
	LWLock	   *lock;			/* of workers, latches and progress */
	RecoWorkerStatus workers[RECO_WORKERS];
	Latch	   *latches[RECO_WORKERS + 1];	/* the last one: the launcher's */
	RecoProgress progress;
	pg_atomic_uint64 follow_position;
	pg_atomic_uint32 database;
	pg_atomic_uint32 forgotten; /* how often that was forgotten */
	pg_atomic_uint32 extensions;	/* CREATE EXTENSION so far */
	pg_atomic_uint32 mirror_ready;
	pg_atomic_uint32 replaying;
} RecoShared;

static RecoShared *shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(RecoShared)));
	RequestAddinShmemSpace(MAXALIGN(reco_ring_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(reco_counters_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(reco_written_shmem_size()));
	RequestNamedLWLockTranche("reco", 1);
	RequestNamedLWLockTranche("reco_ring", 1);
}

static void
shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("reco", sizeof(RecoShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(RecoShared));
		shared->lock = &GetNamedLWLockTranche("reco")->lock;
		pg_atomic_init_u64(&shared->follow_position, InvalidXLogRecPtr);
		pg_atomic_init_u32(&shared->database, InvalidOid);
		pg_atomic_init_u32(&shared->forgotten, 0);
		pg_atomic_init_u32(&shared->extensions, 0);
		pg_atomic_init_u32(&shared->mirror_ready, false);
		pg_atomic_init_u32(&shared->replaying, true);	/* until ingest knows better */
		for (int i = 0; i < RECO_WORKERS; i++)
			shared->workers[i].lag_messages = shared->workers[i].lag_seconds = -1;
	}
	reco_ring_shmem_startup();
	reco_counters_shmem_startup();
	reco_written_shmem_startup();
	LWLockRelease(AddinShmemInitLock);
}

/* Ask for shared memory; called from _PG_init. */
void
reco_shared_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/*
 * This process is the worker from now on; false if another one is.
 * RECO_LAUNCHER has a latch only.
 */
bool
reco_shared_attach(RecoWorkerId worker)
{
	bool		free = true;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (worker < RECO_WORKERS)
	{
		RecoWorkerStatus *status = &shared->workers[worker];

		free = status->pid == 0;
		if (free)
		{
			status->pid = MyProcPid;
			status->started_at = GetCurrentTimestamp();
			status->lag_messages = status->lag_seconds = -1;
			status->rate = 0;
		}
	}
	if (free)
		shared->latches[worker] = MyLatch;
	LWLockRelease(shared->lock);
	return free;
}

/* It is no longer; and the launcher looks what to do. */
void
reco_shared_detach(RecoWorkerId worker)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->latches[worker] = NULL;
	if (worker < RECO_WORKERS)
		shared->workers[worker].pid = 0;
	LWLockRelease(shared->lock);
	if (worker < RECO_WORKERS)
		reco_shared_wake(RECO_LAUNCHER);
}

/* Wake a worker from its wait, if it runs. */
void
reco_shared_wake(RecoWorkerId worker)
{
	LWLockAcquire(shared->lock, LW_SHARED);
	if (shared->latches[worker])
		SetLatch(shared->latches[worker]);
	LWLockRelease(shared->lock);
}

/* What the worker does at the moment, for reco_status(). */
void
reco_shared_state(RecoWorkerId worker, const char *fmt,...)
{
	char		text[sizeof(shared->workers[0].state)];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	strlcpy(shared->workers[worker].state, text, sizeof(text));
	LWLockRelease(shared->lock);
}

/* What went wrong last, and that it did so now. */
void
reco_shared_error(RecoWorkerId worker, const char *fmt,...)
{
	char		text[sizeof(shared->workers[0].error)];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	strlcpy(shared->workers[worker].error, text, sizeof(text));
	shared->workers[worker].failed_at = GetCurrentTimestamp();
	LWLockRelease(shared->lock);
}

/* How far the worker is behind; -1: not known. */
void
reco_shared_lag(RecoWorkerId worker, int64 messages, double seconds)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[worker].lag_messages = messages;
	shared->workers[worker].lag_seconds = seconds;
	LWLockRelease(shared->lock);
}

/* How much of its work the worker does a second. */
void
reco_shared_rate(RecoWorkerId worker, double rate)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[worker].rate = rate;
	LWLockRelease(shared->lock);
}

/* The worker ends because of an error: its next start waits longer. */
void
reco_shared_failed(RecoWorkerId worker, const char *message)
{
	reco_shared_error(worker, "%s", message);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[worker].failures++;
	LWLockRelease(shared->lock);
}

/* The worker has proved to work: forget how often it failed in a row. */
void
reco_shared_healthy(RecoWorkerId worker)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->workers[worker].failures = 0;
	LWLockRelease(shared->lock);
}

/* A copy of what the worker says of itself. */
RecoWorkerStatus
reco_shared_status(RecoWorkerId worker)
{
	RecoWorkerStatus copy;

	LWLockAcquire(shared->lock, LW_SHARED);
	copy = shared->workers[worker];
	LWLockRelease(shared->lock);
	return copy;
}

/* The mirror has been compared with the catalog: ingestion may begin. */
void
reco_shared_set_mirror_ready(bool ready)
{
	pg_atomic_write_u32(&shared->mirror_ready, ready);
	if (ready)
		reco_shared_wake(RECO_INGEST);
}

bool
reco_shared_is_mirror_ready(void)
{
	return pg_atomic_read_u32(&shared->mirror_ready) != 0;
}

/* The past is read from Kafka: lists are not fit to be published yet. */
void
reco_shared_set_replaying(bool replaying)
{
	pg_atomic_write_u32(&shared->replaying, replaying);
	if (!replaying)
		reco_shared_wake(RECO_PUBLISH);
}

bool
reco_shared_is_replaying(void)
{
	return pg_atomic_read_u32(&shared->replaying) != 0;
}

/* The WAL position up to which the catalog's changes are in the mirror. */
void
reco_shared_set_follow_position(XLogRecPtr position)
{
	pg_atomic_write_u64(&shared->follow_position, position);
}

XLogRecPtr
reco_shared_follow_position(void)
{
	return pg_atomic_read_u64(&shared->follow_position);
}

/* The database in which a worker found the extension; InvalidOid: none yet. */
void
reco_shared_set_database(Oid database)
{
	pg_atomic_write_u32(&shared->database, database);
}

/* The extension is not there: nothing is known of it any more. */
void
reco_shared_forget_database(void)
{
	reco_shared_set_database(InvalidOid);
	reco_shared_set_mirror_ready(false);
	reco_shared_set_replaying(true);
	pg_atomic_fetch_add_u32(&shared->forgotten, 1);
}

/* Differs when an extension that a worker has found is no longer there. */
uint32
reco_shared_forgotten(void)
{
	return pg_atomic_read_u32(&shared->forgotten);
}

Oid
reco_shared_database(void)
{
	return pg_atomic_read_u32(&shared->database);
}

/* Is this process in the database that the workers serve? */
bool
reco_shared_serves_database(void)
{
	return shared != NULL && reco_shared_database() == MyDatabaseId;
}

/* The extension has been created somewhere: the launcher looks at once. */
void
reco_shared_announce_extension(void)
{
	pg_atomic_fetch_add_u32(&shared->extensions, 1);
	reco_shared_wake(RECO_LAUNCHER);
}

uint32
reco_shared_extensions_announced(void)
{
	return pg_atomic_read_u32(&shared->extensions);
}

/* How far a long computation is; total = 0 ends it. */
void
reco_shared_set_progress(int64 done, int64 total)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (total == 0 || done == 0)
		shared->progress.started_at = GetCurrentTimestamp();
	shared->progress.done = done;
	shared->progress.total = total;
	LWLockRelease(shared->lock);
}

RecoProgress
reco_shared_progress(void)
{
	RecoProgress copy;

	LWLockAcquire(shared->lock, LW_SHARED);
	copy = shared->progress;
	LWLockRelease(shared->lock);
	return copy;
}
