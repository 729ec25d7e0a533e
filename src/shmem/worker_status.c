/*-------------------------------------------------------------------------
 *
 * worker_status.c
 *	  What reco's processes say of themselves: state, troubles, signs of life.
 *
 * Who writes holds one LWLock, for a copy; who reads waits for nobody
 * (versioned.h), since the writer may have been stopped.  A worker that runs
 * shows so by a timer (alive), one that gets on by its rounds; how old these
 * are is judged by who reads.
 *
 * A trouble is what a DBA wants to know of: it has a beginning and an end,
 * which the log has once each, however often the worker tries again, also
 * where each try is a new process.  The last error stays to be seen with its
 * time, and whether its trouble is over.
 *
 * Texts are cleaned before they are kept.
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

/* A trouble that comes back sooner is not warned of anew before this has passed, in ms. */
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
	LWLock	   *lock;			/* of all but the atomics */
	WorkerSlot	slots[RECO_WORKERS];
	Latch	   *latches[RECO_WORKERS + 1];	/* the last one: the launcher's */
} Workers;

typedef struct KindOfTrouble
{
	const char *over;			/* what the log says at its end */
	bool		is_error;		/* it is shown as the last error */
} KindOfTrouble;

static const KindOfTrouble kinds[RECO_TROUBLES] = {
	[RECO_TROUBLE_KAFKA] = {"Kafka answers again", true},
	[RECO_TROUBLE_KAFKA_SETTINGS] = {"the settings of Kafka can be used", true},
	[RECO_TROUBLE_PARTITION] = {"all partitions can be read again", true},
	[RECO_TROUBLE_TRANSACTION] = {"no partition waits for a transaction any more", false},
	[RECO_TROUBLE_REDIS] = {"Redis answers again", true},
	[RECO_TROUBLE_PUBLISHER] = {"no other publisher writes to Redis any more", true},
	[RECO_TROUBLE_CATALOG] = {"the catalog is followed again", true},
	[RECO_TROUBLE_SUBSCRIPTION] = {"the subscriptions that feed the catalog stand", true},
	[RECO_TROUBLE_CLOCK] = {"the clock moves again", true},
	[RECO_TROUBLE_PARTITIONS] = {"the partitions of reco.activity are kept up again", true},
	[RECO_TROUBLE_REJECTING] = {"hardly any message is rejected or late any more", false},
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
begin_write(RecoWorkerId worker)
{
	LWLockAcquire(workers->lock, LW_EXCLUSIVE);
	reco_versioned_begin(&workers->slots[worker].version);
	return &workers->slots[worker].status;
}

static void
end_write(RecoWorkerId worker)
{
	reco_versioned_end(&workers->slots[worker].version);
	LWLockRelease(workers->lock);
}

/*
 * This process is the worker from now on; false if another one is.
 * RECO_LAUNCHER has a latch only.
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
	status = begin_write(worker);
	status->pid = MyProcPid;
	status->started_at = GetCurrentTimestamp();
	status->peer = RECO_PEER_NONE;
	status->rate = 0;
	end_write(worker);
	return true;
}

/* It is no longer; and the launcher looks what to do. */
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
	status = begin_write(worker);
	status->pid = 0;
	status->peer = RECO_PEER_NONE;
	status->ended = reco_monotonic_now();
	end_write(worker);
	reco_status_wake(RECO_LAUNCHER);
}

/* Wake a worker from its wait, if it runs. */
void
reco_status_wake(RecoWorkerId worker)
{
	LWLockAcquire(workers->lock, LW_SHARED);
	if (workers->latches[worker])
		SetLatch(workers->latches[worker]);
	LWLockRelease(workers->lock);
}

/* The process runs. */
void
reco_status_alive(void)
{
	if (own_slot != NULL)
		pg_atomic_write_u64(&own_slot->alive, reco_monotonic_now());
}

/* The worker gets on: a round or a part of a long one begins. */
void
reco_status_begin_round(void)
{
	reco_status_alive();
	if (own_slot != NULL)
		pg_atomic_write_u64(&own_slot->round, reco_monotonic_now());
}

/* What the worker does at the moment, for reco_status(). */
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

	status = begin_write(worker);
	status->health = health;
	strcpy(status->state, clean);
	end_write(worker);
}

