/*-------------------------------------------------------------------------
 *
 * kafka_read.c
 *	  What a topic holds, and its messages.
 *
 * Functions with a timeout (in milliseconds) wait for the broker and must not
 * be called inside a transaction; the others never wait.  Failure is
 * returned, and reco_kafka_error says why.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "common/monotonic.h"
#include "kafka/kafka_private.h"
#include "kafka/trail.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How soon the end of the process ends a wait for probes; ms. */
#define PROBE_POLL_MS 100

/* Milliseconds since 1970 that a message's time may be: 30,000 years. */
#define TIME_LIMIT INT64CONST(1000000000000000)

#define EPOCH_MS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (USECS_PER_DAY / 1000))

/* Note a failed call, if it is one. */
static bool
succeeded(RecoKafka *kafka, rd_kafka_resp_err_t err, const char *what)
{
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		reco_kafka_set_error(kafka, "%s: %s", what, rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Note which partitions have a broker to be read from. */
static void
note_leaders(RecoKafka *kafka, const struct rd_kafka_metadata_topic *topic)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	bms_free(kafka->leaderless);
	kafka->leaderless = NULL;
	for (int i = 0; i < topic->partition_cnt; i++)
	{
		if (topic->partitions[i].leader < 0 && topic->partitions[i].id >= 0)
			kafka->leaderless = bms_add_member(kafka->leaderless, topic->partitions[i].id);
	}
	MemoryContextSwitchTo(caller);
}

/* Had a partition a leader, when the partitions were last asked for? */
bool
reco_kafka_has_leader(const RecoKafka *kafka, int32 partition)
{
	return !bms_is_member(partition, kafka->leaderless);
}

/*
 * The number of the topic's partitions; 0: there is no such topic, -1: not
 * known.
 */
int
reco_kafka_partitions(RecoKafka *kafka, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	int			count = -1;

	err = rd_kafka_metadata(kafka->handle, 0, kafka->topic, &metadata, timeout);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		kafka->own_requests++;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		/* "timed out" tells less than what the connection met */
		if (err != RD_KAFKA_RESP_ERR__TRANSPORT && err != RD_KAFKA_RESP_ERR__TIMED_OUT)
			reco_kafka_set_error(kafka, "%s", rd_kafka_err2str(err));
		else if (kafka->error[0] == '\0')
			reco_kafka_set_error(kafka, "no broker answers");
		return -1;
	}
	if (metadata->topic_cnt == 1)
	{
		err = metadata->topics[0].err;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			count = metadata->topics[0].partition_cnt;
			note_leaders(kafka, &metadata->topics[0]);
		}
		else if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			count = 0;
	}
	if (count > 0)
	{
		kafka->error[0] = '\0';
		kafka->answered = reco_monotonic_now();
	}
	else
		reco_kafka_set_error(kafka, "topic \"%s\": %s", kafka->topic_name, rd_kafka_err2str(err));
	rd_kafka_metadata_destroy(metadata);
	return count;
}

/* The cluster's identifier, palloc'd; NULL: not known. */
char *
reco_kafka_cluster(RecoKafka *kafka, int timeout)
{
	char	   *id = rd_kafka_clusterid(kafka->handle, timeout);
	char	   *result = NULL;

	if (id != NULL)
	{
		result = pstrdup(id);
		rd_kafka_mem_free(kafka->handle, id);
	}
	return result;
}

/* The first offset that a partition holds, and the one its next message gets. */
bool
reco_kafka_range(RecoKafka *kafka, int32 partition, int timeout,
				 int64 *low, int64 *high)
{
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(kafka->handle,
															   kafka->topic_name, partition,
															   low, high, timeout);

	return succeeded(kafka, err, "could not get the offsets of a partition");
}

/* Positions as librdkafka wants them; the caller frees the list. */
static rd_kafka_topic_partition_list_t *
make_list(RecoKafka *kafka, const RecoPosition *positions, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, kafka->topic_name,
										  positions[i].partition)->offset = positions[i].offset;
	return list;
}

/* A time as Kafka knows it. */
int64
reco_kafka_stamp(TimestampTz time)
{
	return Max(time / 1000 + EPOCH_MS, 0);
}

