/*-------------------------------------------------------------------------
 *
 * wait_event.h
 *	  What reco's processes wait for, as pg_stat_activity names it.
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
	RECO_WAIT_PACE				/* so that others have the processors */
} RecoWaitEvent;

extern uint32 reco_wait_event(RecoWaitEvent event);

#endif							/* RECO_WAIT_EVENT_H */
