/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  What has been done since the server started, and what it cost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_METRICS_H
#define RECO_METRICS_H

#include "portability/instr_time.h"

typedef enum RecoCounter
{
	RECO_COUNT_MESSAGES,		/* taken from Kafka */
	RECO_COUNT_EVENTS,			/* inserted from Kafka */
	RECO_COUNT_LATE,			/* before the horizon */
	RECO_COUNT_REJECTED,		/* into reco.rejected */
	RECO_COUNT_LOST,			/* gone from Kafka before they were read */
	RECO_COUNT_BYTES,			/* payload */
	RECO_COUNT_BATCHES,			/* transactions of ingest */
	RECO_COUNT_LISTS,			/* users' rows written */
	RECO_COUNT_CATALOG,			/* changes of the mirror */
	RECO_COUNT_FORESEEN,		/* those of which the lists were looked for without reco's lock */
	RECO_COUNT_SWEPT,			/* lists brought to a new generation */
	RECO_COUNT_PUBLISHED,		/* keys sent to Redis */
	RECO_COUNT_RESYNCS			/* times everything was sent */
} RecoCounter;

#define RECO_COUNTERS (RECO_COUNT_RESYNCS + 1)

/* Phases of the way from Kafka to Redis; LISTS is a part of USERS. */
typedef enum RecoPhase
{
	RECO_PHASE_CONSUME, RECO_PHASE_PARSE, RECO_PHASE_INSERT, RECO_PHASE_SORT,
	RECO_PHASE_TRENDING, RECO_PHASE_USERS, RECO_PHASE_LISTS, RECO_PHASE_COMMIT,
	RECO_PHASE_READ, RECO_PHASE_SEND
} RecoPhase;

#define RECO_PHASES (RECO_PHASE_SEND + 1)

extern const struct RecoShmemArea reco_counters_area;

extern void reco_counter_add(RecoCounter counter, uint64 n);
extern uint64 reco_counter_value(RecoCounter counter);

/* Nanoseconds. */
extern void reco_phase_add(RecoPhase phase, uint64 ns);
extern void reco_phase_end(RecoPhase phase, instr_time *start);
extern uint64 reco_phase_value(RecoPhase phase);

#endif							/* RECO_METRICS_H */
