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

#include "port/atomics.h"

#include "common/monotonic.h"
#include "kafka/consumer.h"
#include "nodes/bitmapset.h"

/* Sockets that are known by their numbers; others count as ones that fetch. */
#define RECO_KAFKA_SOCKETS 4096

struct RecoKafka
{
	rd_kafka_t *handle;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;	/* messages and errors of all partitions */
	rd_kafka_queue_t *log;
	char	   *topic_name;
	int			pipe[2];		/* [0]: readable when the queue is not empty */

	bool	   *started;		/* partitions that are read, by number */
	int			nstarted;		/* the array's size */

	/* see reco_kafka_disturbances; written by librdkafka's threads */
	pg_atomic_uint32 disturbances;
	uint32		own_requests;	/* disturbances that we made ourselves */
	volatile bool fetching[RECO_KAFKA_SOCKETS]; /* has a fetch been sent there? */

	rd_kafka_message_t **held;	/* given out, not yet released */
	int			nheld;
	int			maxheld;

	char		error[512];		/* "": none since the last success */
	char		refusal[512];	/* what Kafka last said of a partition that it does not give */
	Bitmapset  *refused;		/* the partitions; NULL: none */
	bool		delivered;		/* some partition was given */
	Bitmapset  *leaderless;		/* partitions whose broker is away; NULL: none */
	RecoMoment	answered;		/* the last success; 0: none */
	RecoMoment	log_due;		/* end of the minute in which they are counted */
	int			log_lines;
};

extern void reco_kafka_set_error(RecoKafka *kafka, const char *fmt,...)
			pg_attribute_printf(2, 3);
extern void reco_kafka_translate(const rd_kafka_message_t *from, RecoMessage *to);

#endif							/* RECO_KAFKA_PRIVATE_H */
