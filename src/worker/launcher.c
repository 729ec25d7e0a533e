/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts the workers, and starts them again.
 *
 * The launcher is the only process that is registered for good.  It connects
 * to no database, so that a database can be created, dropped or renamed at
 * any time, and starts the workers, which do.  A worker that failed starts
 * again after a pause that grows with its failures in a row; the pause is
 * forgotten once a worker has lived for a while.
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

/* How often to look whether database and extension have come, in ms. */
#define LOOK_INTERVAL 2000

/*
 * Pauses after failures: 0.5 s, doubled each time, at most 15 s, so that what
 * comes back after a long time is noticed soon; in ms.
 */
#define FIRST_PAUSE 500
#define LONGEST_PAUSE 15000

/* The nest level at which the extension was created or given to a role; 0: it was not. */
static int	announced_at = 0;

/* Why workers cannot connect to a database, as a format for its name; NULL: they can. */
static const char *
database_obstacle(Form_pg_database database)
{
	if (database_is_invalid_form(database))
		return "waiting: a DROP DATABASE of \"%s\" was interrupted";
	if (!database->datallowconn)
		return "waiting: database \"%s\" does not accept connections";
	return NULL;
}

/*
 * What to wait for with the database, likewise; and its OID, if it exists.  The launcher sees the shared
 * catalogs only, and their indexes just where the server has cached them.
 */
static const char *
find_obstacle(Oid *database)
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
		obstacle = database_obstacle((Form_pg_database) GETSTRUCT(tuple));
	}
	else
		obstacle = "waiting for database \"%s\"";
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	reco_xact_commit();
	return obstacle;
}

/* Say it in the log when it begins. */
static void
log_obstacle(const char *obstacle)
{
	static const char *logged = NULL;

	if (obstacle != NULL && obstacle != logged)
		ereport(LOG,
				(errmsg_internal("reco is %s", psprintf(obstacle, reco_database))));
	logged = obstacle;
}

/* Milliseconds until a worker may be started; 0: now. */
static long
pause_left(const RecoWorkerStatus *status)
{
	long		pause;

	if (status->failures == 0)
		return 0;
	pause = Min(LONGEST_PAUSE, FIRST_PAUSE * (1L << Min(status->failures - 1, 10)));
	return reco_monotonic_left(status->ended + pause * INT64CONST(1000));
}

static bool
launch(RecoWorkerId id, BackgroundWorkerHandle **handle)
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

/* Tell that none of the workers can be started. */
static void
tell_obstacle(const char *obstacle)
{
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		if (reco_status_read(i).pid == 0)
			reco_status_report(i, reco_enabled ? RECO_HEALTH_WAITING : RECO_HEALTH_OFF,
							 obstacle, reco_database);
		reco_status_healthy(i); /* what failed before says nothing about what comes */
	}
}

/* Start the worker if it is time; ms until it is, 0: nothing to wait for. */
static long
start_when_due(RecoWorkerId id, BackgroundWorkerHandle **handle, RecoMoment *launched)
{
	RecoWorkerStatus status = reco_status_read(id);
	long		left;

	if (*handle == NULL && status.pid != 0)
		return 0;				/* a launcher before this one has started it */
	if (id > 0 && !OidIsValid(reco_service_database()))
		return 0;
	left = pause_left(&status);
	if (status.failures == 0 && *launched != 0)
		left = reco_monotonic_left(*launched + LOOK_INTERVAL * INT64CONST(1000));
	if (left > 0)
		return left;
	if (launch(id, handle))
		*launched = reco_monotonic_now();
	return 0;
}

/*
 * Start what should run and does not; ms until the next look.  A worker that
 * left without an error found no extension: the first of them looks again in
 * a while, or when CREATE EXTENSION wakes the launcher, and the others follow
 * when it has found one.
 *
 * Workers whose role may not connect any more are ended: they would not come
 * back after the next restart, and that had better show now.
 */
static long
look(BackgroundWorkerHandle **handles, RecoMoment *launched)
{
	static uint32 announced = 0;
	Oid			database = InvalidOid;
	const char *obstacle = reco_enabled ? find_obstacle(&database) : "reco.enabled is off";
	long		next = LOOK_INTERVAL;
	bool		may_connect;

	if (announced != reco_service_times_announced())
	{
		announced = reco_service_times_announced();
		memset(launched, 0, sizeof(RecoMoment) * RECO_WORKERS);
	}

	if (reco_enabled)
		log_obstacle(obstacle);
	if (obstacle != NULL)
	{
		tell_obstacle(obstacle);
		return reco_enabled ? LOOK_INTERVAL : LONGEST_PAUSE;
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
			left = start_when_due(i, &handles[i], &launched[i]);
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

			/* What failed may work with other settings. */
			for (int i = 0; i < RECO_WORKERS; i++)
				reco_status_healthy(i);
		}
		reco_worker_wait(look(handles, launched), PGINVALID_SOCKET);
	}
}

static void
launcher_commit(void)
{
	if (announced_at == 0)
		return;
	/* workers of an extension that was dropped in this very transaction */
	if (reco_service_serves_database())
		reco_service_forget_database();
	reco_ring_request_publish_all();
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

/* At the commit of the transaction the workers leave, and begin anew. */
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

	/* pg_upgrade's servers are nobody's to write to, or to publish from */
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
