/*-------------------------------------------------------------------------
 *
 * fake_redis.h
 *	  Who answers in Redis' place, within the server process itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_FAKE_REDIS_H
#define RECO_FAKE_REDIS_H

/* What the next client is sent, whatever it asks for. */
typedef struct FakeReply
{
	const char *data;
	size_t		length;
	size_t		piece;			/* bytes sent at once, at most; 0: all */
	size_t		again;			/* the last so many bytes are sent for ever; 0: none are */
	bool		hang_up;		/* at once, with whatever it has said still unread */
} FakeReply;

extern void fake_redis_start(const char *path);
extern void fake_redis_stop(void);
extern void fake_redis_offer(const FakeReply *reply);
extern bool fake_redis_served(void);

#endif							/* RECO_FAKE_REDIS_H */
