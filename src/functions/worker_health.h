/*-------------------------------------------------------------------------
 *
 * worker_health.h
 *	  The health of a worker, judged by readers of its status.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WORKER_HEALTH_H
#define RECO_WORKER_HEALTH_H

#include "lib/stringinfo.h"
#include "shmem/worker_status.h"

typedef struct RecoJudgement
{
	RecoHealth	health;
	StringInfoData state;		/* palloc'd, clean */
	int64		lag_messages;	/* -1: unknown */
	double		lag_seconds;	/* -1: unknown */
	bool		error_is_over;
} RecoJudgement;

extern const char *reco_health_name(RecoHealth health);
extern RecoJudgement reco_health_judge(RecoWorkerId worker, const RecoWorkerStatus *status, bool blocked);

#endif							/* RECO_WORKER_HEALTH_H */
