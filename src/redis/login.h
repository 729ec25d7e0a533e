/*-------------------------------------------------------------------------
 *
 * login.h
 *	  Where Redis is, how to log in, and what its refusals mean; no sockets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOGIN_H
#define RECO_LOGIN_H

/* A host and a port, or else the path of a socket. */
typedef struct RecoRedisUrl
{
	char	   *host;			/* NULL: path */
	int			port;
	char	   *path;
	char	   *user;			/* NULL: Redis's default user */
	int			db;
} RecoRedisUrl;

/*
 * Parse a URL; what it gives is palloc'd.  Returns NULL, or what is wrong as a
 * sentence that does not repeat the URL, which may hold a secret by mistake.
 */
extern const char *reco_redis_parse_url(const char *text, RecoRedisUrl *url, const char **hint);

/* The first line of a file; NULL if path is empty. */
extern char *reco_redis_read_password(const char *path);

/* What INFO says of the server: NULL, or why nothing can be published to it. */
extern const char *reco_redis_judge_server(const char *info, const char **hint);

/* Raise an error reply as an ERROR. */
pg_noreturn extern void reco_redis_report(const char *where, const char *reply);

#endif							/* RECO_LOGIN_H */
