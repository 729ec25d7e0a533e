/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  A connection to Redis and its pipeline of commands.
 *
 * Every failure, an error reply included, is an ERROR that closes the
 * connection: whether what was sent has been done is not known then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONNECTION_H
#define RECO_CONNECTION_H

typedef struct RecoRedis RecoRedis;

/* One word of a command; any bytes. */
typedef struct RecoWord
{
	const char *data;
	size_t		length;
} RecoWord;

typedef enum RecoReplyType
{
	RECO_REPLY_NIL, RECO_REPLY_TEXT, RECO_REPLY_INTEGER, RECO_REPLY_ARRAY
} RecoReplyType;

/* Text ends with a NUL beyond its length. */
typedef struct RecoReply
{
	RecoReplyType type;
	const char *text;
	size_t		length;
	int64		integer;
	int			nelements;
	struct RecoReply *elements;
} RecoReply;

/* Takes the reply to the n-th command (from 0) since the last collection. */
typedef void (*RecoReplyHandler) (void *arg, int n, const RecoReply *reply);

/* Lives as long as the current memory context; client: in a client's transaction. */
extern RecoRedis *reco_redis_connect(bool client);
extern void reco_redis_close(RecoRedis *redis);
extern pgsocket reco_redis_socket(RecoRedis *redis);
extern void reco_redis_check(RecoRedis *redis);

/* A word out of a string. */
static inline RecoWord
reco_redis_word(const char *text)
{
	return (RecoWord) {text, strlen(text)};
}

extern void reco_redis_append(RecoRedis *redis, int nwords, const RecoWord *words);
extern void reco_redis_collect(RecoRedis *redis, RecoReplyHandler handler, void *arg);
extern RecoReply *reco_redis_call(RecoRedis *redis, int nwords, const RecoWord *words);

#endif							/* RECO_CONNECTION_H */
