/*-------------------------------------------------------------------------
 *
 * follow_worker.c
 *	  The worker that follows the catalog, and computes generations.
 *
 * At each follow_start the mirror is compared with the catalog; a slot is created; they
 * are compared once more, since the slot only has what commits after it; from
 * then on the slot says which products to look up, or that all must be compared
 * again.
 *
 * A catalog that cannot be read or followed does not stop the worker: it reports
 * the error, continues with popularity and the sweep, and tries again after a
 * pause that grows.  An ERROR while the mirror is written ends the process.
 *
 * Nothing here runs in a transaction or holds reco's lock: see mirror.c.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "activity/brin_summarize.h"
#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "common/xact.h"
#include "lists/dictionary_vacuum.h"
#include "lists/popularity.h"
#include "lists/sweep.h"
#include "mirror/follow_worker.h"
#include "mirror/mirror.h"
#include "mirror/slot_reader.h"
#include "mirror/subscription.h"
#include "miscadmin.h"
#include "shmem/worker_status.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Pauses, in ms. */
#define IDLE 50					/* between polls at the end of WAL */
#define SETTLE 2				/* until changes that were read are visible */
#define UNSETTLED 2				/* seconds after which that is reported */
#define PACE 400				/* between writes, since each may begin a generation: */
#define SHARE 4					/* at least this many times as long as the last one took, */
#define LONGEST_WAIT 900		/* but together with that at most this */
#define LOCKED 50				/* while the shop alters the table */
#define LOCKED_LONG 5000		/* after which reading WAL continues, and everything is compared later */
#define FIRST_PAUSE 1000		/* after an error, doubled each time */
#define LONGEST_PAUSE 30000

/* Ms to wait for open transactions when the slot is created, doubled each time. */
#define FIRST_TIMEOUT 1000
#define LONGEST_TIMEOUT 16000

/* Ms that a comparison waits for commits that are not visible yet. */
#define GRACE 200

static RecoSlotReader *reader = NULL;
static bool compare_due = true;
static bool missed_some = false;	/* the last comparison may have missed changes */
static RecoMoment next_write_at = 0;

static char *settings_in_force = NULL;	/* the catalog's settings that were applied */

static long pause_length = FIRST_PAUSE;
static RecoMoment paused_until = 0;
static long open_timeout = FIRST_TIMEOUT;

static const char *
follow_catalog_name(void)
{
	const RecoSource *source = reco_mirror_source();

	return source ? source->name : reco_catalog_table;
}

/* After an error with the catalog: report it, and try again later. */
static void
follow_pause_after_error(MemoryContext context)
{
	ErrorData  *error = reco_xact_abort(context);

	reco_mirror_forget();
	compare_due = true;
	paused_until = reco_monotonic_after(pause_length);
	pause_length = Min(pause_length * 2, LONGEST_PAUSE);
	reco_service_set_follow_position(InvalidXLogRecPtr);
	reco_status_report(RECO_FOLLOW, RECO_HEALTH_FAILING, "cannot use the catalog: %s", error->message);
	reco_trouble_begin(RECO_FOLLOW, RECO_TROUBLE_CATALOG, RECO_HEALTH_FAILING, error->hint,
					   "%s", error->message);
}

/* A comparison of the catalog with the mirror, and its result. */
typedef struct FollowAttempt
{
	const RecoChanges *changes; /* to compare; NULL: all of the catalog */
	RecoMirrorDelta *delta;
	RecoMirrorResult result;
} FollowAttempt;

/* Run an action that reads the catalog; false if it failed. */
static bool
follow_attempt(void (*action) (FollowAttempt *), FollowAttempt *attempt)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = false;

	PG_TRY();
	{
		action(attempt);
		good = true;
	}
	PG_CATCH();
	{
		follow_pause_after_error(context);
	}
	PG_END_TRY();
	return good;
}

static void
follow_compare_all(FollowAttempt *attempt)
{
	attempt->result = reco_mirror_compare_all(attempt->delta);
}

static void
follow_check_altered(FollowAttempt *attempt)
{
	attempt->result = reco_mirror_check_altered();
}

static void
follow_lookup(FollowAttempt *attempt)
{
	attempt->result = reco_mirror_lookup(attempt->delta, attempt->changes->keys, attempt->changes->nkeys);
}

static void
follow_open_slot(FollowAttempt *attempt)
{
	reader = reco_slot_reader_open(open_timeout);
}

/* Tell the slot reader the tables of the source. */
static void
follow_watch(void)
{
	const RecoSource *source = reco_mirror_source();

	if (reader != NULL && source != NULL)
		reco_slot_reader_watch(reader, source);
}

