/*-------------------------------------------------------------------------
 *
 * json_string.h
 *	  Strings as they stand in a JSON document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_JSON_STRING_H
#define RECO_JSON_STRING_H

#include "common/slice.h"
#include "lib/stringinfo.h"

/* In UTF-8. */
extern bool reco_json_unescape(RecoSlice *text);

/* These give UTF-8, and need a transaction where the database has another encoding. */
extern const char *reco_json_utf8(const char *text, int *length, bool *raw);
extern void reco_json_append(StringInfo json, const char *text, int length);

#endif							/* RECO_JSON_STRING_H */
