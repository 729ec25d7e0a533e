/*-------------------------------------------------------------------------
 *
 * named_tuplestore.c
 *	  Rows in memory that a statement reads as a relation.
 *
 * An ephemeral named relation, as the transition tables of triggers are: a
 * tuplestore with a name that a statement of the caller's SPI connection can
 * use as a table.
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

/* Create an empty tuplestore; beyond work_mem it spills to disk. */
RecoTuplestore *
reco_tuplestore_open(const char *name, TupleDesc tupdesc)
{
	RecoTuplestore *store = palloc(sizeof(RecoTuplestore));

	store->name = name;
	store->tupdesc = tupdesc;
	store->rows = tuplestore_begin_heap(false, false, work_mem);
	store->count = 0;
	return store;
}

/* Add a row, which is copied. */
void
reco_tuplestore_put(RecoTuplestore *store, Datum *values, bool *nulls)
{
	tuplestore_putvalues(store->rows, store->tupdesc, values, nulls);
	store->count++;
}

/* Make the relation visible to the caller's SPI connection. */
static void
named_tuplestore_register(RecoTuplestore *store)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(store->name);
	relation->md.tupdesc = store->tupdesc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = store->count;
	relation->reldata = store->rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation \"%s\"", store->name);
}

static void
named_tuplestore_close(RecoTuplestore *store)
{
	tuplestore_end(store->rows);
	pfree(store);
}

/*
 * Run the statement that reads the relation, if there are rows, and free the
 * tuplestore.  Returns how many rows it had.
 */
uint64
reco_tuplestore_run(RecoTuplestore *store, RecoPlan *plan)
{
	uint64		count = store->count;

	if (count > 0)
	{
		named_tuplestore_register(store);
		reco_sql_execute(plan, NULL, NULL);
		SPI_unregister_relation(store->name);
	}
	named_tuplestore_close(store);
	return count;
}

/*
 * Run the query that reads the relation, under the active snapshot, send its
 * rows to the receiver, and free the tuplestore.  The query is parsed each
 * time, because the planner's estimate of the relation's size is fixed then.
 */
void
reco_tuplestore_query(RecoTuplestore *store, RecoPlan *plan, Datum *values, DestReceiver *receiver)
{
	named_tuplestore_register(store);
	reco_sql_send(plan, values, receiver);
	SPI_unregister_relation(store->name);
	named_tuplestore_close(store);
}
