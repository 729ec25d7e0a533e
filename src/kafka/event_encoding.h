/*-------------------------------------------------------------------------
 *
 * event_encoding.h
 *	  An event's texts in the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_EVENT_ENCODING_H
#define RECO_EVENT_ENCODING_H

#include "kafka/event_parser.h"

typedef struct RecoEncoding
{
	bool		needed;			/* does the database speak another encoding than UTF-8? */
	Oid			conversion;		/* InvalidOid: there is none, ASCII only */
} RecoEncoding;

extern RecoEncoding reco_encoding_begin(void);
extern const char *reco_encoding_convert(const RecoEncoding *encoding, RecoEvent *event);

#endif							/* RECO_EVENT_ENCODING_H */
