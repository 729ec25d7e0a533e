/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The life of a worker.
 *
 * The launcher (launcher.c) starts it.  It connects to reco.database, leaves
 * quietly where the extension does not exist or reco.enabled is off, and
 * otherwise calls its routine round after round.
 *
 * A routine's callbacks run outside any transaction, without reco's lock.  An
 * ERROR ends the process: exit releases whatever it held, slots and foreign
 * handles included.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "common/xact.h"
#include "kafka/ingest_worker.h"
#include "mirror/follow_worker.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "publish/publish_worker.h"
#include "shmem/metrics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "worker/worker.h"

/* The longest wait between two rounds, in ms. */
#define LONGEST_WAIT 2000

/* A worker that has lived this long works; in ms. */
#define HEALTHY_AGE 10000

const RecoRoutine *const reco_worker_routines[RECO_WORKERS] = {
	&reco_ingest_routine, &reco_follow_routine, &reco_publish_routine
};

/* Leave shared memory at exit; worker is a RecoWorkerId. */
void
reco_worker_detach(int code, Datum worker)
{
	reco_shared_detach(DatumGetInt32(worker));
}

/* Wait for the latch, a socket if there is one, or ms to pass. */
void
reco_worker_wait(long ms, pgsocket socket)
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
		{"search_path", "pg_catalog, pg_temp"}, /* the triggers' own: plans of another are made anew */
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
	ErrorData  *error = reco_xact_abort(context);

	if (!OidIsValid(extension_owner()))
	{
		reco_shared_forget_database();
		proc_exit(0);
	}
	reco_shared_failed(routine->id, error->message);
	reco_shared_state(routine->id, "ended by an error, starts again soon");
	ThrowErrorData(error);
}

/* What a worker works on. */
static uint64
work_done(RecoWorkerId id)
{
	switch (id)
	{
		case RECO_INGEST:
			return reco_counter_value(RECO_COUNT_MESSAGES);
		case RECO_FOLLOW:
			return reco_counter_value(RECO_COUNT_CATALOG) + reco_counter_value(RECO_COUNT_SWEPT);
		default:
			return reco_counter_value(RECO_COUNT_PUBLISHED);
	}
}

/* Once a second: tell the rate of the work. */
static void
measure(RecoWorkerId id)
{
	static RecoMoment last = 0;
	static uint64 before = 0;
	RecoMoment	now = reco_monotonic_now();

	if (last != 0 && now < last + 1000 * 1000)
		return;
	if (last != 0)
		reco_shared_rate(id, (work_done(id) - before) * 1e6 / (now - last));
	last = now;
	before = work_done(id);
}

static void
run(const RecoRoutine *routine, uint32 forgotten)
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
			/* The extension was dropped: begin anew with the next one. */
			if (reco_shared_forgotten() != forgotten)
				proc_exit(0);
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
			if (!healthy && reco_monotonic_has_passed(proved))
			{
				reco_shared_healthy(routine->id);
				healthy = true;
			}
			if (timeout > 0)
				reco_worker_wait(Min(timeout, LONGEST_WAIT),
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
	const RecoRoutine *routine = reco_worker_routines[DatumGetInt32(arg)];
	uint32		forgotten;
	Oid			owner;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	if (!reco_shared_attach(routine->id))
		proc_exit(0);
	before_shmem_exit(reco_worker_detach, arg);
	BackgroundWorkerInitializeConnection(reco_database, NULL, 0);
	settle();
	forgotten = reco_shared_forgotten();
	owner = extension_owner();
	if (!OidIsValid(owner))
	{
		reco_shared_forget_database();
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
	run(routine, forgotten);
}
