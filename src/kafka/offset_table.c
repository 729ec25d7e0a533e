/*-------------------------------------------------------------------------
 *
 * offset_table.c
 *	  The next offsets to ingest: reco.offsets and reco.kafka_topic.
 *
 * All functions run inside a transaction of the ingest worker, the only writer
 * of these tables: offsets change together with the events before them.  The
 * tables are unlogged, like what is derived from those events.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "catalog/pg_type.h"
#include "common/spi.h"
#include "heap/keyed_table.h"
#include "kafka/offset_table.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

static RecoPlan load_plan = {
	"SELECT partition, next_offset, trail FROM reco.offsets"
	" WHERE topic = $1 AND partition >= 0 AND next_offset >= 0",
	1, {TEXTOID}
};

static RecoPlan forget_plan = {
	"DELETE FROM reco.offsets WHERE topic = $1",
	1, {TEXTOID}
};

static RecoPlan load_topic_plan = {
	"SELECT cluster_id, replaying FROM reco.kafka_topic WHERE topic = $1",
	1, {TEXTOID}
};

static RecoPlan store_topic_plan = {
	"INSERT INTO reco.kafka_topic (topic, cluster_id, replaying) VALUES ($1, $2, $3)"
	" ON CONFLICT (topic) DO UPDATE"
	" SET cluster_id = excluded.cluster_id, replaying = excluded.replaying",
	3, {TEXTOID, TEXTOID, BOOLOID}
};

static RecoTidCache *tid_cache = NULL;
static const RecoTableDef by_partition = {
	"offsets", "offsets_pkey", 2, {F_TEXTEQ, F_INT4EQ}, &tid_cache
};

/*
 * Read the checkpoints of a topic's partitions, in no order, into a memory
 * context that outlives the transaction; returns how many.  Rows with negative
 * numbers are skipped, since a DBA may have dropped the constraints.
 */
int
reco_offsets_load(const char *topic, MemoryContext context, RecoCheckpoint **checkpoints)
{
	Datum		values[1] = {CStringGetTextDatum(topic)};
	uint64		count = reco_sql_query(&load_plan, values, NULL, 0);

	*checkpoints = MemoryContextAllocZero(context, Max(count, 1) * sizeof(RecoCheckpoint));
	for (uint64 i = 0; i < count; i++)
	{
		RecoCheckpoint *checkpoint = &(*checkpoints)[i];
		bool		null;
		Datum		trail;

		checkpoint->position.partition = DatumGetInt32(reco_sql_value(i, 1, &null));
		checkpoint->position.offset = DatumGetInt64(reco_sql_value(i, 2, &null));
		trail = reco_sql_value(i, 3, &null);
		if (null)
			continue;
		checkpoint->trail = MemoryContextAlloc(context, sizeof(RecoTrail));
		if (!reco_trail_unpack(checkpoint->trail, DatumGetByteaPP(trail)))
			ereport(WARNING,
					(errmsg("column \"trail\" of table \"reco.offsets\" is damaged for partition %d of topic \"%s\"",
							checkpoint->position.partition, topic),
					 errdetail("If the partition has changed since it was last read, that will not be noticed.")));
		reco_trail_cut(checkpoint->trail, checkpoint->position.offset);
	}
	return count;
}

/*
 * Store checkpoints.  Row by row: an upsert would visit each version that an old
 * snapshot keeps, see keyed_table_update_plain.  Waits for a DBA who is changing
 * offsets.
 */
void
reco_offsets_store(const char *topic, const RecoCheckpoint *checkpoints, int count)
{
	RecoTable  *table;
	Datum		values[4] = {CStringGetTextDatum(topic)};
	bool		nulls[4] = {false, false, false, false};

	LockRelationOid(reco_sql_table("offsets"), ShareRowExclusiveLock);
	table = reco_table_open(NULL, &by_partition);
	for (int i = 0; i < count; i++)
	{
		TupleTableSlot *row;

		values[1] = Int32GetDatum(checkpoints[i].position.partition);
		values[2] = Int64GetDatum(checkpoints[i].position.offset);
		nulls[3] = checkpoints[i].trail == NULL;
		if (!nulls[3])
			values[3] = PointerGetDatum(reco_trail_pack(checkpoints[i].trail));
		row = reco_table_fetch(table, values);
		if (row != NULL)
			reco_table_update(table, row, values, nulls);
		else
			reco_table_insert(table, values, nulls);
	}
	reco_table_close(table);
}

/* Delete the checkpoints of a topic. */
void
reco_offsets_forget(const char *topic)
{
	Datum		values[1] = {CStringGetTextDatum(topic)};

	reco_sql_execute(&forget_plan, values, NULL);
}

/* Read the state of a topic; its cluster is allocated in the context. */
RecoTopicState
reco_offsets_load_topic(const char *topic, MemoryContext context)
{
	Datum		values[1] = {CStringGetTextDatum(topic)};
	RecoTopicState state = {NULL, false};

	if (reco_sql_query(&load_topic_plan, values, NULL, 1) > 0)
	{
		char	   *cluster = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		bool		null;

		if (cluster != NULL)
			state.cluster = MemoryContextStrdup(context, cluster);
		state.replaying = DatumGetBool(reco_sql_value(0, 2, &null));
	}
	return state;
}

void
reco_offsets_store_topic(const char *topic, const RecoTopicState *state)
{
	Datum		values[3] = {CStringGetTextDatum(topic)};
	char		nulls[3] = {' ', ' ', ' '};

	if (state->cluster != NULL)
		values[1] = CStringGetTextDatum(state->cluster);
	else
		nulls[1] = 'n';
	values[2] = BoolGetDatum(state->replaying);
	reco_sql_execute(&store_topic_plan, values, nulls);
}
