/*-------------------------------------------------------------------------
 *
 * redis_url.h
 *	  Parser of reco.redis_url.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REDIS_URL_H
#define RECO_REDIS_URL_H

/* A host and a port, or the path of a socket. */
typedef struct RecoRedisUrl
{
	char	   *host;			/* NULL: path */
	int			port;
	char	   *path;
	char	   *user;			/* NULL: Redis's default user */
	int			db;
} RecoRedisUrl;

/*
 * Parse a URL; the fields of *url are palloc'd.  Returns NULL, or what is wrong
 * as a sentence that does not quote the URL, since it may contain a secret by
 * mistake.
 */
extern const char *reco_redis_url_parse(const char *text, RecoRedisUrl *url, const char **hint);

#endif							/* RECO_REDIS_URL_H */
