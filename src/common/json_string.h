/*-------------------------------------------------------------------------
 *
 * json_string.h
 *	  Reading and writing JSON strings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_JSON_STRING_H
#define RECO_JSON_STRING_H

#include "common/slice.h"
#include "lib/stringinfo.h"

/* To UTF-8. */
extern bool reco_json_unescape(RecoSlice *text);

/* To UTF-8; these need a transaction if the database has another encoding. */
extern const char *reco_json_utf8(const char *text, int *length, bool *raw);
extern void reco_json_append(StringInfo json, const char *text, int length);

#endif							/* RECO_JSON_STRING_H */
