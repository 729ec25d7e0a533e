/*-------------------------------------------------------------------------
 *
 * worker_status.c
 *	  What reco's processes report: state, troubles, signs of life.
 *
 * Writers hold one LWLock, for a copy; readers never wait (versioned.h), since
 * the writer may have been stopped.  A timer shows that a worker's process runs
 * (alive), its rounds show that it makes progress; readers judge by the age of
 * these.
 *
 * A trouble is a condition that a DBA should know about: it has a beginning and
 * an end, each logged once, however often the worker tries again, even if each
 * attempt is a new process.  The last error is kept with its time, even when its
 * trouble is over.
 *
 * Texts are cleaned before they are stored.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/text_clean.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "shmem/shmem.h"
#include "shmem/versioned.h"
#include "shmem/worker_status.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

/* The least time between two warnings about one kind of trouble, in ms. */
#define WARN_INTERVAL 10000

typedef struct WorkerSlot
{
	pg_atomic_uint32 version;	/* of status */
	pg_atomic_uint64 alive;
	pg_atomic_uint64 round;
	RecoWorkerStatus status;
} WorkerSlot;

typedef struct Workers
{
	LWLock	   *lock;			/* protects all but the atomics */
	WorkerSlot	slots[RECO_WORKERS];
	Latch	   *latches[RECO_WORKERS + 1];	/* the last is the launcher's */
} Workers;

typedef struct TroubleKindInfo
{
	const char *over;			/* message for its end */
	bool		is_error;		/* shown as the last error */
} TroubleKindInfo;

static const TroubleKindInfo trouble_kinds[RECO_TROUBLES] = {
	[RECO_TROUBLE_KAFKA] = {"Kafka answers again", true},
	[RECO_TROUBLE_KAFKA_SETTINGS] = {"the settings of Kafka can be used", true},
	[RECO_TROUBLE_PARTITION] = {"all partitions can be read again", true},
	[RECO_TROUBLE_TRANSACTION] = {"no partition waits for a transaction any more", false},
	[RECO_TROUBLE_REDIS] = {"Redis answers again", true},
	[RECO_TROUBLE_PUBLISHER] = {"no other publisher writes to Redis any more", true},
	[RECO_TROUBLE_CATALOG] = {"the catalog is followed again", true},
	[RECO_TROUBLE_SUBSCRIPTION] = {"the subscriptions that feed the catalog run again", true},
	[RECO_TROUBLE_CLOCK] = {"the clock moves again", true},
	[RECO_TROUBLE_PARTITIONS] = {"the partitions of reco.activity are kept up again", true},
	[RECO_TROUBLE_REJECTING] = {"hardly any message is rejected or below retention any more", false},
	[RECO_TROUBLE_VERSION] = {"the extension has the library's version", true},
	[RECO_TROUBLE_ROLE] = {"the role can connect", true},
	[RECO_TROUBLE_OWNER] = {"reco's objects belong to the role that it runs as", true},
	[RECO_TROUBLE_WORKER] = {"the worker runs again", true},
	[RECO_TROUBLE_LAUNCH] = {"the worker has been started", true},
};

static const char *const worker_names[] = {"reco ingest", "reco follow", "reco publish"};

static Workers *workers = NULL;
static WorkerSlot *own_slot = NULL;	/* of this process, if it is a worker */

static void
status_init(LWLock *lock)
{
	workers->lock = lock;
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		WorkerSlot *slot = &workers->slots[i];

		pg_atomic_init_u32(&slot->version, 0);
		pg_atomic_init_u64(&slot->alive, 0);
		pg_atomic_init_u64(&slot->round, 0);
		slot->status.lag_messages = slot->status.lag_seconds = -1;
		slot->status.health = RECO_HEALTH_STARTING;
	}
}

const RecoShmemArea reco_status_area = {
	.name = "reco_workers",.size = sizeof(Workers),.address = (void **) &workers,
	.init = status_init,.has_lock = true
};

static RecoWorkerStatus *
status_begin_write(RecoWorkerId worker)
{
	LWLockAcquire(workers->lock, LW_EXCLUSIVE);
	reco_versioned_begin(&workers->slots[worker].version);
	return &workers->slots[worker].status;
}

