/*-------------------------------------------------------------------------
 *
 * bulk_insert.h
 *	  A batch's events into reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_BULK_INSERT_H
#define RECO_BULK_INSERT_H

#include "activity/event.h"
#include "engine/write.h"

typedef struct RecoInsert RecoInsert;

extern RecoInsert *reco_insert_begin(RecoWrite *write);
extern void reco_insert_event(RecoInsert *insert, const RecoEvent *event);
extern void reco_insert_end(RecoInsert *insert);

#endif							/* RECO_BULK_INSERT_H */
