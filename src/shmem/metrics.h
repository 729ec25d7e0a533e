/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  Counters and timings since the server started.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_METRICS_H
#define RECO_METRICS_H

#include "portability/instr_time.h"

typedef enum RecoMetric
{
	RECO_METRIC_MESSAGES,		/* consumed from Kafka */
	RECO_METRIC_EVENTS,			/* inserted from Kafka */
	RECO_METRIC_BELOW_RETENTION,	/* dropped: earlier than the horizon */
	RECO_METRIC_REJECTED,		/* written to reco.rejected */
	RECO_METRIC_LOST,			/* expired in Kafka before they were read */
	RECO_METRIC_BYTES,			/* payload */
	RECO_METRIC_BATCHES,		/* transactions of ingest */
	RECO_METRIC_LISTS,			/* users' rows written */
	RECO_METRIC_CATALOG,		/* changes of the mirror */
	RECO_METRIC_PRESCANNED,		/* those whose stale lists were searched before reco's lock */
	RECO_METRIC_SWEPT,			/* lists brought to a new generation */
	RECO_METRIC_PUBLISHED,		/* keys sent to Redis */
	RECO_METRIC_RESYNCS			/* times everything was published */
} RecoMetric;

#define RECO_METRICS (RECO_METRIC_RESYNCS + 1)

/*
 * Phases of the path from Kafka to Redis.  A nested phase counts in both: LISTS
 * is a part of USERS; in a batch SORT, TRENDING and USERS are parts of INSERT.
 */
typedef enum RecoPhase
{
	RECO_PHASE_CONSUME, RECO_PHASE_PARSE, RECO_PHASE_INSERT, RECO_PHASE_SORT,
	RECO_PHASE_TRENDING, RECO_PHASE_USERS, RECO_PHASE_LISTS, RECO_PHASE_COMMIT,
	RECO_PHASE_READ, RECO_PHASE_SEND
} RecoPhase;

#define RECO_PHASES (RECO_PHASE_SEND + 1)

extern const struct RecoShmemArea reco_metrics_area;

extern void reco_metrics_add(RecoMetric metric, uint64 n);
extern uint64 reco_metrics_value(RecoMetric metric);

/* Nanoseconds. */
extern instr_time reco_metrics_phase_begin(void);
extern uint64 reco_metrics_phase_since(instr_time begun);
extern void reco_metrics_phase_end(RecoPhase phase, instr_time begun);
extern void reco_metrics_phase_add(RecoPhase phase, uint64 ns);
extern uint64 reco_metrics_phase_value(RecoPhase phase);

#endif							/* RECO_METRICS_H */
