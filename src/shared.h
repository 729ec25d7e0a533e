/*-------------------------------------------------------------------------
 *
 * shared.h
 *	  What reco's processes know of each other: counters, states, latches.
 *
 * The structure in shared memory is private to shared.c; ring.h holds the
 * keys on their way to the publisher.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SHARED_H
#define RECO_SHARED_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

typedef enum RecoWorkerId
{
	RECO_INGEST, RECO_FOLLOW, RECO_PUBLISH, RECO_LAUNCHER
} RecoWorkerId;

#define RECO_WORKERS RECO_LAUNCHER

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
	RECO_COUNT_SWEPT,			/* lists brought to a new generation */
	RECO_COUNT_PUBLISHED,		/* keys sent to Redis */
	RECO_COUNT_RESYNCS			/* times everything was sent */
} RecoCounter;

#define RECO_COUNTERS (RECO_COUNT_RESYNCS + 1)

/* Phases of the way from Kafka to Redis; nanoseconds add up. */
typedef enum RecoPhase
{
	RECO_PHASE_CONSUME, RECO_PHASE_PARSE, RECO_PHASE_INSERT, RECO_PHASE_SORT,
	RECO_PHASE_TRENDING, RECO_PHASE_USERS, RECO_PHASE_LISTS, RECO_PHASE_COMMIT,
	RECO_PHASE_READ, RECO_PHASE_SEND
} RecoPhase;

#define RECO_PHASES (RECO_PHASE_SEND + 1)

/* What a worker says of itself; texts are cut at their sizes. */
typedef struct RecoWorkerStatus
{
	int			pid;			/* 0: not running */
	int			failures;		/* in a row */
	TimestampTz started_at;
	TimestampTz failed_at;
	int64		lag_messages;	/* -1: not known */
	double		lag_seconds;	/* -1: not known */
	double		rate;			/* a second, of what the worker works on */
	char		state[160];
	char		error[400];
} RecoWorkerStatus;

/* A long computation, for reco_progress; total = 0: none. */
typedef struct RecoProgress
{
	int64		done;
	int64		total;
	TimestampTz started_at;
} RecoProgress;

extern void reco_shared_init(void);

extern bool reco_shared_attach(RecoWorkerId worker);
extern void reco_shared_detach(RecoWorkerId worker);
extern void reco_shared_wake(RecoWorkerId worker);

extern void reco_shared_state(RecoWorkerId worker, const char *fmt,...) pg_attribute_printf(2, 3);
extern void reco_shared_error(RecoWorkerId worker, const char *fmt,...) pg_attribute_printf(2, 3);
extern void reco_shared_lag(RecoWorkerId worker, int64 messages, double seconds);
extern void reco_shared_rate(RecoWorkerId worker, double rate);
extern void reco_shared_healthy(RecoWorkerId worker);
extern void reco_shared_failed(RecoWorkerId worker, const char *message);
extern RecoWorkerStatus reco_shared_status(RecoWorkerId worker);

extern void reco_shared_count(RecoCounter counter, uint64 n);
extern uint64 reco_shared_counted(RecoCounter counter);
extern void reco_shared_phase_add(RecoPhase phase, uint64 ns);
extern uint64 reco_shared_phase(RecoPhase phase);

extern void reco_shared_set_mirror_ready(bool ready);
extern bool reco_shared_is_mirror_ready(void);
extern void reco_shared_set_replaying(bool replaying);
extern bool reco_shared_is_replaying(void);
extern void reco_shared_set_follow_position(XLogRecPtr position);
extern XLogRecPtr reco_shared_follow_position(void);
extern void reco_shared_set_database(Oid database);
extern void reco_shared_forget_database(void);
extern Oid	reco_shared_database(void);
extern bool reco_shared_serves_database(void);
extern void reco_shared_announce_extension(void);
extern uint32 reco_shared_extensions_announced(void);
extern void reco_shared_set_progress(int64 done, int64 total);
extern RecoProgress reco_shared_progress(void);

#endif							/* RECO_SHARED_H */
