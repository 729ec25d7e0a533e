/*-------------------------------------------------------------------------
 *
 * login.h
 *	  How to log in to Redis, and what its refusals mean; no sockets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOGIN_H
#define RECO_LOGIN_H

/* The first line of a file; NULL if path is empty. */
extern char *reco_redis_read_password(const char *path);

/* What INFO says of the server: NULL, or why nothing can be published to it. */
extern const char *reco_redis_judge_server(const char *info, const char **hint);

/* Raise an error reply as an ERROR. */
pg_noreturn extern void reco_redis_report(const char *where, const char *reply);

#endif							/* RECO_LOGIN_H */
