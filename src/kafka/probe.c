/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  Probes: what is at some offset of a partition?
 *
 * Waits for the broker, so it must not be called inside a transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/monotonic.h"
#include "kafka/consumer_handle.h"
#include "kafka/probe.h"
#include "kafka/trail.h"
#include "miscadmin.h"

/* How often a wait checks whether the process shall exit; ms. */
#define PROBE_POLL_MS 100

/* Apply a message, or an event, of a probe's partition; returns whether that answers the probe. */
static bool
probe_answer(RecoConsumer *consumer, RecoProbe *probe, const rd_kafka_message_t *message)
{
	RecoMessage translated;

	switch (message->err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			reco_poll_translate(message, &translated);
			probe->found = message->offset;
			probe->hash = reco_trail_hash(&translated);
			return true;
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
			probe->found = -1;
			return true;
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR__BAD_MSG:
			/* not a message that was read before: that one could be unpacked */
			probe->found = message->offset;
			probe->hash = 0;
			return true;
		default:
			reco_consumer_note_error(consumer, message);
			return false;
	}
}

/*
 * Run probes, each of another partition, none of which may be started.  Waits at
 * most timeout milliseconds; probes may remain unanswered.
 */
void
reco_probe(RecoConsumer *consumer, RecoProbe *probes, int count, int timeout)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->handle);
	RecoMoment	end = reco_monotonic_after(timeout);
	int			left = count;

	for (int i = 0; i < count; i++)
	{
		probes[i].answered = false;
		probes[i].found = -1;
		(void) rd_kafka_consume_start_queue(consumer->topic, probes[i].position.partition,
											probes[i].position.offset, queue);
	}
	/* no CHECK_FOR_INTERRUPTS() here: an ERROR would leak the queue */
	while (left > 0 && !reco_monotonic_has_passed(end) && !ProcDiePending)
	{
		rd_kafka_message_t *message = rd_kafka_consume_queue(queue, Min(reco_monotonic_left(end), PROBE_POLL_MS));

		if (message == NULL)
			continue;
		for (int i = 0; i < count; i++)
		{
			if (probes[i].answered || probes[i].position.partition != message->partition ||
				!probe_answer(consumer, &probes[i], message))
				continue;
			probes[i].answered = true;
			left--;
			rd_kafka_consume_stop(consumer->topic, message->partition);
		}
		rd_kafka_message_destroy(message);
	}
	for (int i = 0; i < count; i++)
	{
		if (!probes[i].answered)
			rd_kafka_consume_stop(consumer->topic, probes[i].position.partition);
	}
	rd_kafka_queue_destroy(queue);
	CHECK_FOR_INTERRUPTS();
}
