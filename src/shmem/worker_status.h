/*-------------------------------------------------------------------------
 *
 * worker_status.h
 *	  What reco's processes say of themselves: state, troubles, signs of life.
 *
 * The structure in shared memory is private to worker_status.c; health is
 * judged by who reads it (functions/worker_health.c).
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

/* From good to bad: of several the last counts. */
typedef enum RecoHealth
{
	RECO_HEALTH_OK,
	RECO_HEALTH_OFF,			/* by the settings */
	RECO_HEALTH_STARTING,
	RECO_HEALTH_REBUILDING,
	RECO_HEALTH_REJECTING,		/* too many of the last messages */
	RECO_HEALTH_WAITING,		/* for who does not answer, or for a lock */
	RECO_HEALTH_FAILING
} RecoHealth;

/* Whose answers a worker lives by. */
typedef enum RecoPeer
{
	RECO_PEER_NONE, RECO_PEER_KAFKA, RECO_PEER_REDIS
} RecoPeer;

/* What can be the matter; one of a kind at a time for each worker. */
typedef enum RecoTroubleKind
{
	RECO_TROUBLE_KAFKA,			/* does not answer, or refuses */
	RECO_TROUBLE_KAFKA_SETTINGS,	/* no consumer can be made */
	RECO_TROUBLE_PARTITION,		/* Kafka gives nothing of a partition */
	RECO_TROUBLE_TRANSACTION,	/* a producer's open transaction holds one back */
	RECO_TROUBLE_REDIS,			/* does not answer, or refuses */
	RECO_TROUBLE_PUBLISHER,		/* another one writes to Redis */
	RECO_TROUBLE_CATALOG,		/* cannot be read or followed */
	RECO_TROUBLE_SUBSCRIPTION,	/* what feeds the catalog does not stand */
	RECO_TROUBLE_CLOCK,			/* reco's clock is ahead of the wall's */
	RECO_TROUBLE_PARTITIONS,	/* cannot be made ahead, or dropped */
	RECO_TROUBLE_REJECTING,		/* too many messages are rejected or late */
	RECO_TROUBLE_ROLE,			/* nobody can connect as reco.role */
	RECO_TROUBLE_OWNER,			/* reco's objects are another role's */
	RECO_TROUBLE_WORKER,		/* the worker ended by another error */
	RECO_TROUBLE_LAUNCH			/* the worker cannot be started */
} RecoTroubleKind;

#define RECO_TROUBLES (RECO_TROUBLE_LAUNCH + 1)

typedef struct RecoTrouble
{
	bool		open;			/* it is not over */
	bool		logged;			/* and the log says so */
	RecoHealth	health;
	TimestampTz since;
	RecoMoment	begun;
	RecoMoment	logged_at;		/* the last warning; 0: none */
	char		text[400];
} RecoTrouble;

/* What a worker says of itself; texts are cut at their sizes. */
typedef struct RecoWorkerStatus
{
	int			pid;			/* 0: not running */
	int			failures;		/* in a row */
	int64		errors;			/* since the server started */
	TimestampTz started_at;
	RecoMoment	ended;			/* when it was last seen to end; 0: never */
	RecoHealth	health;			/* as told with the state */
	RecoPeer	peer;			/* whose answers it lives by now */
	RecoMoment	expected;		/* since when it does */
	RecoMoment	answered;		/* when the peer last did; 0: never */
	RecoMoment	reported;		/* the lag; 0: never */
	int64		lag_messages;	/* -1: not known */
	double		lag_seconds;	/* -1: not known */
	double		rate;			/* a second, of what the worker works on */
	RecoTrouble troubles[RECO_TROUBLES];
	RecoTroubleKind error_kind; /* of error */
	TimestampTz error_at;
	char		state[240];
	char		error[400];		/* the last one, whether it is over or not; "": none */

	/* Written without a lock. */
	RecoMoment	alive;			/* the last tick of its timer */
	RecoMoment	round;			/* when the present round began */
} RecoWorkerStatus;

extern const struct RecoShmemArea reco_status_area;

/* Coming and going. */
extern bool reco_status_attach(RecoWorkerId worker);
extern void reco_status_detach(RecoWorkerId worker);
extern void reco_status_wake(RecoWorkerId worker);

/* Signs of life of this process, if it is a worker; alive() may be called by a signal handler. */
extern void reco_status_alive(void);
extern void reco_status_begin_round(void);

/* What it does at the moment, and how that is. */
extern void reco_status_report(RecoWorkerId worker, RecoHealth health, const char *fmt,...) pg_attribute_printf(3, 4);
extern void reco_status_set_peer(RecoWorkerId worker, RecoPeer peer);
extern void reco_status_peer_answered(RecoWorkerId worker, RecoMoment at);
extern void reco_status_set_lag(RecoWorkerId worker, int64 messages, double seconds);
extern void reco_status_set_rate(RecoWorkerId worker, double rate);

/* Failures in a row, for the launcher's pauses. */
extern void reco_status_failed(RecoWorkerId worker, bool counted);
extern void reco_status_healthy(RecoWorkerId worker);

/*
 * Something that matters begins, goes on, or is over: the log has a WARNING
 * and a LOG line, once each.  begin is told again while the trouble lasts.
 */
extern bool reco_trouble_begin(RecoWorkerId worker, RecoTroubleKind kind, RecoHealth health,
							   const char *hint, const char *fmt,...) pg_attribute_printf(5, 6);
extern void reco_trouble_end(RecoWorkerId worker, RecoTroubleKind kind);

/* The settings no longer ask for what it was about. */
extern void reco_trouble_drop(RecoWorkerId worker, RecoTroubleKind kind);

extern RecoWorkerStatus reco_status_read(RecoWorkerId worker);

#endif							/* RECO_WORKER_STATUS_H */
