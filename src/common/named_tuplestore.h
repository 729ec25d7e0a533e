/*-------------------------------------------------------------------------
 *
 * named_tuplestore.h
 *	  Rows in memory that a statement reads as a relation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_NAMED_TUPLESTORE_H
#define RECO_NAMED_TUPLESTORE_H

#include "access/tupdesc.h"
#include "common/spi.h"

typedef struct RecoTuplestore RecoTuplestore;

extern RecoTuplestore *reco_tuplestore_open(const char *name, TupleDesc tupdesc);
extern void reco_tuplestore_put(RecoTuplestore *store, Datum *values, bool *nulls);
extern uint64 reco_tuplestore_run(RecoTuplestore *store, RecoPlan *plan);
extern void reco_tuplestore_query(RecoTuplestore *store, RecoPlan *plan, Datum *values,
								  DestReceiver *receiver);

#endif							/* RECO_NAMED_TUPLESTORE_H */
