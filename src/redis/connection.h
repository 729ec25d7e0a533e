/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  A connection to Redis and its pipeline of commands.
 *
 * Every failure, including an error reply and one that is too long or too slow,
 * is an ERROR that closes the connection: it is unknown then whether what was
 * sent has been executed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONNECTION_H
#define RECO_CONNECTION_H

#include "redis/reply.h"

typedef struct RecoRedis RecoRedis;

/* A word of a command: any bytes. */
typedef struct RecoWord
{
	const char *data;
	size_t		length;
} RecoWord;

/* Receives the reply to the n-th command (from 0) since the last collection. */
typedef void (*RecoReplyHandler) (void *arg, int n, const RecoReply *reply);

/* Lives as long as the current memory context; client: in a client's transaction. */
extern RecoRedis *reco_redis_connect(bool client);
extern void reco_redis_close(RecoRedis *redis);
extern pgsocket reco_redis_socket(RecoRedis *redis);
extern void reco_redis_check(RecoRedis *redis);

/* A string as a word. */
static inline RecoWord
reco_redis_word(const char *text)
{
	return (RecoWord) {text, strlen(text)};
}

extern void reco_redis_append(RecoRedis *redis, int nwords, const RecoWord *words);
extern void reco_redis_collect(RecoRedis *redis, RecoReplyHandler handler, void *arg);
extern RecoReply *reco_redis_call(RecoRedis *redis, int nwords, const RecoWord *words);
extern RecoReply *reco_redis_try(RecoRedis *redis, int nwords, const RecoWord *words);
pg_noreturn extern void reco_redis_rejected(RecoRedis *redis, const RecoReply *error);
pg_noreturn extern void reco_redis_unexpected_reply(RecoRedis *redis, const char *command);

#endif							/* RECO_CONNECTION_H */
