/*-------------------------------------------------------------------------
 *
 * poll.h
 *	  Polling messages from the topic's partitions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_POLL_H
#define RECO_POLL_H

#include "datatype/timestamp.h"
#include "kafka/consumer.h"

typedef enum RecoMessageKind
{
	RECO_MESSAGE_DATA,
	RECO_MESSAGE_END,			/* end of the partition: no message at offset yet */
	RECO_MESSAGE_OUT_OF_RANGE,	/* Kafka does not have the offset requested */
	RECO_MESSAGE_UNREADABLE		/* librdkafka cannot unpack what is at offset, and stays there */
} RecoMessageKind;

typedef struct RecoMessage
{
	RecoMessageKind kind;
	int32		partition;
	int64		offset;
	TimestampTz time;			/* Kafka's timestamp, or else the current time */
	int64		stamp;			/* Kafka's timestamp, in ms since 1970; -1: none */
	const char *payload;		/* NULL: a tombstone */
	size_t		length;
	const char *key;
	size_t		key_length;
} RecoMessage;

extern int64 reco_poll_stamp(TimestampTz time);
extern void reco_poll_start(RecoConsumer *consumer, int32 partition, int64 offset);
extern void reco_poll_stop(RecoConsumer *consumer, int32 partition);
extern int	reco_poll_messages(RecoConsumer *consumer, RecoMessage *messages, int max);
extern void reco_poll_release(RecoConsumer *consumer);

#endif							/* RECO_POLL_H */
