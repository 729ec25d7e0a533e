/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Registration, back-off and the wait loop of the background workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WORKER_H
#define RECO_WORKER_H

#include "shared.h"

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
} RecoRoutine;

extern void reco_worker_register(void);
extern PGDLLEXPORT void reco_worker_main(Datum arg);
extern PGDLLEXPORT void reco_launcher_main(Datum arg);

#endif							/* RECO_WORKER_H */
