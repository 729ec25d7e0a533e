/*-------------------------------------------------------------------------
 *
 * json_text.h
 *	  Strings as they stand in a JSON document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_JSON_TEXT_H
#define RECO_JSON_TEXT_H

/* UTF-8, not terminated; data is NULL when the field is absent. */
typedef struct RecoText
{
	const char *data;
	int			length;
} RecoText;

extern bool reco_json_unescape(RecoText *text);

#endif							/* RECO_JSON_TEXT_H */
