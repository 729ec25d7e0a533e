/*-------------------------------------------------------------------------
 *
 * change_queue.h
 *	  Keys of committed changes on their way to the publisher.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CHANGE_QUEUE_H
#define RECO_CHANGE_QUEUE_H

#include "common/monotonic.h"
#include "common/xact.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

/* A user whose list changed, or a window whose top changed. */
typedef struct RecoKey
{
	int64		id;				/* user_id, or window_start as TimestampTz */
	ItemPointerData place;		/* where the row is likely to stand */
	bool		window;
} RecoKey;

/*
 * The stamp by which the publisher knows its copy again (stamp.c): what has
 * left the ring is in Redis as long as Redis holds it.
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

/* Remember a key of the present transaction; it goes into the ring at commit. */
extern void reco_ring_add_user(int64 user_id, ItemPointer place);
extern void reco_ring_add_window(TimestampTz window_start, ItemPointer place);

/* At commit everything is to be published instead. */
extern void reco_ring_add_everything(void);

extern const RecoXactModule reco_ring_xact;
extern const struct RecoShmemArea reco_ring_area;

/* The publisher's side; only one process may read. */
extern int	reco_ring_peek(RecoKey *keys, int max);
extern void reco_ring_advance(int n);
extern int64 reco_ring_length(void);
extern void reco_ring_request_publish_all(void);
extern bool reco_ring_publish_all_requested(void);
extern void reco_ring_begin_publish_all(void);
extern void reco_ring_end_publish_all(void);
extern bool reco_ring_is_complete(void);
extern RecoResync reco_ring_resync(void);
extern void reco_ring_set_resync(RecoResync resync);
extern bool reco_ring_serve(uint64 state);
extern RecoStamp reco_ring_stamp(void);
extern void reco_ring_set_stamp(const RecoStamp *stamp);

/* What Redis lacks, for who shows it; does not wait. */
typedef struct RecoBacklog
{
	int64		keys;			/* -1: everything is to be sent */
	RecoMoment	since;			/* when the oldest of it was committed; 0: it lacks nothing */
} RecoBacklog;

extern RecoBacklog reco_ring_backlog(void);

/* Has Redis got what committed before reco_ring_position() said so? */
extern uint64 reco_ring_position(void);
extern bool reco_ring_has_published(uint64 position);

#endif							/* RECO_CHANGE_QUEUE_H */
