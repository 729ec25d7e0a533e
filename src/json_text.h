/*-------------------------------------------------------------------------
 *
 * json_text.h
 *	  Strings as they stand in a JSON document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_JSON_TEXT_H
#define RECO_JSON_TEXT_H

#include "text.h"

/* In UTF-8. */
extern bool reco_json_unescape(RecoText *text);

#endif							/* RECO_JSON_TEXT_H */
