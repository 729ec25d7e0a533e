/*-------------------------------------------------------------------------
 *
 * partition_upkeep.h
 *	  How the ingest worker makes and drops partitions of reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITION_UPKEEP_H
#define RECO_PARTITION_UPKEEP_H

#include "datatype/timestamp.h"

/*
 * Called outside of transactions; failures are reported by reco_status(), and
 * tried again later.
 */
extern bool reco_partition_upkeep_make(TimestampTz clock, TimestampTz wall);
extern void reco_partition_upkeep_drop(void);

#endif							/* RECO_PARTITION_UPKEEP_H */
