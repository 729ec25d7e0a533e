/*-------------------------------------------------------------------------
 *
 * status.c
 *	  SQL functions that show what shared memory knows.
 *
 * They take no lock but worker_status.c's, for a copy.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "commands/dbcommands.h"
#include "common/guc.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static const char *const worker_names[RECO_WORKERS] = {"ingest", "follow", "publish"};

static const char *const counter_names[RECO_COUNTERS] = {
	"ingest.messages", "ingest.events", "ingest.late", "ingest.rejected", "ingest.lost",
	"ingest.bytes", "ingest.batches", "ingest.lists", "follow.catalog", "follow.foreseen", "follow.swept",
	"publish.published", "publish.resyncs"
};

static const char *const phase_names[RECO_PHASES] = {
	"phase.consume", "phase.parse", "phase.insert", "phase.sort", "phase.trending",
	"phase.users", "phase.lists", "phase.commit", "phase.read", "phase.send"
};

static Datum
text_or_null(const char *value, bool *isnull)
{
	*isnull = value[0] == '\0';
	return *isnull ? (Datum) 0 : CStringGetTextDatum(value);
}

static bool
is_served(void)
{
	return strcmp(get_database_name(MyDatabaseId), reco_database) == 0;
}

/* In a database that the workers do not serve nothing of theirs is shown. */
static RecoWorkerStatus
status_here(RecoWorkerId worker)
{
	RecoWorkerStatus status = reco_shared_status(worker);

	if (!is_served())
	{
		memset(&status, 0, sizeof(status));
		status.lag_messages = status.lag_seconds = -1;
		snprintf(status.state, sizeof(status.state),
				 "not in this database: reco.database is \"%s\"", reco_database);
	}
	return status;
}

PG_FUNCTION_INFO_V1(reco_workers);

/* reco.workers(): a row a worker. */
Datum
reco_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < RECO_WORKERS; i++)
	{
		RecoWorkerStatus status = status_here(i);
		Datum		values[10];
		bool		nulls[10] = {false};
		int			n = 0;

		values[n++] = CStringGetTextDatum(worker_names[i]);
		values[n] = text_or_null(status.state, &nulls[n]);
		n++;
		nulls[n] = status.pid == 0;
		values[n++] = Int32GetDatum(status.pid);
		nulls[n] = status.pid == 0;
		values[n++] = TimestampTzGetDatum(status.started_at);
		values[n++] = Int32GetDatum(status.failures);
		nulls[n] = status.lag_messages < 0;
		values[n++] = Int64GetDatum(status.lag_messages);
		nulls[n] = status.lag_seconds < 0;
		values[n++] = Float8GetDatum(status.lag_seconds);
		nulls[n] = status.pid == 0;
		values[n++] = Float8GetDatum(status.rate);
		values[n] = text_or_null(status.error, &nulls[n]);
		n++;
		nulls[n] = status.error[0] == '\0';
		values[n++] = TimestampTzGetDatum(status.failed_at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
put_counter(ReturnSetInfo *result, const char *name, uint64 value)
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

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < RECO_COUNTERS; i++)
		put_counter(result, counter_names[i], reco_counter_value(i));
	for (int i = 0; i < RECO_PHASES; i++)
		put_counter(result, phase_names[i], reco_phase_value(i));
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(reco_progress);

/* reco_progress(): done, total, percent, estimated_end; no row without a rebuild. */
Datum
reco_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecoProgress progress = reco_shared_progress();
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[4];
	bool		nulls[4] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (progress.total == 0 || !is_served())
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
