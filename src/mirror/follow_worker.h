/*-------------------------------------------------------------------------
 *
 * follow_worker.h
 *	  The worker that follows the catalog, and computes generations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_FOLLOW_WORKER_H
#define RECO_FOLLOW_WORKER_H

#include "worker/worker.h"

extern const RecoRoutine reco_follow_routine;

#endif							/* RECO_FOLLOW_WORKER_H */
