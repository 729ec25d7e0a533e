/*-------------------------------------------------------------------------
 *
 * quote.h
 *	  Lists as Redis holds them, from lists as rows hold them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_QUOTE_H
#define RECO_QUOTE_H

#include "lib/stringinfo.h"
#include "utils/snapshot.h"

/* What is between begin and end is read under the snapshot; needs SPI. */
extern void reco_quote_begin(Snapshot snapshot);
extern void reco_quote_list(StringInfo value, int64 user_id, Datum list);
extern void reco_quote_end(void);

#endif							/* RECO_QUOTE_H */
