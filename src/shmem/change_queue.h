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

/* A user whose row was written, or a window whose top changed. */
typedef struct RecoKey
{
	int64		id;				/* user_id, or window_start as TimestampTz */
	ItemPointerData tid;		/* where the row is likely to stand */
	bool		window;
	bool		send;			/* it is for the publisher; else only for the prescan */
} RecoKey;

/*
 * The stamp by which the publisher knows its copy again (stamp.c): what has
 * left the queue is in Redis as long as Redis holds it.
 */
typedef struct RecoStamp
{
	uint64		instance;		/* of this shared memory; random, never 0 */
	TimestampTz owned_since;	/* since when Redis is ours; 0: it is not */
	uint32		target;			/* hash of where Redis is and of the templates */
	int			ttl;			/* life that users' keys were given, in s */
	uint64		sent;			/* the last counter that Redis may hold */
	uint64		acknowledged;	/* the last one that it surely held */
} RecoStamp;

/* How far everything has been sent (resync.c). */
typedef struct RecoResync
{
	int			phase;
	int64		next;
} RecoResync;

/* Remember a key of the present transaction; it goes into the queue at commit. */
extern void reco_queue_add_user(int64 user_id, ItemPointer tid, bool send);
extern void reco_queue_add_window(TimestampTz window_start, ItemPointer tid);

/* At commit everything is to be published instead. */
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

/* What Redis lacks, for who shows it; does not wait. */
typedef struct RecoBacklog
{
	int64		keys;			/* -1: everything is to be sent */
	RecoMoment	since;			/* when the oldest of it was committed; 0: it lacks nothing */
} RecoBacklog;

extern RecoBacklog reco_queue_backlog(void);

/* Has Redis got what committed before reco_queue_position() said so? */
extern uint64 reco_queue_position(void);
extern bool reco_queue_has_published(uint64 position);

#endif							/* RECO_CHANGE_QUEUE_H */
