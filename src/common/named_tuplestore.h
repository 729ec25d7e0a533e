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

typedef struct RecoFeed RecoFeed;

extern RecoFeed *reco_feed_open(const char *name, TupleDesc tupdesc);
extern void reco_feed_put(RecoFeed *feed, Datum *values, bool *nulls);
extern uint64 reco_feed_run(RecoFeed *feed, RecoPlan *plan);
extern void reco_feed_query(RecoFeed *feed, RecoPlan *plan, Datum *values,
							DestReceiver *receiver);

#endif							/* RECO_NAMED_TUPLESTORE_H */
