/*-------------------------------------------------------------------------
 *
 * named_tuplestore.c
 *	  Rows in memory that a statement reads as a relation.
 *
 * As the transition tables of triggers: a tuplestore with a name, known to
 * the statements of the caller's SPI connection while one of them runs.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/named_tuplestore.h"
#include "miscadmin.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

struct RecoTuplestore
{
	const char *name;
	TupleDesc	tupdesc;
	Tuplestorestate *rows;
	uint64		count;
};

/* Begin to take rows; beyond work_mem they go to a file. */
RecoTuplestore *
reco_tuplestore_open(const char *name, TupleDesc tupdesc)
{
	RecoTuplestore *feed = palloc(sizeof(RecoTuplestore));

	feed->name = name;
	feed->tupdesc = tupdesc;
	feed->rows = tuplestore_begin_heap(false, false, work_mem);
	feed->count = 0;
	return feed;
}

/* Take a row; it is copied. */
void
reco_tuplestore_put(RecoTuplestore *feed, Datum *values, bool *nulls)
{
	tuplestore_putvalues(feed->rows, feed->tupdesc, values, nulls);
	feed->count++;
}

/* Let the statements of the caller's SPI connection see the relation. */
static void
feed_register(RecoTuplestore *feed)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(feed->name);
	relation->md.tupdesc = feed->tupdesc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = feed->count;
	relation->reldata = feed->rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation \"%s\"", feed->name);
}

static void
feed_close(RecoTuplestore *feed)
{
	tuplestore_end(feed->rows);
	pfree(feed);
}

/*
 * Run the statement that reads the relation, if there are rows; this ends the
 * feed.  Returns how many rows it had.
 */
uint64
reco_tuplestore_run(RecoTuplestore *feed, RecoPlan *plan)
{
	uint64		count = feed->count;

	if (count > 0)
	{
		feed_register(feed);
		reco_sql_execute(plan, NULL, NULL);
		SPI_unregister_relation(feed->name);
	}
	feed_close(feed);
	return count;
}

/*
 * Run the query that reads the relation, under the active snapshot; its rows
 * go to the receiver, and this ends the feed.  The query is parsed anew each
 * time, since the planner's idea of the relation's size is fixed then.
 */
void
reco_tuplestore_query(RecoTuplestore *feed, RecoPlan *plan, Datum *values, DestReceiver *receiver)
{
	feed_register(feed);
	reco_sql_send(plan, values, receiver);
	SPI_unregister_relation(feed->name);
	feed_close(feed);
}
