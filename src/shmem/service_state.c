/*-------------------------------------------------------------------------
 *
 * service_state.c
 *	  State of the service as a whole: the database served, its progress.
 *
 * Flags and positions are atomics: any process changes them without a lock.
 * The copy of reco.state is written when a transaction that changed the row
 * commits, under reco's lock; with it reco_status() need not read the table,
 * which may be locked.  Readers never wait.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "shmem/service_state.h"
#include "shmem/shmem.h"
#include "shmem/versioned.h"
#include "shmem/worker_status.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

typedef struct RecoService
{
	LWLock	   *lock;			/* for writing progress and state */
	pg_atomic_uint64 follow_position;
	pg_atomic_uint64 reloaded_at;	/* TimestampTz; 0: never */
	pg_atomic_uint32 database;
	pg_atomic_uint32 extension; /* in that database */
	pg_atomic_uint32 forgotten; /* number of times that was forgotten */
	pg_atomic_uint32 extensions;	/* number of CREATE EXTENSIONs */
	pg_atomic_uint32 mirror_ready;
	pg_atomic_uint32 replaying;
	pg_atomic_uint32 version;	/* of what follows */
	RecoProgress progress;
	RecoState	state;
} RecoService;

static RecoService *service = NULL;

static void
service_init(LWLock *lock)
{
	service->lock = lock;
	pg_atomic_init_u64(&service->follow_position, InvalidXLogRecPtr);
	pg_atomic_init_u64(&service->reloaded_at, 0);
	pg_atomic_init_u32(&service->database, InvalidOid);
	pg_atomic_init_u32(&service->extension, InvalidOid);
	pg_atomic_init_u32(&service->forgotten, 0);
	pg_atomic_init_u32(&service->extensions, 0);
	pg_atomic_init_u32(&service->mirror_ready, false);
	pg_atomic_init_u32(&service->replaying, true);	/* until ingest knows better */
	pg_atomic_init_u32(&service->version, 0);
}

const RecoShmemArea reco_service_area = {
	.name = "reco_service",.size = sizeof(RecoService),.address = (void **) &service,
	.init = service_init,.has_lock = true
};

static void
service_begin_write(void)
{
	LWLockAcquire(service->lock, LW_EXCLUSIVE);
	reco_versioned_begin(&service->version);
}

static void
service_end_write(void)
{
	reco_versioned_end(&service->version);
	LWLockRelease(service->lock);
}

/* Has the mirror been compared with the catalog, so that ingestion may begin? */
void
reco_service_set_mirror_ready(bool ready)
{
	pg_atomic_write_u32(&service->mirror_ready, ready);
	if (ready)
		reco_status_wake(RECO_INGEST);
}

bool
reco_service_is_mirror_ready(void)
{
	return pg_atomic_read_u32(&service->mirror_ready) != 0;
}

/* Is the past being replayed from Kafka?  Lists are not published meanwhile. */
void
reco_service_set_replaying(bool replaying)
{
	pg_atomic_write_u32(&service->replaying, replaying);
	if (!replaying)
		reco_status_wake(RECO_PUBLISH);
}

bool
reco_service_is_replaying(void)
{
	return pg_atomic_read_u32(&service->replaying) != 0;
}

/* The WAL position up to which the catalog's changes are in the mirror. */
void
reco_service_set_follow_position(XLogRecPtr position)
{
	pg_atomic_write_u64(&service->follow_position, position);
}

XLogRecPtr
reco_service_follow_position(void)
{
	return pg_atomic_read_u64(&service->follow_position);
}

/* When the launcher last reloaded the settings. */
void
reco_service_set_reload_time(TimestampTz at)
{
	pg_atomic_write_u64(&service->reloaded_at, (uint64) at);
}

TimestampTz
reco_service_reload_time(void)
{
	return (TimestampTz) pg_atomic_read_u64(&service->reloaded_at);
}

/* The database in which a worker found the extension; InvalidOid: none yet. */
void
reco_service_set_database(Oid database, Oid extension)
{
	RecoState	unknown = {0};

	reco_service_set_state(&unknown);
	pg_atomic_write_u32(&service->extension, extension);
	pg_write_barrier();
	pg_atomic_write_u32(&service->database, database);
}

/* The extension does not exist: forget all about it. */
void
reco_service_forget_database(void)
{
	reco_service_set_database(InvalidOid, InvalidOid);
	reco_service_set_mirror_ready(false);
	reco_service_set_replaying(true);
	pg_atomic_fetch_add_u32(&service->forgotten, 1);
}

/* Changes when an extension that a worker had found is gone. */
uint32
reco_service_times_forgotten(void)
{
	return pg_atomic_read_u32(&service->forgotten);
}

Oid
reco_service_database(void)
{
	return pg_atomic_read_u32(&service->database);
}

/* The extension's OID in that database: reco's lock is on this object. */
Oid
reco_service_extension(void)
{
	return pg_atomic_read_u32(&service->extension);
}

/* Is this process in the database that the workers serve? */
bool
reco_service_serves_database(void)
{
	return service != NULL && reco_service_database() == MyDatabaseId;
}

/* The extension has been created somewhere: make the launcher check at once. */
void
reco_service_announce_extension(void)
{
	pg_atomic_fetch_add_u32(&service->extensions, 1);
	reco_status_wake(RECO_LAUNCHER);
}

uint32
reco_service_times_announced(void)
{
	return pg_atomic_read_u32(&service->extensions);
}

/* The progress of a long computation; total = 0 ends it. */
void
reco_service_set_progress(int64 done, int64 total)
{
	service_begin_write();
	if (total == 0 || done == 0)
		service->progress.started_at = GetCurrentTimestamp();
	service->progress.done = done;
	service->progress.total = total;
	service_end_write();
}

RecoProgress
reco_service_progress(void)
{
	RecoProgress copy;

	reco_versioned_read(&service->version, &copy, &service->progress, sizeof(copy));
	return copy;
}

/* The row of reco.state as it is being committed. */
void
reco_service_set_state(const RecoState *state)
{
	service_begin_write();
	service->state = *state;
	service_end_write();
}

RecoState
reco_service_state(void)
{
	RecoState	copy;

	reco_versioned_read(&service->version, &copy, &service->state, sizeof(copy));
	return copy;
}
