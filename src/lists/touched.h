/*-------------------------------------------------------------------------
 *
 * touched.h
 *	  Does a change of products touch a list?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_TOUCHED_H
#define RECO_TOUCHED_H

#include "lists/list_codec.h"
#include "lists/view_history.h"

/* A number that no view and no list can hold yet. */
#define RECO_NO_NUMBER (-1)

/* Products that change, as they will be. */
typedef struct RecoTouched RecoTouched;

extern RecoTouched *reco_touched_create(int max_recommendations);
extern void reco_touched_change(RecoTouched *touched, int32 number);
extern void reco_touched_enter(RecoTouched *touched, int32 category, int32 number, int64 popularity);
extern void reco_touched_enter_best(RecoTouched *touched, int32 category);
extern bool reco_touched_is(const RecoTouched *touched, const RecoRecent *recent, const RecoList *list);
extern bool reco_touched_covers(const RecoTouched *touched, const RecoTouched *other);

#endif							/* RECO_TOUCHED_H */
