/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  The partitions of reco.activity.
 *
 * The parent is a plain table; its partitions are unlogged and members of the
 * extension, so pg_dump leaves them out.  They are made ahead of time, with
 * ATTACH, which blocks neither readers nor writers.  Each spans the smallest
 * multiple of W that keeps their number low.
 *
 * Dropping one requires an exclusive lock on the parent.  That happens in a
 * transaction of its own, never under reco's lock, and gives up after a
 * moment: a long reader, such as pg_dump, must not stall the ingestion that
 * would queue behind it.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/table.h"
#include "activity/membership.h"
#include "activity/partition.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "common/guc.h"
#include "common/spi.h"
#include "engine/write.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Approximate number of partitions for the time that is kept, and for the time ahead. */
#define PARTITIONS 50

/*
 * Partitions are made for this much more than clock + max_future: 60 s, and
 * several partitions, so that whatever keeps them from being made may last for
 * hours.
 */
#define AHEAD (60 * USECS_PER_SEC)
#define AHEAD_PARTITIONS 4

/* Longest wait for a lock on the parent, in ms. */
#define LOCK_WAIT 50

/* Timeout of a worker's command, whatever event triggers do, in ms. */
#define PATIENCE 3000

typedef struct PartitionLeaf
{
	Oid			oid;
	TimestampTz lower;
	TimestampTz upper;
} PartitionLeaf;

/* A partition that somebody else has made may have no bound. */
static TimestampTz
partition_bound_at(PartitionBoundInfo bounds, int i)
{
	switch (bounds->kind[i][0])
	{
		case PARTITION_RANGE_DATUM_MINVALUE:
			return DT_NOBEGIN;
		case PARTITION_RANGE_DATUM_MAXVALUE:
			return DT_NOEND;
		default:
			return DatumGetTimestampTz(bounds->datums[i][0]);
	}
}

/* List the existing partitions, by time; returns their number. */
static int
partition_read_all(PartitionLeaf **leaves)
{
	Relation	parent = table_open(reco_sql_table("activity"), AccessShareLock);
	PartitionDesc desc = RelationGetPartitionDesc(parent, true);
	PartitionBoundInfo bounds = desc->boundinfo;
	int			count = 0;

	*leaves = palloc(Max(1, desc->nparts) * sizeof(PartitionLeaf));
	for (int i = 1; bounds != NULL && i < bounds->ndatums; i++)
	{
		PartitionLeaf *leaf = &(*leaves)[count];

		if (bounds->indexes[i] < 0)
			continue;
		leaf->oid = desc->oids[bounds->indexes[i]];
		leaf->lower = partition_bound_at(bounds, i - 1);
		leaf->upper = partition_bound_at(bounds, i);
		count++;
	}
	table_close(parent, AccessShareLock);
	return count;
}

/* The length of time that a partition spans. */
static int64
partition_span(const RecoState *state)
{
	int64		window = state->trending_window * USECS_PER_SEC;
	int64		least = Max(state->retention, reco_max_future) * USECS_PER_SEC / PARTITIONS;

	return Max(1, (least + window - 1) / window) * window;
}

/* The boundary at or before a time. */
static TimestampTz
partition_boundary(const RecoState *state, TimestampTz at)
{
	RecoState	spanned = *state;

	spanned.trending_window = partition_span(state) / USECS_PER_SEC;
	return reco_state_window(&spanned, at);
}

/* Run a command.  Others wait for the locks that it takes, so a worker limits its time. */
static void
partition_run_ddl(const char *command)
{
	bool		limited = MyBackendType == B_BG_WORKER && !get_timeout_active(STATEMENT_TIMEOUT);
	int			result;

	if (limited)
		enable_timeout_after(STATEMENT_TIMEOUT, PATIENCE);
	result = SPI_execute(command, false, 0);
	if (limited)
		disable_timeout(STATEMENT_TIMEOUT, false);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", command, SPI_result_code_string(result));
}

