/*-------------------------------------------------------------------------
 *
 * bulk_insert.h
 *	  Inserting a batch's events into reco.activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_BULK_INSERT_H
#define RECO_BULK_INSERT_H

#include "activity/event.h"
#include "engine/write.h"

typedef struct RecoBulkInsert RecoBulkInsert;

extern RecoBulkInsert *reco_bulk_insert_begin(RecoWrite *write);
extern void reco_bulk_insert_event(RecoBulkInsert *insert, const RecoEvent *event);
extern void reco_bulk_insert_end(RecoBulkInsert *insert);

#endif							/* RECO_BULK_INSERT_H */
