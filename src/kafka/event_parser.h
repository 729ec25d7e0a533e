/*-------------------------------------------------------------------------
 *
 * event_parser.h
 *	  One Kafka message to one event of a shopper.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_EVENT_PARSER_H
#define RECO_EVENT_PARSER_H

#include "common/json_string.h"
#include "datatype/timestamp.h"

#define RECO_EVENT_TYPE_MAX 64
#define RECO_PRODUCT_ID_MAX 512

typedef struct RecoEvent
{
	RecoText	event_type;
	int64		user_id;
	RecoText	product_id;
	RecoText	query;
	TimestampTz timestamp;
} RecoEvent;

extern const char *reco_event_parse(const char *payload, size_t length,
									TimestampTz message_time, RecoEvent *event);
extern const char *reco_event_check_sizes(const RecoEvent *event);

#endif							/* RECO_EVENT_PARSER_H */
