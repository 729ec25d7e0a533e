/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The launcher, and the life of the three workers.
 *
 * The launcher is the only process that is registered for good.  It connects
 * to no database, so a database can be created, dropped or renamed at any
 * time; it starts the workers, which do, and starts a failed one again after
 * a pause that grows with its failures in a row.  A worker leaves by itself,
 * quietly, where the extension does not exist or reco.enabled is off.
 *
 * A worker's callbacks run outside any transaction, without reco's lock.  An
 * ERROR ends the process: exit releases whatever it held, slots and foreign
 * handles included.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "follow.h"
#include "guc.h"
#include "ingest.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "publish.h"
#include "ring.h"
#include "shared.h"
#include "sql.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker.h"

/* How often to look whether database and extension have come, in ms. */
#define LOOK_INTERVAL 2000

/* Pauses after failures: 0.5 s, doubled each time, at most 60 s; in ms. */
#define FIRST_PAUSE 500
#define LONGEST_PAUSE 60000

/* A worker that has lived this long works; in ms. */
#define HEALTHY_AGE 10000

static const RecoRoutine *const routines[RECO_WORKERS] = {
	&reco_ingest_routine, &reco_follow_routine, &reco_publish_routine
};

static bool announce_at_commit = false;

static void
detach(int code, Datum worker)
{
	reco_shared_detach(DatumGetInt32(worker));
}

/* Wait for the latch, a socket if there is one, or ms to pass. */
static void
wait(long ms, pgsocket socket)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT;

	if (socket != PGINVALID_SOCKET)
		events |= WL_SOCKET_READABLE;
	(void) WaitLatchOrSocket(MyLatch, events, socket, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Override what a database's or role's settings may bring. */
static void
settle(void)
{
	static const char *const fixed[][2] = {
		{"search_path", ""},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"session_replication_role", "origin"},
		{"row_security", "on"},
		{"synchronous_commit", "off"},	/* what it could lose is rebuilt */
		{"jit", "off"},
		{"TimeZone", "UTC"},
	};

	for (int i = 0; i < lengthof(fixed); i++)
		SetConfigOption(fixed[i][0], fixed[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/* The owner of the extension, InvalidOid where it does not exist. */
static Oid
extension_owner(void)
{
	Oid			owner = InvalidOid;
	RecoPlan	plan = {"SELECT extowner FROM pg_catalog.pg_extension WHERE extname = 'reco'"};

	reco_sql_begin();
	if (reco_sql_query(&plan, NULL, NULL, 1) > 0)
	{
		bool		null;

		owner = DatumGetObjectId(reco_sql_value(0, 1, &null));
	}
	SPI_freeplan(plan.plan);
	reco_sql_commit();
	return owner;
}

/* After an error: abort, and say whether it only means that reco was dropped. */
static void
fail(const RecoRoutine *routine, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	if (!OidIsValid(extension_owner()))
	{
		reco_shared_set_database(InvalidOid);
		proc_exit(0);
	}
	reco_shared_failed(routine->id, error->message);
	ThrowErrorData(error);
}

/* What a worker works on. */
static uint64
work_done(RecoWorkerId id)
{
	switch (id)
	{
		case RECO_INGEST:
			return reco_shared_counted(RECO_COUNT_MESSAGES);
		case RECO_FOLLOW:
			return reco_shared_counted(RECO_COUNT_CATALOG) + reco_shared_counted(RECO_COUNT_SWEPT);
		default:
			return reco_shared_counted(RECO_COUNT_PUBLISHED);
	}
}

/* Once a second: tell the rate of the work. */
static void
measure(RecoWorkerId id)
{
	static TimestampTz last = 0;
	static uint64 before = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (last != 0 && !TimestampDifferenceExceeds(last, now, 1000))
		return;
	if (last != 0)
		reco_shared_rate(id, (work_done(id) - before) * 1e6 / (now - last));
	last = now;
	before = work_done(id);
}

static void
run(const RecoRoutine *routine)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "reco worker",
												  ALLOCSET_DEFAULT_SIZES);
	TimestampTz started = GetCurrentTimestamp();
	bool		healthy = false;

	PG_TRY();
	{
		routine->start();
		for (;;)
		{
			long		timeout;

			CHECK_FOR_INTERRUPTS();
			if (ConfigReloadPending)
			{
				ConfigReloadPending = false;
				ProcessConfigFile(PGC_SIGHUP);
				if (!reco_enabled)
					proc_exit(0);
				if (routine->reloaded)
					routine->reloaded();
			}
			MemoryContextSwitchTo(context);
			MemoryContextReset(context);
			timeout = routine->step();
			measure(routine->id);
			if (!healthy &&
				TimestampDifferenceExceeds(started, GetCurrentTimestamp(), HEALTHY_AGE))
			{
				reco_shared_healthy(routine->id);
				healthy = true;
			}
			if (timeout > 0)
				wait(Min(timeout, LOOK_INTERVAL),
					 routine->socket ? routine->socket() : PGINVALID_SOCKET);
		}
	}
	PG_CATCH();
	{
		fail(routine, context);
	}
	PG_END_TRY();
}

/* Entry point of a worker; its argument is a RecoWorkerId. */
void
reco_worker_main(Datum arg)
{
	const RecoRoutine *routine = routines[DatumGetInt32(arg)];
	Oid			owner;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (!reco_shared_attach(routine->id))
		proc_exit(0);
	before_shmem_exit(detach, arg);
	BackgroundWorkerInitializeConnection(reco_database, NULL, 0);
	settle();
	owner = extension_owner();
	if (!OidIsValid(owner))
	{
		reco_shared_set_database(InvalidOid);
		reco_shared_state(routine->id, "waiting for CREATE EXTENSION reco in database \"%s\"",
						  reco_database);
		proc_exit(0);
	}
	SetUserIdAndSecContext(owner, 0);
	if (reco_shared_database() != MyDatabaseId)
	{
		reco_shared_set_database(MyDatabaseId);
		reco_shared_wake(RECO_LAUNCHER);
	}
	pgstat_report_appname(routine->name);
	reco_shared_state(routine->id, "starting");
	run(routine);
}

/*
 * Does the database exist?  The launcher sees the shared catalogs only, and
 * their indexes just where the server has cached them.
 */
static bool
database_exists(void)
{
	Relation	relation;
	SysScanDesc scan;
	ScanKeyData key;
	bool		exists;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_database_datname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(reco_database));
	scan = systable_beginscan(relation, DatabaseNameIndexId, criticalSharedRelcachesBuilt,
							  NULL, 1, &key);
	exists = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return exists;
}

