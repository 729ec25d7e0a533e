/*-------------------------------------------------------------------------
 *
 * wait_event.h
 *	  The wait events of reco's processes, for pg_stat_activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_WAIT_EVENT_H
#define RECO_WAIT_EVENT_H

typedef enum RecoWaitEvent
{
	RECO_WAIT_WORKER,			/* for something to do */
	RECO_WAIT_KAFKA,			/* for messages */
	RECO_WAIT_REDIS,			/* for a reply, or to write to the socket */
	RECO_WAIT_PUBLISHED,		/* for the publisher, in reco_redis_verify() */
	RECO_WAIT_FOLLOWED,			/* for the follow worker, in reco_follow_wait() */
	RECO_WAIT_PACE				/* a pause that leaves the processors to others */
} RecoWaitEvent;

extern uint32 reco_wait_event(RecoWaitEvent event);

#endif							/* RECO_WAIT_EVENT_H */
