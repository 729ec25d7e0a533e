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

/* Pages per range of a partition's BRIN index. */
#define RECO_ACTIVITY_RANGE 32

/* Makes the partitions from the horizon to some hours ahead of the clock. */
extern void reco_partition_make_ahead(const RecoState *state);

/* Drops a partition before the horizon, if its locks are free. */
extern void reco_partition_drop_oldest(const RecoState *state);

#endif							/* RECO_PARTITION_H */