/* Milliseconds until a worker may be started; 0: now. */
static long
pause_left(const RecoWorkerStatus *status)
{
	long		pause;

	if (status->failures == 0)
		return 0;
	pause = Min(LONGEST_PAUSE, FIRST_PAUSE * (1L << Min(status->failures - 1, 10)));
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
										   TimestampTzPlusMilliseconds(status->failed_at, pause));
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
	strlcpy(worker.bgw_name, routines[id]->name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, routines[id]->name, BGW_MAXLEN);
	if (RegisterDynamicBackgroundWorker(&worker, handle))
		return true;
	reco_shared_state(id, "no free background worker slot: raise max_worker_processes");
	return false;
}

/*
 * Start what should run and does not; ms until the next look.  A worker that
 * left without an error found no extension: the first of them looks again in
 * a while, or when CREATE EXTENSION wakes the launcher, and the others follow
 * when it has found one.
 */
static long
look(BackgroundWorkerHandle **handles, TimestampTz *launched)
{
	static uint32 announced = 0;
	long		next = LOOK_INTERVAL;

	if (announced != reco_shared_extensions_announced())
	{
		announced = reco_shared_extensions_announced();
		memset(launched, 0, sizeof(TimestampTz) * RECO_WORKERS);
	}

	if (!reco_enabled || !database_exists())
	{
		for (int i = 0; i < RECO_WORKERS; i++)
			reco_shared_state(i, reco_enabled ? "waiting for database \"%s\"" : "reco.enabled is off",
							  reco_database);
		return reco_enabled ? LOOK_INTERVAL : LONGEST_PAUSE;
	}
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		RecoWorkerStatus status = reco_shared_status(i);
		long		left;
		pid_t		pid;

		if (handles[i] && GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED)
			continue;
		if (i > 0 && !OidIsValid(reco_shared_database()))
			continue;
		left = pause_left(&status);
		if (status.failures == 0 && launched[i] != 0)
			left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
												   TimestampTzPlusMilliseconds(launched[i], LOOK_INTERVAL));
		if (left > 0)
			next = Min(next, left);
		else if (launch(i, &handles[i]))
			launched[i] = GetCurrentTimestamp();
	}
	return next;
}

/* Entry point of the launcher. */
void
reco_launcher_main(Datum arg)
{
	BackgroundWorkerHandle *handles[RECO_WORKERS] = {NULL};
	TimestampTz launched[RECO_WORKERS] = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("reco launcher");
	reco_shared_attach(RECO_LAUNCHER);
	before_shmem_exit(detach, Int32GetDatum(RECO_LAUNCHER));

	for (;;)
	{
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		wait(look(handles, launched), PGINVALID_SOCKET);
	}
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && announce_at_commit)
		reco_shared_announce_extension();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		announce_at_commit = false;
}

PG_FUNCTION_INFO_V1(reco_announce);

/* Called by the extension's script: its commit wakes the launcher. */
Datum
reco_announce(PG_FUNCTION_ARGS)
{
	announce_at_commit = true;
	PG_RETURN_VOID();
}

/* Called once, from _PG_init. */
void
reco_worker_register(void)
{
	BackgroundWorker worker;

	RegisterXactCallback(at_transaction_end, NULL);

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
