/*-------------------------------------------------------------------------
 *
 * worker_status.h
 *	  What reco's processes know of each other: states, flags, latches.
 *
 * The structure in shared memory is private to worker_status.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WORKER_STATUS_H
#define RECO_WORKER_STATUS_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

typedef enum RecoWorkerId
{
	RECO_INGEST, RECO_FOLLOW, RECO_PUBLISH, RECO_LAUNCHER
} RecoWorkerId;

#define RECO_WORKERS RECO_LAUNCHER

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

extern void reco_shared_set_mirror_ready(bool ready);
extern bool reco_shared_is_mirror_ready(void);
extern void reco_shared_set_replaying(bool replaying);
extern bool reco_shared_is_replaying(void);
extern void reco_shared_set_follow_position(XLogRecPtr position);
extern XLogRecPtr reco_shared_follow_position(void);
extern void reco_shared_set_database(Oid database);
extern void reco_shared_forget_database(void);
extern uint32 reco_shared_forgotten(void);
extern Oid	reco_shared_database(void);
extern bool reco_shared_serves_database(void);
extern void reco_shared_announce_extension(void);
extern uint32 reco_shared_extensions_announced(void);
extern void reco_shared_set_progress(int64 done, int64 total);
extern RecoProgress reco_shared_progress(void);

#endif							/* RECO_WORKER_STATUS_H */
