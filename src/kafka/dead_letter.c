/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  Trimming of reco.rejected, the dead letters.
 *
 * Rejected messages that are too old, too many or too large are deleted, oldest
 * first, in transactions of the ingest worker of limited size.  Nothing is
 * derived from them, so reco's lock is not needed.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/guc.h"
#include "common/spi.h"
#include "kafka/dead_letter.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"

/* Rows that a transaction deletes at most. */
#define CHUNK 10000

static RecoPlan old_plan = {
	"DELETE FROM reco.rejected WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM reco.rejected"
	" WHERE rejected_at < pg_catalog.now() - pg_catalog.make_interval(secs => $1) LIMIT $2))",
	2, {INT4OID, INT4OID}
};

static RecoPlan size_plan = {
	"SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.pg_column_size(r.*)), 0)::bigint"
	" FROM reco.rejected r"
};

static RecoPlan surplus_plan = {
	"DELETE FROM reco.rejected WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM reco.rejected ORDER BY rejected_at LIMIT $1))",
	1, {INT4OID}
};

/* The counter of rejected messages when the table was last within its limits. */
static uint64 rejected_when_measured = 0;

/*
 * The number of rows beyond reco.rejected_max_rows or reco.rejected_max_bytes.
 * Assumes rows of average size; another call corrects that.
 */
static int64
dead_letter_surplus(void)
{
	bool		null;
	int64		rows;
	int64		bytes;
	int64		max_bytes = (int64) reco_rejected_max_bytes * 1024;
	int64		too_large = 0;

	reco_sql_query(&size_plan, NULL, NULL, 1);
	rows = DatumGetInt64(reco_sql_value(0, 1, &null));
	bytes = DatumGetInt64(reco_sql_value(0, 2, &null));
	if (bytes > max_bytes)
		too_large = Max(1, (int64) (rows * (1.0 - (double) max_bytes / bytes)));
	return Max(rows - reco_rejected_max_rows, too_large);
}

/* Have enough messages been rejected that the table should be trimmed early? */
bool
reco_dead_letter_is_flooded(void)
{
	uint64		per_row = Max(1, (uint64) reco_rejected_max_bytes / 4);

	return reco_metrics_value(RECO_METRIC_REJECTED) - rejected_when_measured >
		Min((uint64) reco_rejected_max_rows / 4, per_row) + 1000;
}

/*
 * Delete some rows beyond the limits; returns whether there may be more.  Rows
 * are only measured if some have been rejected since.
 */
bool
reco_dead_letter_trim(void)
{
	uint64		rejected = reco_metrics_value(RECO_METRIC_REJECTED);
	Datum		values[2] = {Int32GetDatum(reco_rejected_max_age), Int32GetDatum(CHUNK)};
	uint64		deleted;
	bool		more;
	int64		rest = 0;

	reco_sql_begin();
	deleted = reco_sql_execute(&old_plan, values, NULL);
	more = deleted == CHUNK;
	if (rejected != rejected_when_measured)
	{
		rest = dead_letter_surplus();
		if (rest > 0)
		{
			values[0] = Int32GetDatum((int32) Min(rest, CHUNK));
			more = reco_sql_execute(&surplus_plan, values, NULL) > 0 || more;
		}
	}
	reco_sql_commit();

	if (rest <= 0)
		rejected_when_measured = rejected;
	return more;
}