/* Wait until recent commits are visible; returns true if it takes longer. */
static bool
follow_wait_for_missed(void)
{
	RecoMoment	until = reco_monotonic_after(GRACE);

	while (reco_slot_reader_may_have_missed(reader) && !reco_monotonic_has_passed(until))
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000);
	}
	return reco_slot_reader_may_have_missed(reader);
}

/* Report if a comparison did not get its locks. */
static bool
follow_was_locked(const FollowAttempt *attempt)
{
	if (attempt->result == RECO_MIRROR_LOCKED)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_WAITING, "waiting for a lock on %s", follow_catalog_name());
	return attempt->result == RECO_MIRROR_LOCKED;
}

static bool
follow_is_paused(void)
{
	return !reco_monotonic_has_passed(paused_until);
}

/* Compare the mirror with the catalog, and write what differs; false: try again. */
static bool
follow_compare_and_write(FollowAttempt *attempt)
{
	if (!follow_attempt(follow_compare_all, attempt) || follow_was_locked(attempt))
		return false;
	if (open_timeout == FIRST_TIMEOUT)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_STARTING, "comparing the mirror with %s", follow_catalog_name());
	while (reco_mirror_apply_some(attempt->delta))
		CHECK_FOR_INTERRUPTS();
	compare_due = false;

	/* changes of a new table before watching began have been missed: compare again */
	if (attempt->result == RECO_MIRROR_ALTERED && reader != NULL)
	{
		follow_watch();
		compare_due = true;
	}
	reco_service_set_mirror_ready(true);
	return true;
}

/* The same, unless paused. */
static bool
follow_compare(void)
{
	FollowAttempt attempt = {0};
	bool		done;

	if (follow_is_paused())
		return false;
	if (reader != NULL)
		missed_some = follow_wait_for_missed();
	attempt.delta = reco_mirror_delta_create();
	done = follow_compare_and_write(&attempt);
	reco_mirror_delta_free(attempt.delta);
	return done;
}

/* There is no slot yet: compare, and try to create one. */
static long
follow_begin(void)
{
	if ((compare_due && !follow_compare()) || follow_is_paused())
		return LOCKED;
	if (open_timeout == FIRST_TIMEOUT)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_STARTING, "creating a replication slot to follow %s",
						   follow_catalog_name());
	if (!follow_attempt(follow_open_slot, NULL))
		return LOCKED;
	compare_due = true;
	if (reader == NULL)
	{
		open_timeout = Min(open_timeout * 2, LONGEST_TIMEOUT);
		reco_slot_reader_report_blocker(follow_catalog_name());
	}
	else
	{
		open_timeout = FIRST_TIMEOUT;
		follow_watch();
	}
	return 0;
}

/* A write of the mirror has ended: schedule the next one. */
static void
follow_pace_writes(RecoMoment begin)
{
	long		took = reco_monotonic_since(begin);

	next_write_at = reco_monotonic_after(Max(PACE, Min(SHARE * took, LONGEST_WAIT - took)));
}

/* Look up the products that changed, and write what differs; false: try again. */
static bool
follow_lookup_and_write(FollowAttempt *attempt)
{
	RecoMoment	begin = reco_monotonic_now();

	if (!follow_attempt(attempt->changes->nkeys > 0 ? follow_lookup : follow_check_altered, attempt) ||
		follow_was_locked(attempt))
		return false;
	if (attempt->result == RECO_MIRROR_ALTERED)
	{
		follow_watch();
		compare_due = true;
	}
	else if (attempt->changes->nkeys > 0 && reco_mirror_apply(attempt->delta))
		follow_pace_writes(begin);
	return true;
}

/* Apply the changes that were read; false: try again. */
static bool
follow_apply_changes(const RecoChanges *changes)
{
	FollowAttempt attempt = {.changes = changes};
	bool		done;

	if (changes->nkeys == 0 && !reco_mirror_is_stale())
		return true;
	attempt.delta = reco_mirror_delta_create();
	done = follow_lookup_and_write(&attempt);
	reco_mirror_delta_free(attempt.delta);
	return done;
}

/* Set the lag; it is unknown while a subscription that feeds the catalog does not run. */
static void
follow_set_lag(int64 messages, double seconds)
{
	const RecoSource *source = reco_mirror_source();

	if (source != NULL && !reco_subscription_check(source))
		messages = seconds = -1;
	reco_status_set_lag(RECO_FOLLOW, messages, seconds);
}

