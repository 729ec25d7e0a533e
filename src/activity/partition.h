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

/* Pages that an entry of a partition's BRIN index spans. */
#define RECO_ACTIVITY_RANGE 32

/* Partitions from the horizon to some hours ahead of the clock are there afterwards. */
extern void reco_partition_make_ahead(const RecoState *state);

/* A partition before the horizon goes, if its locks are free. */
extern void reco_partition_drop_oldest(const RecoState *state);

#endif							/* RECO_PARTITION_H */
