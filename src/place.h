/*-------------------------------------------------------------------------
 *
 * place.h
 *	  Where rows were last seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PLACE_H
#define RECO_PLACE_H

#include "storage/itemptr.h"

/* Of one table, by key; NULL: none yet. */
typedef struct places_hash RecoPlaces;

extern ItemPointer reco_place_find(RecoPlaces *places, int64 key);
extern void reco_place_set(RecoPlaces **places, int64 key, ItemPointer tid);

#endif							/* RECO_PLACE_H */
