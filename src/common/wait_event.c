/*-------------------------------------------------------------------------
 *
 * wait_event.c
 *	  What reco's processes wait for, as pg_stat_activity names it.
 *
 * From PostgreSQL 17 on; before, all of an extension's waits have one name.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/wait_event.h"
#include "utils/wait_event.h"

static const char *const names[] = {
	[RECO_WAIT_WORKER] = "RecoWorker",
	[RECO_WAIT_KAFKA] = "RecoKafka",
	[RECO_WAIT_REDIS] = "RecoRedis",
	[RECO_WAIT_PUBLISHED] = "RecoPublished",
	[RECO_WAIT_FOLLOWED] = "RecoFollowed",
	[RECO_WAIT_PACE] = "RecoPace",
};

/* For WaitLatch(). */
uint32
reco_wait_event(RecoWaitEvent event)
{
	static uint32 known[lengthof(names)];

	if (known[event] == 0)
		known[event] = reco_wait_event_new(names[event]);
	return known[event];
}
