/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  The partitions of reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITION_H
#define RECO_PARTITION_H

#include "engine/state.h"
#include "storage/lockdefs.h"

/* Pages that an entry of a partition's BRIN index spans. */
#define RECO_ACTIVITY_RANGE 32

/* Partitions from the horizon to a moment are there afterwards. */
extern void reco_activity_prepare(const RecoState *state, TimestampTz upto);

/* reco's lock and one on reco.activity, for the rest of the transaction. */
extern void reco_activity_lock(LOCKMODE mode);

/* The ingest worker's, outside any transaction: a partition before the horizon goes. */
extern void reco_activity_maintain(void);

#endif							/* RECO_PARTITION_H */
