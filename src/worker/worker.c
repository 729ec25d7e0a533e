/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The main loop of a worker.
 *
 * Started by the launcher (launcher.c).  It connects to reco.database, exits
 * quietly if the extension does not exist or reco.enabled is off, and otherwise
 * calls its routine round after round.
 *
 * A routine's callbacks run outside any transaction, without reco's lock.  An
 * ERROR ends the process, and its exit releases whatever it held, including
 * slots and foreign handles.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/hashfn.h"
#include "common/monotonic.h"
#include "common/own_extension.h"
#include "common/spi.h"
#include "common/wait_event.h"
#include "common/xact.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "shmem/change_queue.h"
#include "shmem/metrics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/role.h"
#include "worker/settings.h"
#include "worker/worker.h"

/* The longest wait between two rounds, in ms. */
#define LONGEST_WAIT 2000

/* A worker that has run this long is healthy; in ms. */
#define HEALTHY_AGE 10000

/* How often a process shows that it runs, in ms. */
#define TICK_MS 1000

static emit_log_hook_type prev_emit_log_hook = NULL;
static bool failure_is_known = false;
static int	last_sqlstate = 0;
static char last_message[256] = "";

/* emit_log_hook: remember the last error, which may be the one that ends the process. */
static void
worker_note_last_error(ErrorData *error)
{
	if (error->elevel >= ERROR && error->message != NULL)
	{
		last_sqlstate = error->sqlerrcode;
		strlcpy(last_message, error->message, sizeof(last_message));
	}
	if (prev_emit_log_hook)
		prev_emit_log_hook(error);
}

/*
 * The process exits by a FATAL error, such as a timeout, which worker_fail()
 * does not see.  Termination by a DBA or at shutdown is no trouble.
 */
static void
worker_note_unexpected_exit(RecoWorkerId worker, int code)
{
	bool		counted = false;

	if (last_message[0] == '\0')
		snprintf(last_message, sizeof(last_message), "the process ended with exit code %d", code);
	if (last_sqlstate != ERRCODE_ADMIN_SHUTDOWN)
		counted = reco_trouble_begin(worker, RECO_TROUBLE_WORKER, RECO_HEALTH_FAILING, NULL,
									 "%s", last_message);
	reco_status_failed(worker, counted);
	reco_status_report(worker, RECO_HEALTH_FAILING, "terminated, will be restarted soon");
}

/* before_shmem_exit callback; worker is a RecoWorkerId. */
void
reco_worker_detach(int code, Datum worker)
{
	if (code != 0 && !failure_is_known && DatumGetInt32(worker) < RECO_WORKERS)
		worker_note_unexpected_exit(DatumGetInt32(worker), code);
	reco_status_detach(DatumGetInt32(worker));
}

/*
 * Show every second that the process runs, so that a long round does not look
 * like a stopped process.  The timer is set again by each round, because the
 * server's timeouts follow the host's clock, which may be set back.
 */
static void
worker_enable_tick(void)
{
	static TimeoutId tick = MAX_TIMEOUTS;

	if (tick == MAX_TIMEOUTS)
		tick = RegisterTimeout(USER_TIMEOUT, reco_status_alive);
	enable_timeout_every(tick, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TICK_MS), TICK_MS);
	reco_status_begin_round();
}

/* Wait for the latch, for a socket if given, or for ms milliseconds. */
void
reco_worker_wait(long ms, pgsocket socket)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT;

	if (socket != PGINVALID_SOCKET)
		events |= WL_SOCKET_READABLE;
	(void) WaitLatchOrSocket(MyLatch, events, socket, ms, reco_wait_event(RECO_WAIT_WORKER));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Find the extension; false if it does not exist.  Not within a transaction. */
static bool
worker_find_extension(RecoOwnExtension *extension)
{
	bool		found;

	reco_xact_begin();
	found = reco_own_extension_find(extension);
	reco_xact_commit();
	return found;
}

