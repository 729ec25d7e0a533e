/*-------------------------------------------------------------------------
 *
 * event_parser.h
 *	  Parser of a Kafka message into a shopper's event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_EVENT_PARSER_H
#define RECO_EVENT_PARSER_H

#include "activity/event.h"

extern const char *reco_event_parse(const char *payload, size_t length,
									TimestampTz message_time, RecoEvent *event);
extern const char *reco_event_check_sizes(const RecoEvent *event);

#endif							/* RECO_EVENT_PARSER_H */
