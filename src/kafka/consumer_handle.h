/*-------------------------------------------------------------------------
 *
 * consumer_handle.h
 *	  The consumer's structure: librdkafka's handles and what they reported.
 *
 * For the files that call librdkafka (consumer.c, poll.c, metadata.c, probe.c); the only
 * one that includes its header.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_CONSUMER_HANDLE_H
#define RECO_CONSUMER_HANDLE_H

#include <librdkafka/rdkafka.h>

#include "port/atomics.h"

#include "common/monotonic.h"
#include "kafka/poll.h"
#include "nodes/bitmapset.h"

/* File descriptors that are tracked; a greater one is assumed to have sent a fetch. */
#define RECO_CONSUMER_SOCKETS 4096

struct RecoConsumer
{
	rd_kafka_t *handle;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;	/* messages and errors of all partitions */
	rd_kafka_queue_t *log;
	char	   *topic_name;
	int			pipe[2];		/* [0]: readable when the queue is not empty */

	bool	   *started;		/* partitions that are read, by number */
	int			nstarted;		/* the array's size */

	/* see reco_consumer_disturbances; written by librdkafka's threads */
	pg_atomic_uint32 disturbances;
	uint32		own_requests;	/* those that our own metadata requests caused */
	volatile bool fetching[RECO_CONSUMER_SOCKETS];	/* has a fetch been sent? */

	rd_kafka_message_t **held;	/* polled, not yet released */
	int			nheld;
	int			maxheld;

	char		error[512];		/* "": none since the last success */
	char		denial[512];	/* the last denial's message */
	Bitmapset  *denied;			/* partitions to which access is denied; NULL: none */
	bool		delivered;		/* some partition has delivered something */
	Bitmapset  *leaderless;		/* partitions without a leader; NULL: none */
	RecoMoment	answered;		/* the last success; 0: none */
	RecoMoment	log_due;		/* end of the minute in which log lines are counted */
	int			log_lines;
};

extern void reco_consumer_set_error(RecoConsumer *consumer, const char *fmt,...)
			pg_attribute_printf(2, 3);
extern void reco_consumer_note_error(RecoConsumer *consumer, const rd_kafka_message_t *from);
extern void reco_poll_translate(const rd_kafka_message_t *from, RecoMessage *to);

#endif							/* RECO_CONSUMER_HANDLE_H */
