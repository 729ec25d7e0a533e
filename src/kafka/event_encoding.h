/*-------------------------------------------------------------------------
 *
 * event_encoding.h
 *	  Conversion of an event's texts to the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_EVENT_ENCODING_H
#define RECO_EVENT_ENCODING_H

#include "kafka/event_parser.h"

typedef struct RecoEncoding
{
	bool		needed;			/* is the database's encoding neither UTF8 nor SQL_ASCII? */
	Oid			conversion;		/* InvalidOid: none exists, ASCII only */
} RecoEncoding;

extern RecoEncoding reco_encoding_begin(void);
extern const char *reco_encoding_convert(const RecoEncoding *encoding, RecoEvent *event);

#endif							/* RECO_EVENT_ENCODING_H */
