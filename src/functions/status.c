/*-------------------------------------------------------------------------
 *
 * status.c
 *	  SQL functions that show the state in shared memory.
 *
 * They wait for no lock, and read no table of reco, so that they work while any
 * table is locked, and on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "common/guc.h"
#include "common/own_extension.h"
#include "common/text_clean.h"
#include "engine/product_version.h"
#include "engine/state.h"
#include "fmgr.h"
#include "funcapi.h"
#include "functions/worker_health.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static const char *const worker_names[RECO_WORKERS] = {"ingest", "follow", "publish"};

static const char *const counter_names[RECO_METRICS] = {
	"ingest.messages", "ingest.events", "ingest.below_retention", "ingest.rejected", "ingest.lost",
	"ingest.bytes", "ingest.batches", "ingest.lists", "follow.catalog", "follow.prescanned", "follow.swept",
	"publish.published", "publish.resyncs"
};

static const char *const phase_names[RECO_PHASES] = {
	"phase.consume", "phase.parse", "phase.insert", "phase.sort", "phase.trending",
	"phase.users", "phase.lists", "phase.commit", "phase.read", "phase.send"
};

#define WORKER_COLUMNS 14

static bool
status_is_served(void)
{
	char	   *database = get_database_name(MyDatabaseId);

	return database != NULL && strcmp(database, reco_database) == 0;
}

/* The row of a worker, in a database that the workers do not serve. */
static void
status_show_elsewhere(Datum *values, bool *nulls)
{
	char	   *state = psprintf("not in this database: reco.database is \"%s\"", reco_database);

	reco_text_clean(state);
	memset(nulls + 1, true, WORKER_COLUMNS - 1);
	nulls[1] = nulls[2] = false;
	values[1] = CStringGetTextDatum(state);
	values[2] = CStringGetTextDatum(reco_health_name(RECO_HEALTH_OFF));
}

/* The processes that block a process; NULL: none. */
static ArrayType *
status_blockers(int pid)
{
	ArrayType  *pids;

	if (pid == 0)
		return NULL;
	pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	return ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids)) > 0 ? pids : NULL;
}

static void
status_show_worker(RecoWorkerId worker, Datum *values, bool *nulls)
{
	RecoWorkerStatus status = reco_status_read(worker);
	ArrayType  *pids = status_blockers(status.pid);
	RecoJudgement judgement = reco_health_judge(worker, &status, pids != NULL);
	bool		running = status.pid != 0;
	bool		erred = status.error[0] != '\0';
	int			n = 1;

	reco_text_clean(status.error);
	values[n++] = CStringGetTextDatum(judgement.state.data);
	values[n++] = CStringGetTextDatum(reco_health_name(judgement.health));
	nulls[n] = !running;
	values[n++] = Int32GetDatum(status.pid);
	nulls[n] = !running;
	values[n++] = TimestampTzGetDatum(status.started_at);
	values[n++] = Int32GetDatum(status.failures);
	values[n++] = Int64GetDatum(status.errors);
	nulls[n] = judgement.lag_messages < 0;
	values[n++] = Int64GetDatum(judgement.lag_messages);
	nulls[n] = judgement.lag_seconds < 0;
	values[n++] = Float8GetDatum(judgement.lag_seconds);
	nulls[n] = !running;
	values[n++] = Float8GetDatum(status.rate);
	nulls[n] = !erred;
	values[n++] = CStringGetTextDatum(status.error);
	nulls[n] = !erred;
	values[n++] = TimestampTzGetDatum(status.error_at);
	nulls[n] = !erred;
	values[n++] = BoolGetDatum(judgement.error_is_over);
	nulls[n] = pids == NULL;
	values[n++] = PointerGetDatum(pids);
	Assert(n == WORKER_COLUMNS);
}

PG_FUNCTION_INFO_V1(reco_workers);

/* reco.workers(): a row for each worker. */
Datum
reco_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		Datum		values[WORKER_COLUMNS] = {CStringGetTextDatum(worker_names[i])};
		bool		nulls[WORKER_COLUMNS] = {false};

		if (status_is_served())
			status_show_worker(i, values, nulls);
		else
			status_show_elsewhere(values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(reco_state_row);

/* reco.state_row(): the row of reco.state, without reading the table; all NULL if it is unknown. */
Datum
reco_state_row(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoState	state = reco_service_state();
	Datum		values[RECO_STATE_COLUMNS];
	bool		nulls[RECO_STATE_COLUMNS] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (state.clock == 0 || !reco_service_serves_database())
		memset(nulls, true, sizeof(nulls));
	reco_state_values(&state, values);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* What must happen for the library to fit the extension, or NULL.  Never waits for a lock on pg_extension. */
static const char *
status_remedy(void)
{
	RecoOwnExtension extension = {0};

	if (!ConditionalLockRelationOid(ExtensionRelationId, AccessShareLock))
		return NULL;
	(void) reco_own_extension_find(&extension);
	UnlockRelationOid(ExtensionRelationId, AccessShareLock);
	return extension.remedy;
}

PG_FUNCTION_INFO_V1(reco_service);

/* reco.service(): whether reco runs here, the object of its lock, and what it waits for. */
Datum
reco_service(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Datum		values[6] = {0};
	bool		nulls[6] = {false};
	const char *remedy = status_remedy();
	Oid			role = reco_role[0] ? get_role_oid(reco_role, true) : InvalidOid;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(RecoveryInProgress() ? "standby" :
									!status_is_served() ? "elsewhere" :
									reco_enabled ? "on" : "off");
	values[1] = ObjectIdGetDatum(reco_service_extension());
	values[2] = ObjectIdGetDatum(MyDatabaseId);
	values[3] = CStringGetTextDatum(reco_role);
	values[4] = BoolGetDatum(!reco_role[0] || superuser_arg(role));
	nulls[4] = reco_role[0] && !OidIsValid(role);
	nulls[5] = remedy == NULL;
	if (remedy != NULL)
		values[5] = CStringGetTextDatum(remedy);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

static void
status_put_counter(ReturnSetInfo *result, const char *name, uint64 value)
{
	Datum		values[2] = {CStringGetTextDatum(name), Int64GetDatum((int64) value)};
	bool		nulls[2] = {false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(reco_counters);

/* reco.counters(): counts, and nanoseconds by phase. */
Datum
reco_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoVersionUsage products = reco_version_usage();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < RECO_METRICS; i++)
		status_put_counter(result, counter_names[i], reco_metrics_value(i));
	status_put_counter(result, "product_builds", products.builds);
	status_put_counter(result, "product_versions", products.versions);
	status_put_counter(result, "product_bytes", products.bytes);
	for (int i = 0; i < RECO_PHASES; i++)
		status_put_counter(result, phase_names[i], reco_metrics_phase_value(i));
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(reco_progress);

/* reco_progress(): done, total, percent, estimated_end; no row without a rebuild. */
Datum
reco_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoProgress progress = reco_service_progress();
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[4];
	bool		nulls[4] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (progress.total == 0 || !status_is_served())
		return (Datum) 0;
	values[0] = Int64GetDatum(progress.done);
	values[1] = Int64GetDatum(progress.total);
	values[2] = NumericGetDatum(int64_div_fast_to_numeric(progress.done * 1000 / progress.total, 1));
	nulls[3] = progress.done == 0;
	values[3] = TimestampTzGetDatum(progress.started_at + (TimestampTz)
									((double) (now - progress.started_at) *
									 progress.total / Max(1, progress.done)));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}
