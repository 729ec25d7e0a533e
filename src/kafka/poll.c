/*-------------------------------------------------------------------------
 *
 * poll.c
 *	  Polling messages from the topic's partitions.
 *
 * Each partition is started at an offset that the caller keeps.  Messages are
 * not copied: they stay in librdkafka's memory until reco_poll_release.
 *
 * Nothing here waits, or raises an ERROR for what the broker does;
 * reco_consumer_error says what went wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "common/monotonic.h"
#include "kafka/consumer_handle.h"
#include "kafka/poll.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Limit for a message's time in milliseconds since 1970: 30,000 years. */
#define TIME_LIMIT INT64CONST(1000000000000000)

#define EPOCH_MS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (USECS_PER_DAY / 1000))

/* Start reading a partition at an offset. */
void
reco_poll_start(RecoConsumer *consumer, int32 partition, int64 offset)
{
	Assert(partition >= 0 && offset >= 0);
	if (partition >= consumer->nstarted)
	{
		int			size = Max(partition + 1, 2 * consumer->nstarted);
		bool	   *started = MemoryContextAllocZero(TopMemoryContext, size);

		if (consumer->started != NULL)
		{
			memcpy(started, consumer->started, consumer->nstarted);
			pfree(consumer->started);
		}
		consumer->started = started;
		consumer->nstarted = size;
	}
	reco_poll_stop(consumer, partition);
	consumer->started[partition] =
		rd_kafka_consume_start_queue(consumer->topic, partition, offset, consumer->queue) == 0;
	if (!consumer->started[partition])
		reco_consumer_set_error(consumer, "could not start partition %d: %s", partition,
								rd_kafka_err2str(rd_kafka_last_error()));
}

/* Stop reading a partition, and drop its queued messages. */
void
reco_poll_stop(RecoConsumer *consumer, int32 partition)
{
	if (partition >= consumer->nstarted || !consumer->started[partition])
		return;
	rd_kafka_consume_stop(consumer->topic, partition);
	consumer->started[partition] = false;
}

/* A time as Kafka's timestamp: milliseconds since 1970. */
int64
reco_poll_stamp(TimestampTz time)
{
	return Max(time / 1000 + EPOCH_MS, 0);
}

/* Convert librdkafka's message, or event, except its kind. */
void
reco_poll_translate(const rd_kafka_message_t *from, RecoMessage *to)
{
	rd_kafka_timestamp_type_t type;
	int64		time = rd_kafka_message_timestamp(from, &type);

	to->partition = from->partition;
	to->offset = from->offset;
	to->payload = from->payload;
	to->length = from->len;
	to->key = from->key;
	to->key_length = from->key_len;
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || time < 0)
	{
		to->stamp = -1;
		to->time = GetCurrentTimestamp();
	}
	else
	{
		to->stamp = time;
		to->time = (Max(Min(time, TIME_LIMIT), 0) - EPOCH_MS) * 1000;
	}
}

static void
poll_clear_denial(RecoConsumer *consumer, int32 partition)
{
	consumer->denied = bms_del_member(consumer->denied, partition);
	if (!bms_is_empty(consumer->denied))
		return;
	bms_free(consumer->denied);	/* before 17 an empty set is not NULL */
	consumer->denied = NULL;
}

/* Convert a message or an event; false: it is not for the caller. */
static bool
poll_accept(RecoConsumer *consumer, const rd_kafka_message_t *from, RecoMessage *to)
{
	switch (from->err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			to->kind = RECO_MESSAGE_DATA;
			break;
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
			to->kind = RECO_MESSAGE_END;
			break;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
			to->kind = RECO_MESSAGE_OUT_OF_RANGE;
			break;
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
			to->kind = RECO_MESSAGE_UNREADABLE;
			break;
		default:
			reco_consumer_note_error(consumer, from);
			return false;
	}
	reco_poll_translate(from, to);
	if (to->kind != RECO_MESSAGE_DATA && to->kind != RECO_MESSAGE_END)
	{
		to->payload = to->key = NULL;	/* librdkafka's error text */
		return true;
	}
	consumer->error[0] = '\0';
	consumer->delivered = true;
	if (consumer->denied != NULL)
		poll_clear_denial(consumer, from->partition);
	return true;
}

/* Make room to hold more messages. */
static void
poll_reserve(RecoConsumer *consumer, int more)
{
	int			needed = consumer->nheld + more;

	if (needed <= consumer->maxheld)
		return;
	if (consumer->held == NULL)
		consumer->held = MemoryContextAlloc(TopMemoryContext,
											needed * sizeof(rd_kafka_message_t *));
	else
		consumer->held = repalloc(consumer->held, needed * sizeof(rd_kafka_message_t *));
	consumer->maxheld = needed;
}

/*
 * Poll what has arrived, at most max messages, without waiting; returns how
 * many.  Their payloads are valid until reco_poll_release.
 */
int
reco_poll_messages(RecoConsumer *consumer, RecoMessage *messages, int max)
{
	char		wakeups[256];
	ssize_t		polled,
				wanted;
	int			count = 0;

	/* drain the pipe first, so that what arrives from now on wakes us again */
	while (read(consumer->pipe[0], wakeups, sizeof(wakeups)) == sizeof(wakeups))
		;

	poll_reserve(consumer, max);
	do
	{
		wanted = max - count;
		polled = rd_kafka_consume_batch_queue(consumer->queue, 0,
											  consumer->held + consumer->nheld, wanted);
		for (ssize_t i = 0; i < polled; i++)
		{
			if (poll_accept(consumer, consumer->held[consumer->nheld + i], &messages[count]))
				count++;
		}
		consumer->nheld += Max(polled, 0);
		poll_reserve(consumer, max - count);
	} while (polled == wanted && count < max);
	if (count > 0 && consumer->error[0] == '\0')
		consumer->answered = reco_monotonic_now();
	return count;
}

/* Release all messages. */
void
reco_poll_release(RecoConsumer *consumer)
{
	for (int i = 0; i < consumer->nheld; i++)
		rd_kafka_message_destroy(consumer->held[i]);
	consumer->nheld = 0;
}
