/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  A consumer of one Kafka topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONSUMER_H
#define RECO_CONSUMER_H

#include "common/monotonic.h"
#include "datatype/timestamp.h"

typedef struct RecoKafka RecoKafka;

typedef enum RecoMessageKind
{
	RECO_MESSAGE_DATA,
	RECO_MESSAGE_END,			/* no message at offset yet, all before are read */
	RECO_MESSAGE_OUT_OF_RANGE,	/* Kafka does not hold the offset asked for */
	RECO_MESSAGE_UNREADABLE		/* librdkafka cannot take what is at offset, and stands there */
} RecoMessageKind;

typedef struct RecoMessage
{
	RecoMessageKind kind;
	int32		partition;
	int64		offset;
	TimestampTz time;			/* when it was written, as Kafka says */
	int64		stamp;			/* the same as it stands there: ms since 1970; -1: none */
	const char *payload;		/* NULL: a tombstone */
	size_t		length;
	const char *key;
	size_t		key_length;
} RecoMessage;

/* The offset of the next message to read of a partition. */
typedef struct RecoPosition
{
	int32		partition;
	int64		offset;			/* -1: behind the last message */
} RecoPosition;

/* A look at what is at an offset of a partition. */
typedef struct RecoProbe
{
	RecoPosition position;
	bool		answered;
	int64		found;			/* offset of the first message from there on; -1: none */
	uint64		hash;			/* of that message, see trail.h */
} RecoProbe;

extern RecoKafka *reco_kafka_open(const char *brokers, const char *topic,
								  const char *config, char **problem);
extern bool reco_kafka_close(RecoKafka *kafka);
extern pgsocket reco_kafka_socket(RecoKafka *kafka);
extern const char *reco_kafka_error(RecoKafka *kafka);
extern const char *reco_kafka_refusal(RecoKafka *kafka, bool *delivered);
extern RecoMoment reco_kafka_answered(RecoKafka *kafka);
extern bool reco_kafka_forward_log(RecoKafka *kafka);

extern int	reco_kafka_partitions(RecoKafka *kafka, int timeout);
extern bool reco_kafka_has_leader(const RecoKafka *kafka, int32 partition);
extern char *reco_kafka_cluster(RecoKafka *kafka, int timeout);
extern bool reco_kafka_range(RecoKafka *kafka, int32 partition, int timeout,
							 int64 *low, int64 *high);
extern bool reco_kafka_find_time(RecoKafka *kafka, RecoPosition *positions, int count,
								 int64 stamp, int timeout);
extern int64 reco_kafka_stamp(TimestampTz time);
extern int64 reco_kafka_high(RecoKafka *kafka, int32 partition);
extern uint32 reco_kafka_disturbances(RecoKafka *kafka);

extern void reco_kafka_start(RecoKafka *kafka, int32 partition, int64 offset);
extern void reco_kafka_stop(RecoKafka *kafka, int32 partition);
extern void reco_kafka_probe(RecoKafka *kafka, RecoProbe *probes, int count, int timeout);
extern int	reco_kafka_consume(RecoKafka *kafka, RecoMessage *messages, int max);
extern void reco_kafka_release(RecoKafka *kafka);

#endif							/* RECO_CONSUMER_H */
