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

/* Partitions from the horizon to a moment are there afterwards. */
extern void reco_activity_prepare(const RecoState *state, TimestampTz upto);

/*
 * The ingest worker's, outside any transaction: past partitions get a BRIN
 * index, those before the horizon go.
 */
extern void reco_activity_maintain(void);

#endif							/* RECO_ACTIVITY_H */
