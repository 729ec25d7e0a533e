/*-------------------------------------------------------------------------
 *
 * publish.h
 *	  The publish worker: changed rows to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PUBLISH_H
#define RECO_PUBLISH_H

#include "worker.h"

extern const RecoRoutine reco_publish_routine;

#endif							/* RECO_PUBLISH_H */