/*
 * Set each position to the partition's first message that is not older than
 * the stamp; -1 where there is none.
 */
bool
reco_kafka_find_time(RecoKafka *kafka, RecoPosition *positions, int count,
					 int64 stamp, int timeout)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < count; i++)
		positions[i].offset = stamp;
	list = make_list(kafka, positions, count);
	err = rd_kafka_offsets_for_times(kafka->handle, list, timeout);
	for (int i = 0; i < count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		err = list->elems[i].err;
		positions[i].partition = list->elems[i].partition;
		positions[i].offset = Max(list->elems[i].offset, -1);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return succeeded(kafka, err, "could not find offsets by time");
}

/* The end of a partition as the last fetch saw it; -1: not known. */
int64
reco_kafka_high(RecoKafka *kafka, int32 partition)
{
	int64		low,
				high;

	if (rd_kafka_get_watermark_offsets(kafka->handle, kafka->topic_name, partition,
									   &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return -1;
	return Max(high, -1);
}

/* Read a partition from there on. */
void
reco_kafka_start(RecoKafka *kafka, int32 partition, int64 offset)
{
	Assert(partition >= 0 && offset >= 0);
	if (partition >= kafka->nstarted)
	{
		int			size = Max(partition + 1, 2 * kafka->nstarted);
		bool	   *started = MemoryContextAllocZero(TopMemoryContext, size);

		if (kafka->started != NULL)
		{
			memcpy(started, kafka->started, kafka->nstarted);
			pfree(kafka->started);
		}
		kafka->started = started;
		kafka->nstarted = size;
	}
	reco_kafka_stop(kafka, partition);
	kafka->started[partition] =
		rd_kafka_consume_start_queue(kafka->topic, partition, offset, kafka->queue) == 0;
	if (!kafka->started[partition])
		reco_kafka_set_error(kafka, "could not start partition %d: %s", partition,
							 rd_kafka_err2str(rd_kafka_last_error()));
}

/* Read it no longer: what it has in the queue is not given out. */
void
reco_kafka_stop(RecoKafka *kafka, int32 partition)
{
	if (partition >= kafka->nstarted || !kafka->started[partition])
		return;
	rd_kafka_consume_stop(kafka->topic, partition);
	kafka->started[partition] = false;
}

/*
 * The broker answers, but does not give a partition.  librdkafka says so once,
 * and nothing when it gets it again, unless a message or an end comes.
 */
static void
note_refusal(RecoKafka *kafka, const rd_kafka_message_t *from)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	kafka->refused = bms_add_member(kafka->refused, Max(from->partition, 0));
	MemoryContextSwitchTo(caller);
	snprintf(kafka->refusal, sizeof(kafka->refusal), "partition %d: %s", from->partition,
			 from->payload != NULL ? (const char *) from->payload : rd_kafka_err2str(from->err));
}

/* What went wrong with a partition. */
static void
note_error(RecoKafka *kafka, const rd_kafka_message_t *from)
{
	if (from->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		note_refusal(kafka, from);
	else
		reco_kafka_set_error(kafka, "partition %d: %s", from->partition,
							 from->payload != NULL ? (const char *) from->payload :
							 rd_kafka_err2str(from->err));
}

/* Take a message of a probe's partition, or what came in its place. */
static bool
answer_probe(RecoKafka *kafka, RecoProbe *probe, const rd_kafka_message_t *message)
{
	RecoMessage translated;

	switch (message->err)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			reco_kafka_translate(message, &translated);
			probe->found = message->offset;
			probe->hash = reco_trail_hash(&translated);
			return true;
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
			probe->found = -1;
			return true;
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR__BAD_MSG:
			/* nothing that was read: that could be unpacked */
			probe->found = message->offset;
			probe->hash = 0;
			return true;
		default:
			note_error(kafka, message);
			return false;
	}
}

/*
 * Look at what is at some offsets, each of another partition, none of which is
 * started.  A probe that is not answered in time stays so.
 */
void
reco_kafka_probe(RecoKafka *kafka, RecoProbe *probes, int count, int timeout)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->handle);
	RecoMoment	end = reco_monotonic_after(timeout);
	int			left = count;

	for (int i = 0; i < count; i++)
	{
		probes[i].answered = false;
		probes[i].found = -1;
		(void) rd_kafka_consume_start_queue(kafka->topic, probes[i].position.partition,
											probes[i].position.offset, queue);
	}
	/* the end of the process ends the wait, for no ERROR may leave the queue behind */
	while (left > 0 && !reco_monotonic_has_passed(end) && !ProcDiePending)
	{
		rd_kafka_message_t *message = rd_kafka_consume_queue(queue, Min(reco_monotonic_left(end), PROBE_POLL_MS));

		if (message == NULL)
			continue;
		for (int i = 0; i < count; i++)
		{
			if (probes[i].answered || probes[i].position.partition != message->partition ||
				!answer_probe(kafka, &probes[i], message))
				continue;
			probes[i].answered = true;
			left--;
			rd_kafka_consume_stop(kafka->topic, message->partition);
		}
		rd_kafka_message_destroy(message);
	}
	for (int i = 0; i < count; i++)
	{
		if (!probes[i].answered)
			rd_kafka_consume_stop(kafka->topic, probes[i].position.partition);
	}
	rd_kafka_queue_destroy(queue);
	CHECK_FOR_INTERRUPTS();
}

