/*-------------------------------------------------------------------------
 *
 * subscription.c
 *	  Do the subscriptions that feed the catalog table run?
 *
 * If logical replication fills the table, it is not enough to follow it: while a
 * subscription is disabled or fails, the table is out of date, and there is no
 * telling by how much.  An apply worker that fails is restarted again and again,
 * so its errors are counted as well.
 *
 * Polls system catalogs and statistics, in a transaction of its own, and locks
 * nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/array.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "mirror/subscription.h"
#include "shmem/worker_status.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Interval between polls; ms. */
#define POLL_MS 2000

/* Polls in a row without an apply worker that are reported: one may just be starting. */
#define ABSENT_POLLS 3

/* Polls without another error until an error is over. */
#define CLEAN_POLLS 5

static RecoPlan subscriptions_plan = {
	"SELECT s.subname::text, s.subenabled,"
	" EXISTS (SELECT FROM pg_catalog.pg_stat_subscription w"
	"  WHERE w.subid = s.oid AND w.relid IS NULL AND w.pid IS NOT NULL),"
	" coalesce((SELECT e.apply_error_count + e.sync_error_count"
	"  FROM pg_catalog.pg_stat_subscription_stats e WHERE e.subid = s.oid), 0)"
	" FROM pg_catalog.pg_subscription s WHERE s.oid IN"
	" (SELECT r.srsubid FROM pg_catalog.pg_subscription_rel r WHERE r.srrelid = ANY ($1))"
	" ORDER BY s.subname",
	1, {OIDARRAYOID}
};

static RecoMoment poll_due = 0;
static int	absent = 0;			/* polls in a row without an apply worker */
static int	unclean = 0;		/* polls until the last error is over */
static int64 errors = -1;		/* of all subscriptions; -1: not polled yet */
static bool behind = false;

static void
subscription_report(const RecoSource *source, const char *name, const char *what, const char *hint)
{
	behind = true;
	reco_trouble_begin(RECO_FOLLOW, RECO_TROUBLE_SUBSCRIPTION, RECO_HEALTH_WAITING, hint,
					   "subscription \"%s\" feeds %s and %s", name, source->name, what);
}

/* Check one of them, and add its errors to the total; returns whether it is in trouble. */
static bool
subscription_check_one(const RecoSource *source, uint64 row, int64 *total, bool *runs)
{
	bool		null;
	char	   *name = text_to_cstring(DatumGetTextPP(reco_sql_value(row, 1, &null)));
	bool		enabled = DatumGetBool(reco_sql_value(row, 2, &null));
	bool		running = DatumGetBool(reco_sql_value(row, 3, &null));

	*total += DatumGetInt64(reco_sql_value(row, 4, &null));
	if (!enabled)
		subscription_report(source, name, "is disabled",
							psprintf("Run ALTER SUBSCRIPTION %s ENABLE.", quote_identifier(name)));
	else if (!running && absent + 1 >= ABSENT_POLLS)
		subscription_report(source, name, "does not run", "See the server's log for the error of its apply worker.");
	else if (unclean > 0)
		subscription_report(source, name, "has failed", "See the server's log for the error of its apply worker.");
	*runs &= running || !enabled;
	return !enabled || !running || unclean > 0;
}

static void
subscription_check_all(const RecoSource *source)
{
	Datum	   *oids = palloc(sizeof(Datum) * source->ntables);
	Datum		values[1];
	int64		total = 0;
	bool		runs = true;
	bool		wrong = false;
	uint64		rows;

	for (int i = 0; i < source->ntables; i++)
		oids[i] = ObjectIdGetDatum(source->tables[i]);
	values[0] = PointerGetDatum(reco_array(oids, source->ntables, OIDOID));
	rows = reco_sql_query(&subscriptions_plan, values, NULL, 0);
	for (uint64 row = 0; row < rows; row++)
		wrong |= subscription_check_one(source, row, &total, &runs);
	SPI_freetuptable(SPI_tuptable);

	absent = runs ? 0 : absent + 1;
	if (errors >= 0 && total > errors)
		unclean = CLEAN_POLLS;
	else if (unclean > 0)
		unclean--;
	errors = total;
	if (!wrong)
	{
		behind = false;
		reco_trouble_end(RECO_FOLLOW, RECO_TROUBLE_SUBSCRIPTION);
	}
}

bool
reco_subscription_check(const RecoSource *source)
{
	if (!reco_monotonic_has_passed(poll_due))
		return !behind;
	poll_due = reco_monotonic_after(POLL_MS);
	reco_sql_begin();
	subscription_check_all(source);
	reco_sql_commit();
	return !behind;
}

void
reco_subscription_forget(void)
{
	behind = false;
	poll_due = 0;
	absent = unclean = 0;
	errors = -1;
	reco_trouble_drop(RECO_FOLLOW, RECO_TROUBLE_SUBSCRIPTION);
}
