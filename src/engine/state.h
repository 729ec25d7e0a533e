/*-------------------------------------------------------------------------
 *
 * state.h
 *	  The row of reco.state: clock, horizon, generation and parameters in force.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_STATE_H
#define RECO_STATE_H

#include "common/xact.h"
#include "shmem/service_state.h"
#include "utils/snapshot.h"

/* Number of columns that RecoState contains; they come first in the table. */
#define RECO_STATE_COLUMNS 14

/* The versions for which a process's product cache and dictionary are valid. */
typedef struct RecoVersions
{
	int64		mirror;
	int64		numbers;
} RecoVersions;

extern bool reco_state_peek(RecoState *state);
extern RecoVersions reco_state_versions(Snapshot snapshot);
extern void reco_state_publish(const RecoState *state);
extern void reco_state_values(const RecoState *state, Datum *values);
extern const char *reco_state_column(int i, Oid *type);
extern bool reco_state_settings_differ(const RecoState *state);

/* These change or read a row in memory. */
extern void reco_state_init(RecoState *state);
extern void reco_state_apply_settings(RecoState *state);
extern void reco_state_set_clock(RecoState *state, TimestampTz clock);
extern TimestampTz reco_state_window(const RecoState *state, TimestampTz at);
extern int32 reco_state_second(TimestampTz at);
extern TimestampTz reco_state_moment(int32 second);

#endif							/* RECO_STATE_H */
