/*-------------------------------------------------------------------------
 *
 * follow_worker.c
 *	  The follow worker: the catalog's changes to the mirror, and generations.
 *
 * At each start the mirror is compared with the catalog; a slot is made; they
 * are compared once more, since the slot tells only what commits after it; then
 * it tells which products to look up, or makes all due to be compared again.
 *
 * A catalog that cannot be read or followed does not stop the worker: it shows
 * the error, goes on with popularity and its sweep, and tries again after a
 * pause that grows.  An ERROR while the mirror is written ends the process.
 *
 * Nothing here runs in a transaction, nor holds reco's lock: see mirror.c.
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
#define IDLE 50					/* between looks at the end of WAL */
#define SETTLE 2				/* until what was read is visible */
#define UNSETTLED 2				/* that this takes so many seconds is worth a word */
#define PACE 400				/* between writes, for each may begin a generation: */
#define SHARE 4					/* at least so many times as long as the last one took, */
#define LONGEST_WAIT 900		/* but no longer than this with such a write */
#define LOCKED 50				/* while the shop alters the table */
#define LOCKED_LONG 5000		/* then WAL is read on, and all is compared later */
#define FIRST_PAUSE 1000		/* after an error, doubled each time */
#define LONGEST_PAUSE 30000

/* Ms to wait for open transactions when the slot is made, doubled each time. */
#define FIRST_TIMEOUT 1000
#define LONGEST_TIMEOUT 16000

/* Ms that a first comparison waits for transactions that just committed. */
#define GRACE 200

static RecoDecode *decode = NULL;
static bool compare_due = true;
static bool missed_some = false;	/* the last comparison may have */
static RecoMoment next_write_at = 0;

static char *settings_in_force = NULL;	/* as the catalog's were acted on */

static long pause_length = FIRST_PAUSE;
static RecoMoment paused_until = 0;
static long open_timeout = FIRST_TIMEOUT;

static const char *
catalog_name(void)
{
	const RecoSource *source = reco_mirror_source();

	return source ? source->name : reco_catalog_table;
}

/* After an error with the catalog: show it, and try again later. */
static void
pause_after_error(MemoryContext context)
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

/* A look at the catalog: what it is for, and what it gave. */
typedef struct Look
{
	const RecoChanges *changes; /* NULL: all of it */
	RecoMirrorDelta *delta;
	RecoLook	result;
} Look;

/* Do what reads the catalog; false if that failed. */
static bool
attempt(void (*action) (Look *), Look *look)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = false;

	PG_TRY();
	{
		action(look);
		good = true;
	}
	PG_CATCH();
	{
		pause_after_error(context);
	}
	PG_END_TRY();
	return good;
}

static void
look_at_all(Look *look)
{
	look->result = reco_mirror_look_at_all(look->delta);
}

static void
look_whether_altered(Look *look)
{
	look->result = reco_mirror_look_whether_altered();
}

static void
look_up(Look *look)
{
	look->result = reco_mirror_look_up(look->delta, look->changes->keys, look->changes->nkeys);
}

static void
open_slot(Look *look)
{
	decode = reco_decode_open(open_timeout);
}

/* Let the slot reader know the tables that were found. */
static void
watch(void)
{
	const RecoSource *source = reco_mirror_source();

	if (decode != NULL && source != NULL)
		reco_decode_watch(decode, source);
}

/* Let what committed just now become visible; true: it takes longer. */
static bool
wait_for_missed(void)
{
	RecoMoment	until = reco_monotonic_after(GRACE);

	while (reco_decode_may_have_missed(decode) && !reco_monotonic_has_passed(until))
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000);
	}
	return reco_decode_may_have_missed(decode);
}

/* If the look could not have its locks, say so. */
static bool
was_locked(const Look *look)
{
	if (look->result == RECO_LOOK_LOCKED)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_WAITING, "waiting for a lock on %s", catalog_name());
	return look->result == RECO_LOOK_LOCKED;
}

static bool
is_paused(void)
{
	return !reco_monotonic_has_passed(paused_until);
}

/* Compare mirror and catalog, and write what differs; false: try again. */
static bool
compare_and_write(Look *look)
{
	if (!attempt(look_at_all, look) || was_locked(look))
		return false;
	if (open_timeout == FIRST_TIMEOUT)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_STARTING, "comparing the mirror with %s", catalog_name());
	while (reco_mirror_apply_some(look->delta))
		CHECK_FOR_INTERRUPTS();
	compare_due = false;

	/* Where the table is another one now, what it missed is compared again. */
	if (look->result == RECO_LOOK_ALTERED && decode != NULL)
	{
		watch();
		compare_due = true;
	}
	reco_service_set_mirror_ready(true);
	return true;
}

/* The same, if it may be done now. */
static bool
compare(void)
{
	Look		look = {0};
	bool		done;

	if (is_paused())
		return false;
	if (decode != NULL)
		missed_some = wait_for_missed();
	look.delta = reco_mirror_delta_create();
	done = compare_and_write(&look);
	reco_mirror_delta_free(look.delta);
	return done;
}