static void
status_end_write(RecoWorkerId worker)
{
	reco_versioned_end(&workers->slots[worker].version);
	LWLockRelease(workers->lock);
}

/*
 * Make this process the worker; false if another one is.  RECO_LAUNCHER has a
 * latch only.
 */
bool
reco_status_attach(RecoWorkerId worker)
{
	RecoWorkerStatus *status;
	bool		free = true;

	LWLockAcquire(workers->lock, LW_EXCLUSIVE);
	if (worker < RECO_WORKERS)
		free = workers->slots[worker].status.pid == 0;
	if (free)
		workers->latches[worker] = MyLatch;
	LWLockRelease(workers->lock);
	if (!free || worker == RECO_LAUNCHER)
		return free;

	own_slot = &workers->slots[worker];
	reco_status_begin_round();
	status = status_begin_write(worker);
	status->pid = MyProcPid;
	status->started_at = GetCurrentTimestamp();
	status->peer = RECO_PEER_NONE;
	status->rate = 0;
	status_end_write(worker);
	return true;
}

/* Undo that, and wake the launcher. */
void
reco_status_detach(RecoWorkerId worker)
{
	RecoWorkerStatus *status;

	LWLockAcquire(workers->lock, LW_EXCLUSIVE);
	workers->latches[worker] = NULL;
	LWLockRelease(workers->lock);
	if (worker == RECO_LAUNCHER)
		return;

	own_slot = NULL;
	status = status_begin_write(worker);
	status->pid = 0;
	status->peer = RECO_PEER_NONE;
	status->ended = reco_monotonic_now();
	status_end_write(worker);
	reco_status_wake(RECO_LAUNCHER);
}

/* Set a worker's latch, if it runs. */
void
reco_status_wake(RecoWorkerId worker)
{
	LWLockAcquire(workers->lock, LW_SHARED);
	if (workers->latches[worker])
		SetLatch(workers->latches[worker]);
	LWLockRelease(workers->lock);
}

/* Note that the process runs. */
void
reco_status_alive(void)
{
	if (own_slot != NULL)
		pg_atomic_write_u64(&own_slot->alive, reco_monotonic_now());
}

/* Note progress: a round, or a part of a long one, begins. */
void
reco_status_begin_round(void)
{
	reco_status_alive();
	if (own_slot != NULL)
		pg_atomic_write_u64(&own_slot->round, reco_monotonic_now());
}

/* Set what the worker is doing, for reco_status(). */
void
reco_status_report(RecoWorkerId worker, RecoHealth health, const char *fmt,...)
{
	char		text[sizeof(own_slot->status.state)];
	char		clean[sizeof(text)];
	RecoWorkerStatus *status;
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	reco_text_copy(clean, text, sizeof(clean));

	status = status_begin_write(worker);
	status->health = health;
	strcpy(status->state, clean);
	status_end_write(worker);
}

/* From now on the worker depends on answers from a peer. */
void
reco_status_set_peer(RecoWorkerId worker, RecoPeer peer)
{
	RecoWorkerStatus *status;

	if (workers->slots[worker].status.peer == peer)
		return;
	status = status_begin_write(worker);
	status->peer = peer;
	status->expected = reco_monotonic_now();
	status_end_write(worker);
}

/* The peer last answered at that moment. */
void
reco_status_peer_answered(RecoWorkerId worker, RecoMoment at)
{
	status_begin_write(worker)->answered = at;
	status_end_write(worker);
}

/* Set how far the worker is behind; -1: unknown. */
void
reco_status_set_lag(RecoWorkerId worker, int64 messages, double seconds)
{
	RecoWorkerStatus *status = status_begin_write(worker);

	status->reported = reco_monotonic_now();
	status->lag_messages = messages;
	status->lag_seconds = seconds;
	status_end_write(worker);
}

/* Set the worker's throughput per second. */
void
reco_status_set_rate(RecoWorkerId worker, double rate)
{
	status_begin_write(worker)->rate = rate;
	status_end_write(worker);
}

/*
 * The worker exits because of an error, which may be counted already: its next
 * start is delayed longer.
 */
