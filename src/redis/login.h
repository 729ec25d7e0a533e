/*-------------------------------------------------------------------------
 *
 * login.h
 *	  The password for Redis, and the meaning of its error replies; no sockets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOGIN_H
#define RECO_LOGIN_H

/* Read the first line of the password file; NULL if path is empty. */
extern char *reco_redis_read_password(const char *path);

/* Check the server's INFO: NULL, or why we cannot publish to it. */
extern const char *reco_redis_check_info(const char *info, const char **hint);

/* Raise an error reply as an ERROR. */
pg_noreturn extern void reco_redis_raise(const char *where, const char *reply);

#endif							/* RECO_LOGIN_H */
