/*-------------------------------------------------------------------------
 *
 * iso8601.h
 *	  ISO 8601 date and time to timestamptz.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_ISO8601_H
#define RECO_ISO8601_H

#include "datatype/timestamp.h"

extern bool reco_iso8601_parse(const char *text, int length, TimestampTz *result);

#endif							/* RECO_ISO8601_H */
