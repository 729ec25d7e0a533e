/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Keys and values in Redis, as applications read them; no I/O.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VALUE_H
#define RECO_VALUE_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* A key's template, cut at its placeholder: what stands before and after it. */
typedef struct RecoTemplate
{
	char	   *prefix;
	char	   *suffix;
	bool		window;			/* of windows, not of users */
} RecoTemplate;

/* The settings' templates; they are palloc'd. */
extern RecoTemplate reco_format_user_template(void);
extern RecoTemplate reco_format_trending_template(void);

/* id: a user_id, or a window's start as TimestampTz.  The text replaces what key held. */
extern void reco_format_key(const RecoTemplate *template, int64 id, StringInfo key);
extern bool reco_format_parse_key(const RecoTemplate *template, const char *key, size_t length,
								  int64 *id);
extern char *reco_format_pattern(const RecoTemplate *template);

/* These append UTF-8, and need a transaction where the database has another encoding. */
extern void reco_format_list_begin(StringInfo value, int64 user_id);
extern void reco_format_list_end(StringInfo value);
extern void reco_format_product(StringInfo value, Datum product);

/* Has a value the form of a list for this user? */
extern bool reco_format_is_list(const char *value, size_t length, int64 user_id);

#endif							/* RECO_VALUE_H */
