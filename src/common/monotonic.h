/*-------------------------------------------------------------------------
 *
 * monotonic.h
 *	  A monotonic clock, for pauses and deadlines.
 *
 * The host's clock may be set forward or back by any amount.  Intervals and
 * timeouts are measured by this clock; what is written to tables, Redis or the
 * log comes from GetCurrentTimestamp().  All processes of a server see the same
 * monotonic clock, so a RecoMoment can be kept in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MONOTONIC_H
#define RECO_MONOTONIC_H

#include "portability/instr_time.h"

/* In microseconds; 0 is in the past. */
typedef int64 RecoMoment;

static inline RecoMoment
reco_monotonic_now(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (RecoMoment) INSTR_TIME_GET_MICROSEC(now);
}

/* The moment a number of milliseconds from now. */
static inline RecoMoment
reco_monotonic_after(int64 ms)
{
	return reco_monotonic_now() + ms * 1000;
}

/* Milliseconds until a moment, rounded up; 0 if it has passed. */
static inline int64
reco_monotonic_left(RecoMoment moment)
{
	int64		left = moment - reco_monotonic_now();

	return left > 0 ? (left + 999) / 1000 : 0;
}

static inline bool
reco_monotonic_has_passed(RecoMoment moment)
{
	return reco_monotonic_now() >= moment;
}

/* Milliseconds since a moment, rounded down. */
static inline int64
reco_monotonic_since(RecoMoment moment)
{
	return (reco_monotonic_now() - moment) / 1000;
}

/*
 * If *due has passed, set it to the moment in interval milliseconds and
 * return true.
 */
static inline bool
reco_monotonic_is_due(RecoMoment *due, int64 interval)
{
	if (!reco_monotonic_has_passed(*due))
		return false;
	*due = reco_monotonic_after(interval);
	return true;
}

#endif							/* RECO_MONOTONIC_H */
