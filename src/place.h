/*-------------------------------------------------------------------------
 *
 * place.h
 *	  Where users' rows were last seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_PLACE_H
#define RECO_PLACE_H

#include "storage/itemptr.h"

extern ItemPointer reco_place_find(int64 user_id);
extern void reco_place_set(int64 user_id, ItemPointer tid);

#endif							/* RECO_PLACE_H */