/* A time as text, in UTC whatever the session's time zone. */
static char *
partition_format_bound(TimestampTz at, const char *format)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return psprintf(format, tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

#define ISO_FORMAT "%04d-%02d-%02d %02d:%02d:%02d+00"
#define NAME_FORMAT "activity_%04d%02d%02d_%02d%02d%02d"

/*
 * Make the partition that spans from lower to upper.
 *
 * Autovacuum is off: it would scan the partition that rows are inserted into
 * every minute, for a second each, to set the visibility of rows that nobody
 * looks up.
 */
static void
partition_make(TimestampTz lower, TimestampTz upper)
{
	char	   *name = partition_format_bound(lower, NAME_FORMAT);

	partition_run_ddl(psprintf("CREATE UNLOGGED TABLE reco.%s"
							   " (LIKE reco.activity INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
							   " WITH (autovacuum_vacuum_insert_threshold = -1,"
							   " autovacuum_analyze_scale_factor = 1)", name));
	partition_run_ddl(psprintf("CREATE INDEX ON reco.%s USING brin (\"timestamp\") WITH (pages_per_range = %d)",
							   name, RECO_ACTIVITY_RANGE));
	partition_run_ddl(psprintf("CREATE TRIGGER reject BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"
							   " ON reco.%s FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_rejected()", name));
	partition_run_ddl(psprintf("ALTER TABLE reco.%s ENABLE ALWAYS TRIGGER reject", name));
	reco_membership_begin(reco_sql_table(name));
	partition_run_ddl(psprintf("ALTER TABLE reco.activity ATTACH PARTITION reco.%s"
							   " FOR VALUES FROM ('%s') TO ('%s')", name,
							   partition_format_bound(lower, ISO_FORMAT), partition_format_bound(upper, ISO_FORMAT)));
}

/*
 * Find the partitions that are missing between the horizon and a time, and
 * make them if make is true; returns whether any is missing.
 */
static bool
partition_fill(const RecoState *state, TimestampTz upto, bool make)
{
	int64		span = partition_span(state);
	TimestampTz at = partition_boundary(state, state->horizon);
	bool		missing = false;
	PartitionLeaf *leaves;
	int			count = partition_read_all(&leaves);

	for (int i = 0; i <= count; i++)
	{
		TimestampTz end = i < count ? leaves[i].lower : upto + 1;

		while (at < end && at <= upto)
		{
			TimestampTz next = partition_boundary(state, at) + span;

			if (i < count)
				next = Min(next, leaves[i].lower);
			missing = true;
			if (make)
				partition_make(at, next);
			at = next;
		}
		if (i < count)
			at = Max(at, leaves[i].upper);
	}
	pfree(leaves);
	return missing;
}

/*
 * Make the partitions that are missing between the horizon and the time ahead.
 * A clock that leaps leaves a gap before its horizon, where nothing is kept.
 *
 * Takes reco's lock first if there are any, because making a table a member of
 * the extension would wait for it while the parent is locked.
 */
void
reco_partition_make_ahead(const RecoState *state)
{
	int64		ahead = (reco_max_future + state->trending_window) * USECS_PER_SEC +
		Max(AHEAD, AHEAD_PARTITIONS * partition_span(state));
	TimestampTz upto = state->clock + ahead;

	if (!partition_fill(state, upto, false))
		return;
	reco_write_lock(ShareUpdateExclusiveLock);
	partition_fill(state, upto, true);
}

/* The oldest of reco's partitions that lies before the horizon; InvalidOid if there is none. */
static Oid
partition_find_passed(const RecoState *state)
{
	Oid			extension = get_extension_oid("reco", false);
	PartitionLeaf *leaves;
	int			count = partition_read_all(&leaves);

	for (int i = 0; i < count && leaves[i].upper <= state->horizon; i++)
	{
		if (getExtensionOfObject(RelationRelationId, leaves[i].oid) == extension)
			return leaves[i].oid;
	}
	return InvalidOid;
}

/*
 * Drop the oldest partition if it lies before the horizon; not those that
 * others have attached.
 */
void
reco_partition_drop_oldest(const RecoState *state)
{
	Oid			oldest = partition_find_passed(state);
	char	   *name;

	if (!OidIsValid(oldest))
		return;
	if (!reco_sql_lock_table(reco_sql_table("activity"), AccessExclusiveLock, LOCK_WAIT) ||
		!reco_sql_lock_table(oldest, AccessExclusiveLock, LOCK_WAIT))
		return;
	name = get_rel_name(oldest);
	if (name == NULL)
		return;					/* it was dropped before it was locked */
	name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(oldest)), name);
	reco_membership_end(oldest);
	partition_run_ddl(psprintf("DROP TABLE %s", name));
}
