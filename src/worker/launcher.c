/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: starts and restarts the workers.
 *
 * The launcher is the only static background worker.  It connects to no
 * database, so that reco.database can be created, dropped or renamed at any
 * time, and starts the dynamic workers, which do connect.  A worker that failed
 * is restarted after a pause that grows with its failures in a row; the count
 * is reset once a worker has run for a while.
 *
 * Its transactions read shared catalogs only.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "shmem/change_queue.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"
#include "worker/launcher.h"
#include "worker/role.h"
#include "worker/settings.h"
#include "worker/worker.h"

/* How often to check for the database and the extension, in ms. */
#define POLL_INTERVAL 2000

/*
 * Pauses after failures: 0.5 s, doubled each time, at most 15 s, so that reco
 * recovers soon after a long outage, too; in ms.
 */
#define FIRST_PAUSE 500
#define LONGEST_PAUSE 15000

/* The nest level at which the extension was created or assigned to a role; 0: it was not. */
static int	announced_at = 0;

/* Why workers cannot connect to a database, as a format for its name; NULL if they can. */
static const char *
launcher_database_obstacle(Form_pg_database database)
{
	if (database_is_invalid_form(database))
		return "waiting: a DROP DATABASE of \"%s\" was interrupted";
	if (!database->datallowconn)
		return "waiting: database \"%s\" does not accept connections";
	return NULL;
}

/*
 * Look up reco.database: its OID, and why workers cannot connect to it, as a
 * format for its name, or NULL.  The index can be used only if the server has
 * cached its relcache entry, since the launcher has no database.
 */
static const char *
launcher_find_obstacle(Oid *database)
{
	Relation	relation;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	const char *obstacle;

	reco_xact_begin();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_database_datname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(reco_database));
	scan = systable_beginscan(relation, DatabaseNameIndexId, criticalSharedRelcachesBuilt,
							  NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		*database = ((Form_pg_database) GETSTRUCT(tuple))->oid;
		obstacle = launcher_database_obstacle((Form_pg_database) GETSTRUCT(tuple));
	}
	else
		obstacle = "waiting for database \"%s\"";
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	reco_xact_commit();
	return obstacle;
}

/* Log an obstacle when it begins. */
static void
launcher_log_obstacle(const char *obstacle)
{
	static const char *logged = NULL;

	if (obstacle != NULL && obstacle != logged)
		ereport(LOG,
				(errmsg_internal("reco is %s", psprintf(obstacle, reco_database))));
	logged = obstacle;
}

/* Milliseconds until a worker may be started; 0: now. */
static long
launcher_pause_left(const RecoWorkerStatus *status)
{
	long		pause;

	if (status->failures == 0)
		return 0;
	pause = Min(LONGEST_PAUSE, FIRST_PAUSE * (1L << Min(status->failures - 1, 10)));
	return reco_monotonic_left(status->ended + pause * INT64CONST(1000));
}

static bool
launcher_start_worker(RecoWorkerId id, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(id);
	strlcpy(worker.bgw_library_name, "reco", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "reco_worker_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, reco_worker_routines[id]->name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, reco_worker_routines[id]->name, BGW_MAXLEN);
	if (*handle != NULL)
		pfree(*handle);
	*handle = NULL;
	if (RegisterDynamicBackgroundWorker(&worker, handle))
	{
		reco_trouble_end(id, RECO_TROUBLE_LAUNCH);
		return true;
	}
	reco_status_report(id, RECO_HEALTH_FAILING, "cannot be started");
	reco_trouble_begin(id, RECO_TROUBLE_LAUNCH, RECO_HEALTH_FAILING,
					   "Raise max_worker_processes.", "no free background worker slot");
	return false;
}

/* Report for all workers that they cannot be started. */
static void
launcher_report_obstacle(const char *obstacle)
{
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		if (reco_status_read(i).pid == 0)
			reco_status_report(i, reco_enabled ? RECO_HEALTH_WAITING : RECO_HEALTH_OFF,
							   obstacle, reco_database);
		reco_status_healthy(i); /* earlier failures no longer mean anything */
	}
}

/* Start a worker if it is due; returns the ms until it is, 0: nothing to wait for. */
static long
launcher_start_when_due(RecoWorkerId id, BackgroundWorkerHandle **handle, RecoMoment *launched)
{
	RecoWorkerStatus status = reco_status_read(id);
	long		left;

	if (*handle == NULL && status.pid != 0)
		return 0;				/* a launcher before this one has started it */
	if (id > 0 && !OidIsValid(reco_service_database()))
		return 0;
	left = launcher_pause_left(&status);
	if (status.failures == 0 && *launched != 0)
		left = reco_monotonic_left(*launched + POLL_INTERVAL * INT64CONST(1000));
	if (left > 0)
		return left;
	if (launcher_start_worker(id, handle))
		*launched = reco_monotonic_now();
	return 0;
}

