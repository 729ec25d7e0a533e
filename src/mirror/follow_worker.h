/*-------------------------------------------------------------------------
 *
 * follow_worker.h
 *	  The follow worker: the catalog's changes to the mirror, and generations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_FOLLOW_WORKER_H
#define RECO_FOLLOW_WORKER_H

#include "worker/worker.h"

extern const RecoRoutine reco_follow_routine;

#endif							/* RECO_FOLLOW_WORKER_H */
