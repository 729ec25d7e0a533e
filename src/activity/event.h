/*-------------------------------------------------------------------------
 *
 * event.h
 *	  An event, from whatever source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_EVENT_H
#define RECO_EVENT_H

#include "common/slice.h"
#include "datatype/timestamp.h"

#define RECO_EVENT_TYPE_MAX 64
#define RECO_PRODUCT_ID_MAX 512

typedef struct RecoEvent
{
	RecoSlice	event_type;
	int64		user_id;
	RecoSlice	product_id;
	RecoSlice	query;
	TimestampTz timestamp;
} RecoEvent;

#endif							/* RECO_EVENT_H */