/*
 * Start the workers that should run and do not; returns the ms until the next
 * poll.  A worker that exited without an error found no extension: the first
 * of them is started again after a while, or when CREATE EXTENSION wakes the
 * launcher, and the others once it has found one.
 *
 * Workers whose role may not connect any more are terminated: they could not
 * come back after the next restart, and that should show now.
 */
static long
launcher_poll(BackgroundWorkerHandle **handles, RecoMoment *launched)
{
	static uint32 announced = 0;
	Oid			database = InvalidOid;
	const char *obstacle = reco_enabled ? launcher_find_obstacle(&database) : "reco.enabled is off";
	long		next = POLL_INTERVAL;
	bool		may_connect;

	if (announced != reco_service_times_announced())
	{
		announced = reco_service_times_announced();
		memset(launched, 0, sizeof(RecoMoment) * RECO_WORKERS);
	}

	if (reco_enabled)
		launcher_log_obstacle(obstacle);
	if (obstacle != NULL)
	{
		launcher_report_obstacle(obstacle);
		return reco_enabled ? POLL_INTERVAL : LONGEST_PAUSE;
	}
	may_connect = reco_role_may_connect(database);
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		pid_t		pid;
		bool		runs = handles[i] && GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED;
		long		left = 0;

		if (runs && !may_connect)
			TerminateBackgroundWorker(handles[i]);
		else if (!runs && may_connect)
			left = launcher_start_when_due(i, &handles[i], &launched[i]);
		if (left > 0)
			next = Min(next, left);
	}
	return next;
}

/* Entry point of the launcher. */
void
reco_launcher_main(Datum arg)
{
	BackgroundWorkerHandle *handles[RECO_WORKERS] = {NULL};
	RecoMoment	launched[RECO_WORKERS] = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	reco_settings_override();
	pgstat_report_appname("reco launcher");
	reco_status_attach(RECO_LAUNCHER);
	before_shmem_exit(reco_worker_detach, Int32GetDatum(RECO_LAUNCHER));

	for (;;)
	{
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			reco_service_set_reload_time(PgReloadTime);

			/* what failed may work with the new settings */
			for (int i = 0; i < RECO_WORKERS; i++)
				reco_status_healthy(i);
		}
		reco_worker_wait(launcher_poll(handles, launched), PGINVALID_SOCKET);
	}
}

static void
launcher_commit(void)
{
	if (announced_at == 0)
		return;
	/* the transaction may have dropped the extension that workers serve */
	if (reco_service_serves_database())
		reco_service_forget_database();
	reco_queue_request_publish_all();
	reco_service_announce_extension();
}

static void
launcher_reset_xact(void)
{
	announced_at = 0;
}

static void
launcher_commit_sub(int level)
{
	if (announced_at >= level)
		announced_at = level - 1;
}

static void
launcher_abort_sub(int level)
{
	if (announced_at >= level)
		announced_at = 0;
}

const RecoXactModule reco_launcher_xact = {
	.commit = launcher_commit,.reset = launcher_reset_xact,
	.commit_sub = launcher_commit_sub,.abort_sub = launcher_abort_sub
};

/* At commit of this transaction have the workers restarted. */
void
reco_launcher_announce(void)
{
	announced_at = GetCurrentTransactionNestLevel();
}

PG_FUNCTION_INFO_V1(reco_announce);

/* Called by the extension's script: its commit wakes the launcher. */
Datum
reco_announce(PG_FUNCTION_ARGS)
{
	char	   *database = get_database_name(MyDatabaseId);

	if (reco_enabled && strcmp(database, reco_database) != 0)
		ereport(WARNING,
				(errmsg("reco's workers do not serve database \"%s\"", database),
				 errdetail("They serve the one that reco.database names, \"%s\".", reco_database),
				 errhint("Set reco.database and restart the server.")));
	reco_launcher_announce();
	PG_RETURN_VOID();
}

/* Called once, from _PG_init. */
void
reco_launcher_register(void)
{
	BackgroundWorker worker;

	/* nothing may be written or published while pg_upgrade runs the server */
	if (IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "reco", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "reco_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "reco launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "reco launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
