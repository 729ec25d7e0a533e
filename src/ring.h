/*-------------------------------------------------------------------------
 *
 * ring.h
 *	  Keys of committed changes on their way to the publisher.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_RING_H
#define RECO_RING_H

/* A user whose list changed, or a window whose top changed. */
typedef struct RecoKey
{
	int64		id;				/* user_id, or window_start as TimestampTz */
	bool		window;
} RecoKey;

/* Remember a key of the present transaction; it goes into the ring at commit. */
extern void reco_ring_add(int64 id, bool window);

/* At commit everything is to be published instead. */
extern void reco_ring_add_everything(void);

extern void reco_ring_init(void);
extern Size reco_ring_shmem_size(void);
extern void reco_ring_shmem_startup(void);

/* The publisher's side; only one process may read. */
extern int	reco_ring_peek(RecoKey *keys, int max);
extern void reco_ring_advance(int n);
extern int64 reco_ring_length(void);
extern void reco_ring_request_publish_all(void);
extern bool reco_ring_publish_all_requested(void);
extern void reco_ring_begin_publish_all(void);

#endif							/* RECO_RING_H */
