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

/* In UTF-8. */
extern bool reco_json_unescape(RecoText *text);

#endif							/* RECO_JSON_STRING_H */
