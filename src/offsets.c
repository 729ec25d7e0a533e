/*-------------------------------------------------------------------------
 *
 * offsets.c
 *	  Where ingestion goes on: reco.offsets and reco.kafka_topic.
 *
 * All of it runs inside a transaction of the ingest worker, who alone writes
 * these tables: offsets change together with the events before them.  The
 * tables are unlogged, as what was made of those events is.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "offsets.h"
#include "sql.h"
#include "utils/array.h"
#include "utils/builtins.h"

static RecoPlan load_plan = {
	"SELECT partition, next_offset FROM reco.offsets WHERE topic = $1",
	1, {TEXTOID}
};

static RecoPlan store_plan = {
	"INSERT INTO reco.offsets AS o (topic, partition, next_offset)"
	" SELECT $1, p, n FROM unnest($2, $3) AS u(p, n)"
	" ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
	3, {TEXTOID, INT4ARRAYOID, INT8ARRAYOID}
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

/*
 * Read the positions of a topic's partitions, in no order; returns how many.
 * They are put into a memory context that outlives the transaction.
 */
int
reco_offsets_load(const char *topic, MemoryContext context, RecoPosition **positions)
{
	Datum		values[1] = {CStringGetTextDatum(topic)};
	uint64		count = reco_sql_query(&load_plan, values, NULL, 0);

	*positions = MemoryContextAlloc(context, Max(count, 1) * sizeof(RecoPosition));
	for (uint64 i = 0; i < count; i++)
	{
		bool		null;

		(*positions)[i].partition = DatumGetInt32(reco_sql_value(i, 1, &null));
		(*positions)[i].offset = DatumGetInt64(reco_sql_value(i, 2, &null));
	}
	return count;
}

/* Note where these partitions go on. */
void
reco_offsets_store(const char *topic, const RecoPosition *positions, int count)
{
	Datum	   *partitions = palloc(count * sizeof(Datum));
	Datum	   *offsets = palloc(count * sizeof(Datum));
	Datum		values[3];

	for (int i = 0; i < count; i++)
	{
		partitions[i] = Int32GetDatum(positions[i].partition);
		offsets[i] = Int64GetDatum(positions[i].offset);
	}
	values[0] = CStringGetTextDatum(topic);
	values[1] = PointerGetDatum(construct_array(partitions, count, INT4OID,
												sizeof(int32), true, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(offsets, count, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	reco_sql_execute(&store_plan, values, NULL);
}

/* The offsets of a topic mean nothing any more. */
void
reco_offsets_forget(const char *topic)
{
	Datum		values[1] = {CStringGetTextDatum(topic)};

	reco_sql_execute(&forget_plan, values, NULL);
}

/* What is known of a topic; its cluster is put into that context. */
RecoTopic
reco_topic_load(const char *topic, MemoryContext context)
{
	Datum		values[1] = {CStringGetTextDatum(topic)};
	RecoTopic	state = {NULL, false};

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
reco_topic_store(const char *topic, const RecoTopic *state)
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
