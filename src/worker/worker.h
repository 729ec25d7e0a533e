/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The life of a background worker: its routine, and the wait loop.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WORKER_H
#define RECO_WORKER_H

#include "shmem/worker_status.h"

/*
 * What a worker does.  All callbacks run outside any transaction and without
 * reco's lock; an ERROR ends the process, which starts again after a back-off.
 */
typedef struct RecoRoutine
{
	const char *name;			/* "reco ingest" */
	RecoWorkerId id;
	void		(*start) (void);
	long		(*step) (void); /* one round; ms until the next, 0: at once */
	void		(*reloaded) (void); /* after a configuration reload; may be NULL */
	pgsocket	(*socket) (void);	/* wakes when readable; may be NULL */

	/* Whose fault the error that ends the process is; may be NULL: nobody's but ours. */
	RecoTroubleKind (*blame) (const ErrorData *error, RecoHealth *health);
} RecoRoutine;

/* By RecoWorkerId; in reco.c, for what workers do is not known here. */
extern const RecoRoutine *const reco_worker_routines[RECO_WORKERS];

extern PGDLLEXPORT void reco_worker_main(Datum arg);
extern void reco_worker_wait(long ms, pgsocket socket);
extern void reco_worker_detach(int code, Datum worker);

#endif							/* RECO_WORKER_H */