/* Report the lag, and return it: the seconds since the oldest change that is not applied. */
static double
follow_report_lag(const RecoChanges *changes)
{
	double		seconds;

	seconds = changes->committed_at == 0 ? 0 :
		TimestampDifferenceMilliseconds(changes->committed_at, GetCurrentTimestamp()) / 1000.0;

	/* while a comparison is due, other changes may be waiting, too */
	if (!compare_due)
		follow_set_lag(changes->nkeys, seconds);
	return seconds;
}

/* Read on, and apply what was read. */
static long
follow_changes(void)
{
	static RecoMoment locked_due = 0;
	const RecoChanges *changes = reco_slot_reader_read(reader);
	double		lag;

	lag = follow_report_lag(changes);
	if (!reco_slot_reader_is_settled(reader))
	{
		if (lag >= UNSETTLED)
			reco_status_report(RECO_FOLLOW, RECO_HEALTH_WAITING,
							   "waiting for changes of %s to be visible: their commit waits for a synchronous standby",
							   follow_catalog_name());
		return lag < 1 ? SETTLE : IDLE;
	}
	if (missed_some && !reco_slot_reader_may_have_missed(reader))
	{
		missed_some = false;
		compare_due = true;
	}
	if (changes->everything)
		compare_due = true;
	if (!compare_due && changes->nkeys > 0 && !reco_monotonic_has_passed(next_write_at))
		return Min(IDLE, reco_monotonic_left(next_write_at));
	if (!compare_due && !follow_apply_changes(changes))
	{
		if (!reco_monotonic_has_passed(locked_due))
			return LOCKED;
		compare_due = true;
	}
	locked_due = reco_monotonic_after(LOCKED_LONG);

	/* a comparison covers all that was read, even if it has to wait */
	reco_slot_reader_confirm(reader);
	if (compare_due)
		return follow_compare() ? 0 : LOCKED;
	pause_length = FIRST_PAUSE;
	if (!missed_some)
		reco_service_set_follow_position(changes->position);
	follow_set_lag(0, 0);
	reco_status_report(RECO_FOLLOW, RECO_HEALTH_OK, "following %s", follow_catalog_name());
	reco_trouble_end(RECO_FOLLOW, RECO_TROUBLE_CATALOG);
	return changes->more ? 0 : IDLE;
}

/* There is no catalog: empty the mirror, and follow nothing. */
static long
follow_nothing(void)
{
	if (reader != NULL)
		reco_slot_reader_close(reader);
	reader = NULL;
	reco_service_set_follow_position(InvalidXLogRecPtr);
	if (compare_due && !follow_compare())
		return LOCKED;
	reco_status_set_lag(RECO_FOLLOW, -1, -1);
	reco_trouble_drop(RECO_FOLLOW, RECO_TROUBLE_CATALOG);
	reco_subscription_forget();
	reco_status_report(RECO_FOLLOW, RECO_HEALTH_OK, "no catalog: reco.catalog_table is not set");
	return IDLE;
}

/* Apply changed settings. */
static void
follow_reload(void)
{
	char	   *settings = psprintf("%s\n%s", reco_catalog_table, reco_catalog_columns);

	if (settings_in_force != NULL && strcmp(settings_in_force, settings) == 0)
		return;
	if (settings_in_force != NULL)
		pfree(settings_in_force);
	settings_in_force = MemoryContextStrdup(TopMemoryContext, settings);
	reco_mirror_forget();
	reco_subscription_forget();
	reco_service_set_follow_position(InvalidXLogRecPtr);
	compare_due = true;
	pause_length = FIRST_PAUSE;
	paused_until = 0;
}

static void
follow_forget_position(int code, Datum arg)
{
	reco_service_set_follow_position(InvalidXLogRecPtr);
}

static void
follow_start(void)
{
	before_shmem_exit(follow_forget_position, (Datum) 0);
	reco_mirror_init();
	follow_reload();
}

static long
follow_step(void)
{
	long		next;
	long		due;

	if (!reco_source_is_configured())
		next = follow_nothing();
	else if (reader == NULL)
		next = follow_begin();
	else
		next = follow_changes();
	next = Min(next, reco_summarize_step());
	next = Min(next, reco_popularity_step());
	due = reco_sweep_step();
	if (due >= 0)
		return Min(next, due);
	reco_dictionary_vacuum_step();
	return next;
}

const RecoRoutine reco_follow_routine = {
	.name = "reco follow",
	.id = RECO_FOLLOW,
	.start = follow_start,
	.step = follow_step,
	.reloaded = follow_reload,
};
