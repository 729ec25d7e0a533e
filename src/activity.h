/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  The partitions of reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ACTIVITY_H
#define RECO_ACTIVITY_H

#include "state.h"
#include "storage/lockdefs.h"

/* Pages that an entry of a partition's BRIN index spans. */
#define RECO_ACTIVITY_RANGE 32

/* Partitions from the horizon to a moment are there afterwards. */
extern void reco_activity_prepare(const RecoState *state, TimestampTz upto);

/* The ingest worker's: a transaction with reco's lock and one on reco.activity. */
extern void reco_activity_begin(LOCKMODE mode);

/* The ingest worker's, outside any transaction: a partition before the horizon goes. */
extern void reco_activity_maintain(void);

#endif							/* RECO_ACTIVITY_H */