/* There is no slot yet: compare, and try to make one. */
static long
begin_to_follow(void)
{
	if ((compare_due && !compare()) || is_paused())
		return LOCKED;
	if (open_timeout == FIRST_TIMEOUT)
		reco_status_report(RECO_FOLLOW, RECO_HEALTH_STARTING, "making a replication slot to follow %s", catalog_name());
	if (!attempt(open_slot, NULL))
		return LOCKED;
	compare_due = true;
	if (decode == NULL)
	{
		open_timeout = Min(open_timeout * 2, LONGEST_TIMEOUT);
		reco_decode_tell_blocker(catalog_name());
	}
	else
	{
		open_timeout = FIRST_TIMEOUT;
		watch();
	}
	return 0;
}

/* The next write of the mirror comes some time after one that has ended now. */
static void
pace_writes(RecoMoment begin)
{
	long		took = reco_monotonic_since(begin);

	next_write_at = reco_monotonic_after(Max(PACE, Min(SHARE * took, LONGEST_WAIT - took)));
}

/* Look up the products that changed, and write what differs; false: try again. */
static bool
look_up_and_write(Look *look)
{
	RecoMoment	begin = reco_monotonic_now();

	if (!attempt(look->changes->nkeys > 0 ? look_up : look_whether_altered, look) || was_locked(look))
		return false;
	if (look->result == RECO_LOOK_ALTERED)
	{
		watch();
		compare_due = true;
	}
	else if (look->changes->nkeys > 0 && reco_mirror_apply(look->delta))
		pace_writes(begin);
	return true;
}

/* Apply the changes that were read; false if that has to be tried again. */
static bool
apply_changes(const RecoChanges *changes)
{
	Look		look = {.changes = changes};
	bool		done;

	if (changes->nkeys == 0 && !reco_mirror_is_stale())
		return true;
	look.delta = reco_mirror_delta_create();
	done = look_up_and_write(&look);
	reco_mirror_delta_free(look.delta);
	return done;
}

/* What a subscription has not brought is not known. */
static void
tell_lag(int64 messages, double seconds)
{
	const RecoSource *source = reco_mirror_source();

	if (source != NULL && !reco_subscription_check(source))
		messages = seconds = -1;
	reco_status_set_lag(RECO_FOLLOW, messages, seconds);
}

/* Seconds since the oldest change that is not applied yet. */
static double
report_lag(const RecoChanges *changes)
{
	double		seconds;

	seconds = changes->committed_at == 0 ? 0 :
		TimestampDifferenceMilliseconds(changes->committed_at, GetCurrentTimestamp()) / 1000.0;

	/* with a comparison due, changes that are not counted here wait for it: the lag grows */
	if (!compare_due)
		tell_lag(changes->nkeys, seconds);
	return seconds;
}

/* Read on, and apply what was read. */
static long
follow(void)
{
	static RecoMoment locked_due = 0;
	const RecoChanges *changes = reco_decode_read(decode);
	double		lag;

	lag = report_lag(changes);
	if (!reco_decode_settled(decode))
	{
		if (lag >= UNSETTLED)
			reco_status_report(RECO_FOLLOW, RECO_HEALTH_WAITING,
							   "waiting for changes of %s to be visible: their commit waits for a synchronous standby",
							   catalog_name());
		return lag < 1 ? SETTLE : IDLE;
	}
	if (missed_some && !reco_decode_may_have_missed(decode))
	{
		missed_some = false;
		compare_due = true;
	}
	if (changes->everything)
		compare_due = true;
	if (!compare_due && changes->nkeys > 0 && !reco_monotonic_has_passed(next_write_at))
		return Min(IDLE, reco_monotonic_left(next_write_at));
	if (!compare_due && !apply_changes(changes))
	{
		if (!reco_monotonic_has_passed(locked_due))
			return LOCKED;
		compare_due = true;
	}
	locked_due = reco_monotonic_after(LOCKED_LONG);

	/* A comparison covers all that was read, and may have to wait. */
	reco_decode_confirm(decode);
	if (compare_due)
		return compare() ? 0 : LOCKED;
	pause_length = FIRST_PAUSE;
	if (!missed_some)
		reco_service_set_follow_position(changes->position);
	tell_lag(0, 0);
	reco_status_report(RECO_FOLLOW, RECO_HEALTH_OK, "following %s", catalog_name());
	reco_trouble_end(RECO_FOLLOW, RECO_TROUBLE_CATALOG);
	return changes->more ? 0 : IDLE;
}

/* No catalog: the mirror is empty, and nothing is followed. */
static long
follow_nothing(void)
{
	if (decode != NULL)
		reco_decode_close(decode);
	decode = NULL;
	reco_service_set_follow_position(InvalidXLogRecPtr);
	if (compare_due && !compare())
		return LOCKED;
	reco_status_set_lag(RECO_FOLLOW, -1, -1);
	reco_trouble_drop(RECO_FOLLOW, RECO_TROUBLE_CATALOG);
	reco_subscription_forget();
	reco_status_report(RECO_FOLLOW, RECO_HEALTH_OK, "no catalog: reco.catalog_table is not set");
	return IDLE;
}

/* Act on the settings as they are now. */
static void
reload(void)
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
forget_position(int code, Datum arg)
{
	reco_service_set_follow_position(InvalidXLogRecPtr);
}

static void
start(void)
{
	before_shmem_exit(forget_position, (Datum) 0);
	reco_mirror_init();
	reload();
}

static long
step(void)
{
	long		next;
	long		due;

	if (!reco_source_is_configured())
		next = follow_nothing();
	else if (decode == NULL)
		next = begin_to_follow();
	else
		next = follow();
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
	.start = start,
	.step = step,
	.reloaded = reload,
};