void
reco_status_failed(RecoWorkerId worker, bool counted)
{
	RecoWorkerStatus *status = status_begin_write(worker);

	status->failures++;
	status->errors += !counted;
	status_end_write(worker);
}

/* The worker has proved to work: reset the count of failures in a row. */
void
reco_status_healthy(RecoWorkerId worker)
{
	status_begin_write(worker)->failures = 0;
	status_end_write(worker);
}

/* Should it be logged?  What comes and goes must not flood the log. */
static bool
trouble_needs_warning(const RecoTrouble *trouble, RecoHealth health)
{
	if (trouble->logged)
		return health > trouble->health;	/* it got worse */
	return trouble->logged_at == 0 || reco_monotonic_since(trouble->logged_at) >= WARN_INTERVAL;
}

/* Store a trouble; returns whether to log it, and in *counted whether it is a new error. */
static bool
trouble_note(RecoWorkerStatus *status, RecoTroubleKind kind, RecoHealth health, const char *text,
			 bool *counted)
{
	RecoTrouble *trouble = &status->troubles[kind];
	bool		warn = trouble_needs_warning(trouble, health);

	*counted = trouble_kinds[kind].is_error && (!trouble->open || strcmp(trouble->text, text) != 0);
	if (!trouble->open)
	{
		trouble->begun = reco_monotonic_now();
		trouble->since = GetCurrentTimestamp();
	}
	trouble->open = true;
	trouble->health = health;
	strcpy(trouble->text, text);
	if (trouble_kinds[kind].is_error)
	{
		status->errors += *counted;
		strcpy(status->error, text);
		status->error_at = GetCurrentTimestamp();
		status->error_kind = kind;
	}
	if (warn)
	{
		trouble->logged = true;
		trouble->logged_at = reco_monotonic_now();
	}
	return warn;
}

/* See the header. */
bool
reco_trouble_begin(RecoWorkerId worker, RecoTroubleKind kind, RecoHealth health,
				   const char *hint, const char *fmt,...)
{
	char		text[sizeof(own_slot->status.error)];
	char		clean[sizeof(text)];
	va_list		args;
	size_t		length;
	bool		counted;
	bool		warn;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	length = strlen(text);
	if (hint != NULL)
		snprintf(text + length, sizeof(text) - length, "; hint: %s", hint);
	reco_text_copy(clean, text, sizeof(clean));

	warn = trouble_note(status_begin_write(worker), kind, health, clean, &counted);
	status_end_write(worker);
	if (warn)
		ereport(WARNING, (errmsg("%s: %s", worker_names[worker], clean)));
	return counted;
}

/* Close a trouble; if its beginning was logged, its end is, with this message. */
static void
trouble_close(RecoWorkerId worker, RecoTroubleKind kind, const char *over)
{
	RecoTrouble *trouble;
	bool		log;
	double		seconds;

	/* nobody else opens it, so this needs no lock */
	if (!workers->slots[worker].status.troubles[kind].open)
		return;
	trouble = &status_begin_write(worker)->troubles[kind];
	log = trouble->logged;
	seconds = (reco_monotonic_now() - trouble->begun) / 1e6;
	trouble->open = trouble->logged = false;
	status_end_write(worker);
	if (log)
		ereport(LOG,
				(errmsg("%s: %s", worker_names[worker], over),
				 errdetail("The trouble lasted %.1f s.", seconds)));
}

void
reco_trouble_end(RecoWorkerId worker, RecoTroubleKind kind)
{
	trouble_close(worker, kind, trouble_kinds[kind].over);
}

void
reco_trouble_drop(RecoWorkerId worker, RecoTroubleKind kind)
{
	trouble_close(worker, kind, "the trouble is over with other settings");
}

/* A copy of a worker's status; never waits. */
RecoWorkerStatus
reco_status_read(RecoWorkerId worker)
{
	WorkerSlot *slot = &workers->slots[worker];
	RecoWorkerStatus copy;

	reco_versioned_read(&slot->version, &copy, &slot->status, sizeof(copy));
	copy.alive = pg_atomic_read_u64(&slot->alive);
	copy.round = pg_atomic_read_u64(&slot->round);
	copy.state[sizeof(copy.state) - 1] = copy.error[sizeof(copy.error) - 1] = '\0';
	return copy;
}
