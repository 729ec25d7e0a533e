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

#include "kafka/kafka_private.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

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
			count = metadata->topics[0].partition_cnt;
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

/*
 * Set each position to the partition's first message that is not older than
 * the time; -1 where there is none.
 */
bool
reco_kafka_find_time(RecoKafka *kafka, RecoPosition *positions, int count,
					 TimestampTz time, int timeout)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < count; i++)
		positions[i].offset = Max(time / 1000 + EPOCH_MS, 0);
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

/* Read these partitions from there, and no others. */
bool
reco_kafka_assign(RecoKafka *kafka, const RecoPosition *positions, int count)
{
	rd_kafka_topic_partition_list_t *list = make_list(kafka, positions, count);
	rd_kafka_resp_err_t err = rd_kafka_assign(kafka->handle, list);

	rd_kafka_topic_partition_list_destroy(list);
	return succeeded(kafka, err, "could not assign partitions");
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
	rd_kafka_timestamp_type_t type;
	int64		time;

	to->partition = from->partition;
	to->offset = from->offset;
	to->payload = from->payload;
	to->length = from->len;
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
			return true;
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
			return false;		/* we need no group */
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
			note_refusal(kafka, from);
			return false;
		default:
			reco_kafka_set_error(kafka, "partition %d: %s", from->partition,
					  from->payload != NULL ? (const char *) from->payload :
					  rd_kafka_err2str(from->err));
			return false;
	}

	kafka->error[0] = '\0';
	kafka->delivered = true;
	if (kafka->refused != NULL)
		forget_refusal(kafka, from->partition);
	time = rd_kafka_message_timestamp(from, &type);
	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
		to->time = GetCurrentTimestamp();
	else
		to->time = (Max(Min(time, TIME_LIMIT), -TIME_LIMIT) - EPOCH_MS) * 1000;
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