/* From now on the worker lives by the answers of a peer. */
void
reco_status_set_peer(RecoWorkerId worker, RecoPeer peer)
{
	RecoWorkerStatus *status;

	if (workers->slots[worker].status.peer == peer)
		return;
	status = begin_write(worker);
	status->peer = peer;
	status->expected = reco_monotonic_now();
	end_write(worker);
}

/* The peer answered, last at that moment. */
void
reco_status_peer_answered(RecoWorkerId worker, RecoMoment at)
{
	begin_write(worker)->answered = at;
	end_write(worker);
}

/* How far the worker is behind; -1: not known. */
void
reco_status_set_lag(RecoWorkerId worker, int64 messages, double seconds)
{
	RecoWorkerStatus *status = begin_write(worker);

	status->reported = reco_monotonic_now();
	status->lag_messages = messages;
	status->lag_seconds = seconds;
	end_write(worker);
}

/* How much of its work the worker does a second. */
void
reco_status_set_rate(RecoWorkerId worker, double rate)
{
	begin_write(worker)->rate = rate;
	end_write(worker);
}

/*
 * The worker ends because of an error, which may be counted already: its
 * next start waits longer.
 */
void
reco_status_failed(RecoWorkerId worker, bool counted)
{
	RecoWorkerStatus *status = begin_write(worker);

	status->failures++;
	status->errors += !counted;
	end_write(worker);
}

/* The worker has proved to work: forget how often it failed in a row. */
void
reco_status_healthy(RecoWorkerId worker)
{
	begin_write(worker)->failures = 0;
	end_write(worker);
}

/* Is the log to have a line?  What comes and goes must not fill it. */
static bool
is_worth_a_warning(const RecoTrouble *trouble, RecoHealth health)
{
	if (trouble->logged)
		return health > trouble->health;	/* it got worse: refused, not only away */
	return trouble->logged_at == 0 || reco_monotonic_since(trouble->logged_at) >= WARN_INTERVAL;
}

/* Note the trouble; returns whether it is to be logged, and in *counted whether as another error. */
static bool
note_trouble(RecoWorkerStatus *status, RecoTroubleKind kind, RecoHealth health, const char *text,
			 bool *counted)
{
	RecoTrouble *trouble = &status->troubles[kind];
	bool		warn = is_worth_a_warning(trouble, health);

	*counted = kinds[kind].is_error && (!trouble->open || strcmp(trouble->text, text) != 0);
	if (!trouble->open)
	{
		trouble->begun = reco_monotonic_now();
		trouble->since = GetCurrentTimestamp();
	}
	trouble->open = true;
	trouble->health = health;
	strcpy(trouble->text, text);
	if (kinds[kind].is_error)
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

/* See the header; returns whether it counts as another error. */
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

	warn = note_trouble(begin_write(worker), kind, health, clean, &counted);
	end_write(worker);
	if (warn)
		ereport(WARNING, (errmsg("%s: %s", worker_names[worker], clean)));
	return counted;
}

/* Close it; the log, if it has the beginning, gets the end in these words. */
static void
close_trouble(RecoWorkerId worker, RecoTroubleKind kind, const char *over)
{
	RecoTrouble *trouble;
	bool		log;
	double		seconds;

	/* nobody else opens it: no need of the lock to see that there is none */
	if (!workers->slots[worker].status.troubles[kind].open)
		return;
	trouble = &begin_write(worker)->troubles[kind];
	log = trouble->logged;
	seconds = (reco_monotonic_now() - trouble->begun) / 1e6;
	trouble->open = trouble->logged = false;
	end_write(worker);
	if (log)
		ereport(LOG,
				(errmsg("%s: %s", worker_names[worker], over),
				 errdetail("The trouble lasted %.1f s.", seconds)));
}

void
reco_trouble_end(RecoWorkerId worker, RecoTroubleKind kind)
{
	close_trouble(worker, kind, kinds[kind].over);
}

void
reco_trouble_drop(RecoWorkerId worker, RecoTroubleKind kind)
{
	close_trouble(worker, kind, "the trouble is over with other settings");
}

/* A copy of what the worker says of itself; waits for nobody. */
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
