/*-------------------------------------------------------------------------
 *
 * key.h
 *	  Formats and parses the names of keys in Redis; no I/O.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REDIS_KEY_H
#define RECO_REDIS_KEY_H

#include "lib/stringinfo.h"

/* A key's template: what is before and after its placeholder. */
typedef struct RecoRedisTemplate
{
	char	   *prefix;
	char	   *suffix;
	bool		window;			/* for windows, not for users */
} RecoRedisTemplate;

/* The templates of the settings, palloc'd. */
extern RecoRedisTemplate reco_redis_user_key_template(void);
extern RecoRedisTemplate reco_redis_window_key_template(void);

/* id: a user_id, or a window's start as TimestampTz.  The text replaces the contents of key. */
extern void reco_redis_key_print(const RecoRedisTemplate *template, int64 id, StringInfo key);
extern bool reco_redis_key_parse(const RecoRedisTemplate *template, const char *key, size_t length,
								 int64 *id);
extern char *reco_redis_key_pattern(const RecoRedisTemplate *template);

#endif							/* RECO_REDIS_KEY_H */