/* The fields of a message, or of an event. */
void
reco_kafka_translate(const rd_kafka_message_t *from, RecoMessage *to)
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
forget_refusal(RecoKafka *kafka, int32 partition)
{
	kafka->refused = bms_del_member(kafka->refused, partition);
	if (!bms_is_empty(kafka->refused))
		return;
	bms_free(kafka->refused);	/* before 17 an empty set is not NULL */
	kafka->refused = NULL;
}

/* Translate a message or an event; false: it is nothing to the caller. */
static bool
take_message(RecoKafka *kafka, const rd_kafka_message_t *from, RecoMessage *to)
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
			note_error(kafka, from);
			return false;
	}
	reco_kafka_translate(from, to);
	if (to->kind != RECO_MESSAGE_DATA && to->kind != RECO_MESSAGE_END)
	{
		to->payload = to->key = NULL;	/* librdkafka's words, not a message's */
		return true;
	}
	kafka->error[0] = '\0';
	kafka->delivered = true;
	if (kafka->refused != NULL)
		forget_refusal(kafka, from->partition);
	return true;
}

/* Room for so many more messages to hold. */
static void
reserve(RecoKafka *kafka, int more)
{
	int			needed = kafka->nheld + more;

	if (needed <= kafka->maxheld)
		return;
	if (kafka->held == NULL)
		kafka->held = MemoryContextAlloc(TopMemoryContext,
										 needed * sizeof(rd_kafka_message_t *));
	else
		kafka->held = repalloc(kafka->held, needed * sizeof(rd_kafka_message_t *));
	kafka->maxheld = needed;
}

/*
 * Take what has arrived, at most max messages, without waiting; returns how
 * many.  Their payload stays until reco_kafka_release.
 */
int
reco_kafka_consume(RecoKafka *kafka, RecoMessage *messages, int max)
{
	char		wakeups[256];
	ssize_t		taken,
				wanted;
	int			count = 0;

	/* first, so that what arrives from here on wakes again */
	while (read(kafka->pipe[0], wakeups, sizeof(wakeups)) == sizeof(wakeups))
		;

	reserve(kafka, max);
	do
	{
		wanted = max - count;
		taken = rd_kafka_consume_batch_queue(kafka->queue, 0,
											 kafka->held + kafka->nheld, wanted);
		for (ssize_t i = 0; i < taken; i++)
		{
			if (take_message(kafka, kafka->held[kafka->nheld + i], &messages[count]))
				count++;
		}
		kafka->nheld += Max(taken, 0);
		reserve(kafka, max - count);
	} while (taken == wanted && count < max);
	if (count > 0 && kafka->error[0] == '\0')
		kafka->answered = reco_monotonic_now();
	return count;
}

/* Give back all messages. */
void
reco_kafka_release(RecoKafka *kafka)
{
	for (int i = 0; i < kafka->nheld; i++)
		rd_kafka_message_destroy(kafka->held[i]);
	kafka->nheld = 0;
}
