/*-------------------------------------------------------------------------
 *
 * wait_event.c
 *	  The wait events of reco's processes, for pg_stat_activity.
 *
 * Before PostgreSQL 17 all waits of extensions share one event, Extension.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/wait_event.h"
#include "utils/wait_event.h"

static const char *const wait_event_names[] = {
	[RECO_WAIT_WORKER] = "RecoWorker",
	[RECO_WAIT_KAFKA] = "RecoKafka",
	[RECO_WAIT_REDIS] = "RecoRedis",
	[RECO_WAIT_PUBLISHED] = "RecoPublished",
	[RECO_WAIT_FOLLOWED] = "RecoFollowed",
	[RECO_WAIT_PACE] = "RecoPace",
};

/* The event's number, for WaitLatch(). */
uint32
reco_wait_event(RecoWaitEvent event)
{
	static uint32 known[lengthof(wait_event_names)];

	if (known[event] == 0)
		known[event] = reco_wait_event_new(wait_event_names[event]);
	return known[event];
}
