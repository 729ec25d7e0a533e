/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Products by their number, as a snapshot shows them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_LOOKUP_H
#define RECO_LOOKUP_H

#include "table.h"

extern RecoTable *reco_lookup_open(Snapshot snapshot);
extern text *reco_lookup_product(RecoTable *dictionary, int32 number);
extern void reco_lookup_close(RecoTable *dictionary);

#endif							/* RECO_LOOKUP_H */
