/*-------------------------------------------------------------------------
 *
 * partition_upkeep.c
 *	  How the ingest worker makes and drops partitions of reco.activity.
 *
 * They are made hours ahead, and dropped some time after the horizon has
 * passed them, so neither has to succeed at once.  A DBA's event trigger may
 * reject the DDL, or fail: that must not end ingestion, which does not depend
 * on it yet.  The error becomes a warning that names the trigger, and the
 * next attempt follows after a pause, which grows.
 *
 * Each attempt is a transaction of its own, which takes and releases its
 * locks; partition.c limits the time that a command may hold them.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/partition.h"
#include "activity/partition_upkeep.h"
#include "catalog/pg_type.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "common/xact.h"
#include "miscadmin.h"
#include "shmem/worker_status.h"
#include "utils/builtins.h"
#include "utils/timeout.h"

/* Pauses after a failed attempt, doubled each time; in ms. */
#define FIRST_PAUSE 2000
#define LONGEST_PAUSE (5 * 60 * 1000)

typedef struct Upkeep
{
	const char *what;
	bool		failed;			/* time of the last attempt */
	long		pause;
	RecoMoment	due;
} Upkeep;

static Upkeep making = {"make partitions of reco.activity ahead of time"};
static Upkeep dropping = {"drop a partition of reco.activity that has expired"};

/* Event triggers fired by DDL: those whose function the error's context names, or else all. */
static RecoPlan triggers_plan = {
	"WITH fired AS (SELECT t.evtname, position(p.proname IN $1) > 0 AS is_named"
	" FROM pg_event_trigger t JOIN pg_proc p ON p.oid = t.evtfoid"
	" WHERE t.evtenabled IN ('O', 'A') AND t.evtevent <> 'login')"
	" SELECT string_agg(quote_ident(evtname), ', ' ORDER BY evtname) FROM fired"
	" WHERE is_named OR NOT EXISTS (SELECT FROM fired WHERE is_named)",
	1, {TEXTOID}
};

/* The names of the triggers that may have raised an error, palloc'd; NULL if there are none. */
static char *
upkeep_name_triggers(const ErrorData *error)
{
	Datum		context = CStringGetTextDatum(error->context ? error->context : "");
	MemoryContext caller = CurrentMemoryContext;
	char	   *names = NULL;

	reco_sql_begin();
	if (reco_sql_query(&triggers_plan, &context, NULL, 1) > 0)
	{
		bool		null;
		Datum		value = reco_sql_value(0, 1, &null);

		if (!null)
			names = MemoryContextStrdup(caller, TextDatumGetCString(value));
	}
	reco_sql_commit();
	return names;
}

static void
upkeep_note_failure(Upkeep *upkeep, const ErrorData *error)
{
	char	   *triggers = upkeep_name_triggers(error);

	upkeep->pause = upkeep->failed ? Min(2 * upkeep->pause, LONGEST_PAUSE) : FIRST_PAUSE;
	upkeep->failed = true;
	upkeep->due = reco_monotonic_after(upkeep->pause);
	if (triggers != NULL)
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_PARTITIONS, RECO_HEALTH_FAILING,
						   "Let the event trigger pass what \"reco ingest\" does, or disable it.",
						   "could not %s: %s (event trigger %s)", upkeep->what, error->message, triggers);
	else
		reco_trouble_begin(RECO_INGEST, RECO_TROUBLE_PARTITIONS, RECO_HEALTH_FAILING, error->hint,
						   "could not %s: %s", upkeep->what, error->message);
}

/* Make an attempt, in a transaction, if one is due; false if the last one failed. */
static bool
upkeep_attempt(Upkeep *upkeep, void (*action) (const TimestampTz *), const TimestampTz *clocks)
{
	MemoryContext context = CurrentMemoryContext;

	if (!reco_monotonic_has_passed(upkeep->due))
		return false;
	PG_TRY();
	{
		reco_sql_begin();
		action(clocks);
		reco_sql_commit();
		upkeep->failed = false;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		disable_timeout(STATEMENT_TIMEOUT, false);
		QueryCancelPending = false;
		error = reco_xact_abort(context);
		upkeep_note_failure(upkeep, error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	if (!making.failed && !dropping.failed)
		reco_trouble_end(RECO_INGEST, RECO_TROUBLE_PARTITIONS);
	return !upkeep->failed;
}

static void
upkeep_make(const TimestampTz *clocks)
{
	RecoState	state;

	for (int i = 0; i < 2; i++)
	{
		if (!reco_state_peek(&state))
		{
			memset(&state, 0, sizeof(state));
			state.clock = clocks[i];
		}
		reco_state_apply_settings(&state);	/* which will be in force soon */
		reco_state_set_clock(&state, Max(clocks[i], state.clock));
		reco_partition_make_ahead(&state);
	}
}

/*
 * Make the partitions that reco's clock needs at a time, and those that
 * clients need, who see the wall clock, even while reco's clock lags; false if
 * some may be missing.
 */
bool
reco_partition_upkeep_make(TimestampTz clock, TimestampTz wall)
{
	return upkeep_attempt(&making, upkeep_make, (TimestampTz[]) {clock, wall});
}

static void
upkeep_drop(const TimestampTz *clocks)
{
	RecoState	state;

	if (reco_state_peek(&state))
		reco_partition_drop_oldest(&state);
}

void
reco_partition_upkeep_drop(void)
{
	(void) upkeep_attempt(&dropping, upkeep_drop, NULL);
}
