/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  The bounds of reco.rejected.
 *
 * Refused messages go when they are too old or too many, oldest first, some
 * at a time in transactions of the ingest worker.  Nothing is derived from
 * them, so reco's lock is not needed.
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

/* Rows that one transaction deletes at most. */
#define CHUNK 10000

static RecoPlan old_plan = {
	"DELETE FROM reco.rejected WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM reco.rejected"
	" WHERE rejected_at < pg_catalog.now() - pg_catalog.make_interval(secs => $1) LIMIT $2))",
	2, {INT4OID, INT4OID}
};

static RecoPlan count_plan = {
	"SELECT pg_catalog.count(*) FROM reco.rejected"
};

static RecoPlan surplus_plan = {
	"DELETE FROM reco.rejected WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM reco.rejected ORDER BY rejected_at LIMIT $1))",
	1, {INT4OID}
};

/* Rows beyond reco.rejected_max_rows. */
static int64
surplus(void)
{
	bool		null;

	reco_sql_query(&count_plan, NULL, NULL, 1);
	return DatumGetInt64(reco_sql_value(0, 1, &null)) - reco_rejected_max_rows;
}

/*
 * Delete some rows that are not to be kept; returns whether there may be
 * more.  The rows are only counted when some have come since.
 */
bool
reco_rejected_trim(void)
{
	static uint64 counted = 0;
	uint64		rejected = reco_counter_value(RECO_COUNT_REJECTED);
	Datum		values[2] = {Int32GetDatum(reco_rejected_max_age), Int32GetDatum(CHUNK)};
	uint64		deleted;
	int64		rest = 0;

	reco_sql_begin();
	deleted = reco_sql_execute(&old_plan, values, NULL);
	if (rejected != counted)
	{
		rest = surplus();
		if (rest > 0)
		{
			values[0] = Int32GetDatum((int32) Min(rest, CHUNK));
			rest -= reco_sql_execute(&surplus_plan, values, NULL);
		}
	}
	reco_sql_commit();

	if (rest <= 0)
		counted = rejected;
	return deleted == CHUNK || rest > 0;
}
