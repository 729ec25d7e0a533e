/*-------------------------------------------------------------------------
 *
 * partition_upkeep.h
 *	  The ingest worker's care for the partitions of reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PARTITION_UPKEEP_H
#define RECO_PARTITION_UPKEEP_H

#include "datatype/timestamp.h"

/* Outside any transaction; what fails is told by reco_status(), and tried again later. */
extern bool reco_partition_upkeep_make(TimestampTz clock, TimestampTz wall);
extern void reco_partition_upkeep_drop(void);

#endif							/* RECO_PARTITION_UPKEEP_H */
