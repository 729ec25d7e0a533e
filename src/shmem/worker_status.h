/*-------------------------------------------------------------------------
 *
 * worker_status.h
 *	  What reco's processes report: state, troubles, signs of life.
 *
 * The structure in shared memory is private to worker_status.c; readers judge
 * health from it (functions/worker_health.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WORKER_STATUS_H
#define RECO_WORKER_STATUS_H

#include "common/monotonic.h"
#include "datatype/timestamp.h"
#include "shmem/service_state.h"

typedef enum RecoWorkerId
{
	RECO_INGEST, RECO_FOLLOW, RECO_PUBLISH, RECO_LAUNCHER
} RecoWorkerId;

#define RECO_WORKERS RECO_LAUNCHER

/* From best to worst; the worst of several counts. */
typedef enum RecoHealth
{
	RECO_HEALTH_OK,
	RECO_HEALTH_OFF,			/* disabled by a setting */
	RECO_HEALTH_STARTING,
	RECO_HEALTH_REBUILDING,
	RECO_HEALTH_REJECTING,		/* too many of the last messages */
	RECO_HEALTH_WAITING,		/* for a peer that does not answer, or a lock */
	RECO_HEALTH_FAILING
} RecoHealth;

/* The peer that a worker depends on. */
typedef enum RecoPeer
{
	RECO_PEER_NONE, RECO_PEER_KAFKA, RECO_PEER_REDIS
} RecoPeer;

/* Kinds of trouble; each worker has at most one of a kind at a time. */
typedef enum RecoTroubleKind
{
	RECO_TROUBLE_KAFKA,			/* does not answer, or rejects us */
	RECO_TROUBLE_KAFKA_SETTINGS,	/* no consumer can be created */
	RECO_TROUBLE_PARTITION,		/* a partition cannot be read */
	RECO_TROUBLE_TRANSACTION,	/* a producer's open transaction blocks one */
	RECO_TROUBLE_REDIS,			/* does not answer, or rejects us */
	RECO_TROUBLE_PUBLISHER,		/* another one writes to Redis */
	RECO_TROUBLE_CATALOG,		/* cannot be read or followed */
	RECO_TROUBLE_SUBSCRIPTION,	/* one that feeds the catalog does not run */
	RECO_TROUBLE_CLOCK,			/* reco's clock is ahead of the wall clock */
	RECO_TROUBLE_PARTITIONS,	/* cannot be created ahead, or dropped */
	RECO_TROUBLE_REJECTING,		/* too many messages are rejected or below retention */
	RECO_TROUBLE_VERSION,		/* the extension has another version than the library */
	RECO_TROUBLE_ROLE,			/* workers cannot connect as reco.role */
	RECO_TROUBLE_OWNER,			/* another role owns reco's objects */
	RECO_TROUBLE_WORKER,		/* the worker exited by another error */
	RECO_TROUBLE_LAUNCH			/* the worker cannot be started */
} RecoTroubleKind;

#define RECO_TROUBLES (RECO_TROUBLE_LAUNCH + 1)

typedef struct RecoTrouble
{
	bool		open;			/* not over yet */
	bool		logged;			/* its beginning was logged */
	RecoHealth	health;
	TimestampTz since;
	RecoMoment	begun;
	RecoMoment	logged_at;		/* the last warning; 0: none */
	char		text[400];
} RecoTrouble;

/* What a worker reports; texts are truncated to their sizes. */
typedef struct RecoWorkerStatus
{
	int			pid;			/* 0: not running */
	int			failures;		/* in a row */
	int64		errors;			/* since the server started */
	TimestampTz started_at;
	RecoMoment	ended;			/* when it last exited; 0: never */
	RecoHealth	health;			/* as reported with the state */
	RecoPeer	peer;			/* the peer that it depends on */
	RecoMoment	expected;		/* since when it does */
	RecoMoment	answered;		/* when the peer last answered; 0: never */
	RecoMoment	reported;		/* when the lag was reported; 0: never */
	int64		lag_messages;	/* -1: unknown */
	double		lag_seconds;	/* -1: unknown */
	double		rate;			/* units of work per second */
	RecoTrouble troubles[RECO_TROUBLES];
	RecoTroubleKind error_kind; /* of error */
	TimestampTz error_at;
	char		state[240];
	char		error[400];		/* the last one, over or not; "": none */

	/* Written without a lock. */
	RecoMoment	alive;			/* the last tick of its timer */
	RecoMoment	round;			/* when the present round began */
} RecoWorkerStatus;

extern const struct RecoShmemArea reco_status_area;

/* Start and end of a process. */
extern bool reco_status_attach(RecoWorkerId worker);
extern void reco_status_detach(RecoWorkerId worker);
extern void reco_status_wake(RecoWorkerId worker);

/* Signs of life of this process, if it is a worker; alive() is safe in a signal handler. */
extern void reco_status_alive(void);
extern void reco_status_begin_round(void);

/* What it is doing, and its health. */
extern void reco_status_report(RecoWorkerId worker, RecoHealth health, const char *fmt,...) pg_attribute_printf(3, 4);
extern void reco_status_set_peer(RecoWorkerId worker, RecoPeer peer);
extern void reco_status_peer_answered(RecoWorkerId worker, RecoMoment at);
extern void reco_status_set_lag(RecoWorkerId worker, int64 messages, double seconds);
extern void reco_status_set_rate(RecoWorkerId worker, double rate);

/* The count of failures in a row, for the launcher's pauses. */
extern void reco_status_failed(RecoWorkerId worker, bool counted);
extern void reco_status_healthy(RecoWorkerId worker);

/*
 * Report that a trouble begins or lasts, and that it is over: each is logged
 * once, as WARNING and LOG.  begin() is repeated while the trouble lasts, and
 * returns whether it counted another error.
 */
extern bool reco_trouble_begin(RecoWorkerId worker, RecoTroubleKind kind, RecoHealth health,
							   const char *hint, const char *fmt,...) pg_attribute_printf(5, 6);
extern void reco_trouble_end(RecoWorkerId worker, RecoTroubleKind kind);

/* End a trouble that the settings have made irrelevant. */
extern void reco_trouble_drop(RecoWorkerId worker, RecoTroubleKind kind);

extern RecoWorkerStatus reco_status_read(RecoWorkerId worker);

#endif							/* RECO_WORKER_STATUS_H */
