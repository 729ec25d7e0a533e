/*-------------------------------------------------------------------------
 *
 * partition_position.c
 *	  How far each partition of the topic has been read.
 *
 * Memory only: positions move on as messages are taken from the consumer, and
 * are stored in reco.offsets together with what became of the messages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka/partition_position.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Room for so many partitions; what is known of the first ones stays. */
void
reco_partitions_resize(RecoPartitions *partitions, int count)
{
	RecoPartition *resized = MemoryContextAllocZero(partitions->context,
													Max(count, 1) * sizeof(RecoPartition));

	for (int i = 0; i < count; i++)
	{
		if (i < partitions->count)
			resized[i] = partitions->at[i];
		else
			resized[i].next = -1;
	}
	if (partitions->at != NULL)
		pfree(partitions->at);
	partitions->at = resized;
	partitions->count = count;
}

/* Where they go on, palloc'd. */
RecoPosition *
reco_partitions_positions(const RecoPartitions *partitions)
{
	RecoPosition *positions = palloc(partitions->count * sizeof(RecoPosition));

	for (int i = 0; i < partitions->count; i++)
	{
		positions[i].partition = i;
		positions[i].offset = partitions->at[i].next;
	}
	return positions;
}

/*
 * Take note of a message, or of an event; returns whether it is to be
 * written.  After a new start of a partition messages may come twice.
 */
bool
reco_partitions_take(RecoPartitions *partitions, const RecoMessage *message)
{
	RecoPartition *partition;

	if (message->partition >= partitions->count)
		return false;
	partition = &partitions->at[message->partition];
	switch (message->kind)
	{
		case RECO_MESSAGE_OUT_OF_RANGE:
			partition->out_of_range = true;
			return false;
		case RECO_MESSAGE_END:
			if (message->offset < partition->next)
				return false;
			partition->at_end = true;
			if (message->offset == partition->next)
				return false;
			partition->next = message->offset;
			return true;
		case RECO_MESSAGE_DATA:
			if (message->offset < partition->next)
				return false;
			partition->at_end = false;
			partition->time = message->time;
			partition->next = message->offset + 1;
			return true;
	}
	return false;
}

/* Is there anything of the past left to read? */
bool
reco_partitions_past_is_left(const RecoPartitions *partitions)
{
	for (int i = 0; i < partitions->count; i++)
	{
		if (!partitions->at[i].at_end &&
			partitions->at[i].next < partitions->at[i].replay_end)
			return true;
	}
	return false;
}

/* How far reading is behind; -1: not known. */
void
reco_partitions_lag(const RecoPartitions *partitions, RecoKafka *kafka,
					int64 *messages, double *seconds)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz oldest = now;

	*messages = 0;
	for (int i = 0; i < partitions->count; i++)
	{
		const RecoPartition *partition = &partitions->at[i];
		int64		high = Max(reco_kafka_high(kafka, i), partition->replay_end);

		if (partition->at_end || high <= partition->next)
			continue;
		*messages += high - partition->next;
		if (partition->time != 0)
			oldest = Min(oldest, partition->time);
	}
	if (partitions->count == 0)
		*messages = -1;
	*seconds = *messages < 0 ? -1 : (double) (now - oldest) / USECS_PER_SEC;
}
