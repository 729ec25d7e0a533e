/*-------------------------------------------------------------------------
 *
 * change_queue.h
 *	  Keys of committed changes, for two readers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CHANGE_QUEUE_H
#define RECO_CHANGE_QUEUE_H

#include "common/monotonic.h"
#include "common/xact.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

/* A user whose row has been written, or a window whose top has changed. */
typedef struct RecoKey
{
	int64		id;				/* user_id, or window_start as TimestampTz */
	ItemPointerData tid;		/* where the row probably is */
	bool		window;
	bool		send;			/* it is for the publisher; otherwise only for the prescan */
} RecoKey;

/*
 * The stamp by which the publisher recognizes its copy (stamp.c): what has
 * been removed from the queue is in Redis as long as Redis has the stamp.
 */
typedef struct RecoStamp
{
	uint64		instance;		/* of this shared memory; random, never 0 */
	TimestampTz owned_since;	/* since when Redis has been ours; 0: it is not */
	uint32		target;			/* hash of where Redis is and of the templates */
	int			ttl;			/* time to live of users' keys, in s */
	uint64		sent;			/* the last counter that Redis may have */
	uint64		acknowledged;	/* the last one that Redis certainly had */
} RecoStamp;

/* How far everything has been sent (resync.c). */
typedef struct RecoResync
{
	int			phase;
	int64		next;
} RecoResync;

/* Add a key to those of the current transaction, which are queued when it commits. */
extern void reco_queue_add_user(int64 user_id, ItemPointer tid, bool send);
extern void reco_queue_add_window(TimestampTz window_start, ItemPointer tid);

/* When the transaction commits, everything must be published instead. */
extern void reco_queue_add_everything(void);

extern const RecoXactModule reco_change_queue_xact;
extern const struct RecoShmemArea reco_change_queue_area;

/* The prescan's side; only one process may watch. */
extern uint64 reco_queue_watch(void);
extern int	reco_queue_unwatch(uint64 position, RecoKey **users, int max);

/* The publisher's side; only one process may read. */
extern int	reco_queue_peek(RecoKey *keys, int max);
extern void reco_queue_advance(int n);
extern int64 reco_queue_length(void);
extern void reco_queue_request_publish_all(void);
extern bool reco_queue_publish_all_requested(void);
extern void reco_queue_begin_publish_all(void);
extern void reco_queue_end_publish_all(void);
extern bool reco_queue_is_complete(void);
extern RecoResync reco_queue_resync(void);
extern void reco_queue_set_resync(RecoResync resync);
extern bool reco_queue_serve(uint64 state);
extern RecoStamp reco_queue_stamp(void);
extern void reco_queue_set_stamp(const RecoStamp *stamp);

/* What has not been published yet, for display; does not wait. */
typedef struct RecoBacklog
{
	int64		keys;			/* 1: everything must be published */
	RecoMoment	since;			/* when the oldest of it was committed; 0: nothing is missing */
} RecoBacklog;

extern RecoBacklog reco_queue_backlog(void);

/*
 * Has everything been published that was committed before
 * reco_queue_position() returned this?
 */
extern uint64 reco_queue_position(void);
extern bool reco_queue_has_published(uint64 position);

#endif							/* RECO_CHANGE_QUEUE_H */
