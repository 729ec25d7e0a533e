/*-------------------------------------------------------------------------
 *
 * kafka_private.h
 *	  What consumer.c and kafka_read.c share; nobody else includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_KAFKA_PRIVATE_H
#define RECO_KAFKA_PRIVATE_H

#include <librdkafka/rdkafka.h>

#include "common/monotonic.h"
#include "kafka/consumer.h"
#include "nodes/bitmapset.h"

struct RecoKafka
{
	rd_kafka_t *handle;
	rd_kafka_topic_t *topic;	/* for metadata of this topic only */
	rd_kafka_queue_t *queue;	/* messages and errors of all partitions */
	rd_kafka_queue_t *log;
	char	   *topic_name;
	int			pipe[2];		/* [0]: readable when the queue is not empty */

	rd_kafka_message_t **held;	/* given out, not yet released */
	int			nheld;
	int			maxheld;

	char		error[512];		/* "": none since the last success */
	char		refusal[512];	/* what Kafka last said of a partition that it does not give */
	Bitmapset  *refused;		/* the partitions; NULL: none */
	bool		delivered;		/* some partition was given */
	RecoMoment	answered;		/* the last success; 0: none */
	RecoMoment	log_due;		/* end of the minute in which they are counted */
	int			log_lines;
};

extern void reco_kafka_set_error(RecoKafka *kafka, const char *fmt,...)
			pg_attribute_printf(2, 3);

#endif							/* RECO_KAFKA_PRIVATE_H */
