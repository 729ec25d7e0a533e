/*-------------------------------------------------------------------------
 *
 * publish_worker.h
 *	  The worker that publishes changed rows to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PUBLISH_WORKER_H
#define RECO_PUBLISH_WORKER_H

#include "worker/worker.h"

extern const RecoRoutine reco_publish_routine;

#endif							/* RECO_PUBLISH_WORKER_H */