/*
 * Check the extension's version against the library's.  If it differs, report
 * what to do, also for the workers that do not run: none is started until then,
 * and those that run exit.
 */
static bool
worker_check_version(RecoWorkerId worker, const RecoOwnExtension *extension)
{
	if (extension->remedy == NULL)
	{
		reco_trouble_end(worker, RECO_TROUBLE_VERSION);
		return true;
	}
	reco_trouble_begin(worker, RECO_TROUBLE_VERSION, RECO_HEALTH_WAITING, extension->hint,
					   RECO_OWN_EXTENSION_MISFIT, extension->version, RECO_VERSION);
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		if (i == worker || reco_status_read(i).pid == 0)
			reco_status_report(i, RECO_HEALTH_WAITING, "waiting for %s", extension->remedy);
	}
	reco_service_forget_database();
	return false;
}

/*
 * A hash that identifies the state among all that this server ever serves: the
 * OIDs of database and extension, and the transactions that wrote their rows.
 * It differs for a database that was renamed, created again or copied.
 */
static uint64
worker_state_identity(void)
{
	RecoPlan	plan = {
		"SELECT format('%s %s %s %s', d.oid, d.xmin, e.oid, e.xmin)"
		" FROM pg_catalog.pg_database d, pg_catalog.pg_extension e"
		" WHERE d.datname = pg_catalog.current_database() AND e.extname = 'reco'"
	};
	uint64		identity = 0;

	reco_sql_begin();
	if (reco_sql_query(&plan, NULL, NULL, 1) > 0)
	{
		bool		null;
		text	   *row = DatumGetTextPP(reco_sql_value(0, 1, &null));

		identity = hash_bytes_extended((const unsigned char *) VARDATA_ANY(row), VARSIZE_ANY_EXHDR(row), 0);
	}
	SPI_freeplan(plan.plan);
	reco_sql_commit();
	return identity;
}

/*
 * After an error: abort, report the trouble, and exit.  The error is logged
 * once, as a warning, however often it comes again (worker_status.c), and not
 * at all if the extension was dropped or updated meanwhile.
 */
static void
worker_fail(const RecoRoutine *routine, MemoryContext context)
{
	ErrorData  *error = reco_xact_abort(context);
	RecoTroubleKind kind = RECO_TROUBLE_WORKER;
	RecoHealth	health = RECO_HEALTH_FAILING;
	RecoOwnExtension extension;
	bool		counted;

	if (!worker_find_extension(&extension))
	{
		reco_service_forget_database();
		proc_exit(0);
	}
	if (!worker_check_version(routine->id, &extension))
		proc_exit(0);
	failure_is_known = true;
	if (routine->blame)
		kind = routine->blame(error, &health);
	counted = reco_trouble_begin(routine->id, kind, health, error->hint, "%s%s%s", error->message,
								 error->detail ? "; " : "", error->detail ? error->detail : "");
	reco_status_failed(routine->id, counted);
	reco_status_report(routine->id, health, "exited after an error, will be restarted soon");
	error->elevel = DEBUG1;
	ThrowErrorData(error);
	proc_exit(1);
}

/* The units of work that a worker has done. */
static uint64
worker_work_done(RecoWorkerId id)
{
	switch (id)
	{
		case RECO_INGEST:
			return reco_metrics_value(RECO_METRIC_MESSAGES);
		case RECO_FOLLOW:
			return reco_metrics_value(RECO_METRIC_CATALOG) + reco_metrics_value(RECO_METRIC_SWEPT);
		default:
			return reco_metrics_value(RECO_METRIC_PUBLISHED);
	}
}

/* Report the throughput, once a second. */
static void
worker_measure_rate(RecoWorkerId id)
{
	static RecoMoment last = 0;
	static uint64 before = 0;
	RecoMoment	now = reco_monotonic_now();

	if (last != 0 && now < last + 1000 * 1000)
		return;
	if (last != 0)
		reco_status_set_rate(id, (worker_work_done(id) - before) * 1e6 / (now - last));
	last = now;
	before = worker_work_done(id);
}

