/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The main loop of a worker, and its routine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WORKER_H
#define RECO_WORKER_H

#include "shmem/worker_status.h"

/*
 * The callbacks of a worker.  All run outside any transaction and without reco's
 * lock; an ERROR ends the process, which is restarted after a pause.
 */
typedef struct RecoRoutine
{
	const char *name;			/* "reco ingest" */
	RecoWorkerId id;
	void		(*start) (void);
	long		(*step) (void); /* one round; returns the ms until the next, 0: at once */
	void		(*reloaded) (void); /* after a configuration reload; may be NULL */
	pgsocket	(*socket) (void);	/* wakes when readable; may be NULL */

	/* The kind of trouble that an error which ends the process means; NULL: RECO_TROUBLE_WORKER. */
	RecoTroubleKind (*blame) (const ErrorData *error, RecoHealth *health);
} RecoRoutine;

/* By RecoWorkerId; defined in reco.c, since the routines' folders are not visible here. */
extern const RecoRoutine *const reco_worker_routines[RECO_WORKERS];

extern PGDLLEXPORT void reco_worker_main(Datum arg);
extern void reco_worker_wait(long ms, pgsocket socket);
extern void reco_worker_detach(int code, Datum worker);

#endif							/* RECO_WORKER_H */
