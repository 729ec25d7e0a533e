/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  Rows of the derived tables, as they are now, on their way to Redis.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SENDER_H
#define RECO_SENDER_H

#include "redis/connection.h"
#include "shmem/change_queue.h"

/*
 * All run outside transactions, read in short ones of their own, and return
 * when Redis has answered.  Keys are without duplicates.
 */
extern void reco_send_users(RecoRedis *redis, const RecoKey *users, int count);
extern void reco_send_windows(RecoRedis *redis, const RecoKey *windows, int count);

/* The users with a list from *next on, some of them; false: that was the last. */
extern bool reco_send_users_from(RecoRedis *redis, int64 *next);

/* The templates or the time to live have changed. */
extern void reco_send_reload(void);

#endif							/* RECO_SENDER_H */