/*
 * A SIGHUP that arrives while a background worker starts is lost; the launcher,
 * which was there, has noted the time.  To reload without one would apply
 * changes that nobody has reloaded yet.
 */
static bool
worker_missed_reload(void)
{
	return reco_service_reload_time() > PgReloadTime;
}

static void
worker_run(const RecoRoutine *routine, uint32 forgotten, const char *role)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco worker",
												  ALLOCSET_DEFAULT_SIZES);
	RecoMoment	proved = reco_monotonic_after(HEALTHY_AGE);
	bool		healthy = false;

	PG_TRY();
	{
		routine->start();
		for (;;)
		{
			long		timeout;

			CHECK_FOR_INTERRUPTS();
			worker_enable_tick();
			/* the extension was dropped: start again with the next one */
			if (reco_service_times_forgotten() != forgotten)
				proc_exit(0);
			if (ConfigReloadPending || worker_missed_reload())
			{
				ConfigReloadPending = false;
				ProcessConfigFile(PGC_SIGHUP);
				if (!reco_enabled || strcmp(reco_role, role) != 0)
					proc_exit(0);
				if (routine->reloaded)
					routine->reloaded();
			}
			MemoryContextSwitchTo(context);
			MemoryContextReset(context);
			if (reco_role_is_stale() && !reco_role_owns_objects(routine->id, GetUserId()))
				proc_exit(0);
			timeout = routine->step();
			worker_measure_rate(routine->id);
			if (!healthy && reco_monotonic_has_passed(proved))
			{
				reco_status_healthy(routine->id);
				reco_trouble_end(routine->id, RECO_TROUBLE_WORKER);
				healthy = true;
			}
			if (timeout > 0)
				reco_worker_wait(Min(timeout, LONGEST_WAIT),
								 routine->socket ? routine->socket() : PGINVALID_SOCKET);
		}
	}
	PG_CATCH();
	{
		worker_fail(routine, context);
	}
	PG_END_TRY();
}

/* Entry point of a worker; its argument is a RecoWorkerId. */
void
reco_worker_main(Datum arg)
{
	const RecoRoutine *routine = reco_worker_routines[DatumGetInt32(arg)];
	uint32		forgotten;
	RecoOwnExtension extension;
	char		role[NAMEDATALEN];

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (worker_missed_reload())
		ProcessConfigFile(PGC_SIGHUP);
	if (!reco_enabled || !reco_status_attach(routine->id))
		proc_exit(0);
	before_shmem_exit(reco_worker_detach, arg);
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = worker_note_last_error;
	reco_status_report(routine->id, RECO_HEALTH_STARTING, "starting");
	strlcpy(role, reco_role, sizeof(role));
	BackgroundWorkerInitializeConnection(reco_database, role[0] ? role : NULL, 0);
	reco_settings_override();
	worker_enable_tick();
	if (!worker_find_extension(&extension))
	{
		reco_service_forget_database();
		reco_status_report(routine->id, RECO_HEALTH_WAITING, "waiting for CREATE EXTENSION reco in database \"%s\"",
						   reco_database);
		proc_exit(0);
	}
	if (!worker_check_version(routine->id, &extension))
		proc_exit(0);
	SetUserIdAndSecContext(role[0] ? GetSessionUserId() : extension.owner, 0);
	if (!reco_role_owns_objects(routine->id, GetUserId()))
		proc_exit(0);
	if (reco_queue_serve(worker_state_identity()))
		reco_service_forget_database(); /* what was known belongs to another state */
	forgotten = reco_service_times_forgotten();
	if (reco_service_database() != MyDatabaseId)
	{
		reco_service_set_database(MyDatabaseId, extension.oid);
		reco_status_wake(RECO_LAUNCHER);
	}
	pgstat_report_appname(routine->name);
	worker_run(routine, forgotten, role);
}
