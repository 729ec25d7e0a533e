/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  Metadata of the topic: its partitions, their leaders and offsets.
 *
 * Functions with a timeout (in milliseconds) wait for the broker and must not be
 * called inside a transaction; the others do not wait.  A failure is returned,
 * and reco_consumer_error says why.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka/consumer_handle.h"
#include "kafka/metadata.h"
#include "utils/memutils.h"

/* Set the error if a call failed; returns whether it succeeded. */
static bool
metadata_check(RecoConsumer *consumer, rd_kafka_resp_err_t err, const char *what)
{
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		reco_consumer_set_error(consumer, "%s: %s", what, rd_kafka_err2str(err));
	return err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Note which partitions have no leader. */
static void
metadata_note_leaders(RecoConsumer *consumer, const struct rd_kafka_metadata_topic *topic)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	bms_free(consumer->leaderless);
	consumer->leaderless = NULL;
	for (int i = 0; i < topic->partition_cnt; i++)
	{
		if (topic->partitions[i].leader < 0 && topic->partitions[i].id >= 0)
			consumer->leaderless = bms_add_member(consumer->leaderless, topic->partitions[i].id);
	}
	MemoryContextSwitchTo(caller);
}

/* Did a partition have a leader when the metadata was last requested? */
bool
reco_metadata_has_leader(const RecoConsumer *consumer, int32 partition)
{
	return !bms_is_member(partition, consumer->leaderless);
}

/*
 * The number of the topic's partitions; 0: there is no such topic, -1: unknown.
 */
int
reco_metadata_partitions(RecoConsumer *consumer, int timeout)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;
	int			count = -1;

	err = rd_kafka_metadata(consumer->handle, 0, consumer->topic, &metadata, timeout);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		consumer->own_requests++;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		/* an earlier error of the connection says more than "timed out" */
		if (err != RD_KAFKA_RESP_ERR__TRANSPORT && err != RD_KAFKA_RESP_ERR__TIMED_OUT)
			reco_consumer_set_error(consumer, "%s", rd_kafka_err2str(err));
		else if (consumer->error[0] == '\0')
			reco_consumer_set_error(consumer, "no broker answers");
		return -1;
	}
	if (metadata->topic_cnt == 1)
	{
		err = metadata->topics[0].err;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			count = metadata->topics[0].partition_cnt;
			metadata_note_leaders(consumer, &metadata->topics[0]);
		}
		else if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			count = 0;
	}
	if (count > 0)
	{
		consumer->error[0] = '\0';
		consumer->answered = reco_monotonic_now();
	}
	else
		reco_consumer_set_error(consumer, "topic \"%s\": %s", consumer->topic_name, rd_kafka_err2str(err));
	rd_kafka_metadata_destroy(metadata);
	return count;
}

/* The cluster's identifier, palloc'd; NULL: unknown. */
char *
reco_metadata_cluster(RecoConsumer *consumer, int timeout)
{
	char	   *id = rd_kafka_clusterid(consumer->handle, timeout);
	char	   *result = NULL;

	if (id != NULL)
	{
		result = pstrdup(id);
		rd_kafka_mem_free(consumer->handle, id);
	}
	return result;
}

/* A partition's low and high watermarks: its first offset, and the one that its next message gets. */
bool
reco_metadata_range(RecoConsumer *consumer, int32 partition, int timeout,
					int64 *low, int64 *high)
{
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(consumer->handle,
															   consumer->topic_name, partition,
															   low, high, timeout);

	return metadata_check(consumer, err, "could not get the offsets of a partition");
}

/* Convert positions for librdkafka; the caller frees the list. */
static rd_kafka_topic_partition_list_t *
metadata_make_list(RecoConsumer *consumer, const RecoPosition *positions, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, consumer->topic_name,
										  positions[i].partition)->offset = positions[i].offset;
	return list;
}

/*
 * Set each position to the partition's first message that is not older than the
 * stamp (ms since 1970); -1 if there is none.
 */
bool
reco_metadata_find_time(RecoConsumer *consumer, RecoPosition *positions, int count,
						int64 stamp, int timeout)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < count; i++)
		positions[i].offset = stamp;
	list = metadata_make_list(consumer, positions, count);
	err = rd_kafka_offsets_for_times(consumer->handle, list, timeout);
	for (int i = 0; i < count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		err = list->elems[i].err;
		positions[i].partition = list->elems[i].partition;
		positions[i].offset = Max(list->elems[i].offset, -1);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return metadata_check(consumer, err, "could not find offsets by time");
}

/* A partition's high watermark as of the last fetch; -1: unknown. */
int64
reco_metadata_high(RecoConsumer *consumer, int32 partition)
{
	int64		low,
				high;

	if (rd_kafka_get_watermark_offsets(consumer->handle, consumer->topic_name, partition,
									   &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return -1;
	return Max(high, -1);
}
