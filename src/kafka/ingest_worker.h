/*-------------------------------------------------------------------------
 *
 * ingest_worker.h
 *	  The worker that advances the clock and ingests activity from Kafka.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_INGEST_WORKER_H
#define RECO_INGEST_WORKER_H

#include "worker/worker.h"

extern const RecoRoutine reco_ingest_routine;

#endif							/* RECO_INGEST_WORKER_H */
