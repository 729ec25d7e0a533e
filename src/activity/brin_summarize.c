/*-------------------------------------------------------------------------
 *
 * brin_summarize.c
 *	  Keeping the BRIN indexes of reco.activity up to date.
 *
 * Views that age out are found by the BRIN index of their partition.  Ranges
 * of full pages are summarized once a second, in small steps.  Building the
 * index of an hour when it was over took 1.4 s for each 10 million rows, and
 * nothing was ingested meanwhile.
 *
 * Ranges that are not summarized are scanned, so nothing depends on this: if
 * a lock is not granted at once, the next step tries again.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "access/relation.h"
#include "activity/brin_summarize.h"
#include "activity/partition.h"
#include "catalog/pg_type.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Milliseconds between two rounds. */
#define INTERVAL 1000

/* Ranges summarized in one step, in about 20 ms. */
#define MAX_RANGES 64

/* Longest wait for a lock on a partition, in ms. */
#define LOCK_WAIT 10

/* The index of a partition. */
typedef struct PartitionIndex
{
	Oid			oid;
	Oid			filenode;		/* TRUNCATE replaces it */
	Oid			table;
	int64		blocks;			/* of the table */
	int64		done;			/* all blocks before this one are summarized */
} PartitionIndex;

static RecoPlan list_plan = {
	"SELECT c.oid, pg_relation_filenode(c.oid), i.indrelid"
	" FROM pg_inherits h JOIN pg_index i ON i.indrelid = h.inhrelid JOIN pg_class c ON c.oid = i.indexrelid"
	" WHERE h.inhparent = $1 AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'brin')"
	" AND pg_has_role(c.relowner, 'USAGE')",
	1, {OIDOID}
};
static RecoPlan summarize_plan = {
	"SELECT brin_summarize_range($1, block) FROM generate_series($2, $3 - $4, $4) AS block",
	4, {OIDOID, INT8OID, INT8OID, INT8OID}
};

/* As found in the last round. */
static PartitionIndex *indexes = NULL;
static int	nindexes = 0;

/* The block up to which an index is summarized, as far as known. */
static int64
brin_find_done(Oid filenode)
{
	for (int i = 0; i < nindexes; i++)
		if (indexes[i].filenode == filenode)
			return indexes[i].done;
	return 0;
}

/* The size of a partition; 0 if it is locked exclusively, or gone. */
static BlockNumber
brin_count_blocks(Oid table)
{
	Relation	relation;
	BlockNumber blocks;

	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return 0;
	relation = try_relation_open(table, NoLock);
	if (relation == NULL)
		return 0;
	blocks = RelationGetNumberOfBlocks(relation);
	relation_close(relation, NoLock);
	return blocks;
}

static void
brin_poll(void)
{
	Datum		values[1];
	PartitionIndex *found;
	int			count;
	bool		null;

	reco_sql_begin();
	values[0] = ObjectIdGetDatum(reco_sql_table("activity"));
	count = (int) reco_sql_query(&list_plan, values, NULL, 0);
	found = MemoryContextAlloc(TopMemoryContext, Max(1, count) * sizeof(PartitionIndex));
	for (int i = 0; i < count; i++)
	{
		found[i].oid = DatumGetObjectId(reco_sql_value(i, 1, &null));
		found[i].filenode = DatumGetObjectId(reco_sql_value(i, 2, &null));
		found[i].table = DatumGetObjectId(reco_sql_value(i, 3, &null));
		found[i].blocks = brin_count_blocks(found[i].table);
		found[i].done = brin_find_done(found[i].filenode);
	}
	if (indexes != NULL)
		pfree(indexes);
	indexes = found;
	nindexes = count;
	reco_sql_commit();
}

/* Summarize some ranges of full pages; false if there are more. */
static bool
brin_summarize(PartitionIndex *index, int64 *ranges)
{
	int64		full = index->blocks / RECO_ACTIVITY_RANGE * RECO_ACTIVITY_RANGE;
	int64		upto = Min(full, index->done + *ranges * RECO_ACTIVITY_RANGE);
	Datum		values[4] = {ObjectIdGetDatum(index->oid), Int64GetDatum(index->done),
	Int64GetDatum(upto), Int64GetDatum(RECO_ACTIVITY_RANGE)};

	if (index->done >= full)
		return true;
	if (*ranges == 0)
		return false;
	*ranges -= (upto - index->done) / RECO_ACTIVITY_RANGE;
	reco_sql_begin();
	if (!reco_sql_lock_table(index->table, ShareUpdateExclusiveLock, LOCK_WAIT))
		upto = full;			/* in the next round */
	else if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(index->oid)))
	{
		reco_sql_query(&summarize_plan, values, NULL, 0);
		SPI_freetuptable(SPI_tuptable);
		index->done = upto;
	}
	reco_sql_commit();
	return upto == full;
}

long
reco_summarize_step(void)
{
	static RecoMoment due = 0;
	static bool done = true;
	int64		ranges = MAX_RANGES;

	if (done && !reco_monotonic_has_passed(due))
		return reco_monotonic_left(due);
	if (done)
	{
		due = reco_monotonic_after(INTERVAL);
		brin_poll();
	}
	done = true;
	for (int i = 0; i < nindexes; i++)
		done &= brin_summarize(&indexes[i], &ranges);
	return done ? INTERVAL : 0;
}
