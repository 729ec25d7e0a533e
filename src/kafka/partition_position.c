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

/* Messages that arrive are given out within this time, in milliseconds. */
#define HELD_MS 5000

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

/*
 * Take note of a message, or of an event; returns whether it is to be
 * written.  After a new start of a partition messages may come twice.
 */
bool
reco_partitions_take(RecoPartitions *partitions, RecoMessage *message)
{
	RecoPartition *partition;

	if (message->partition < 0 || message->partition >= partitions->count)
		return false;
	partition = &partitions->at[message->partition];
	switch (message->kind)
	{
		case RECO_MESSAGE_OUT_OF_RANGE:
			partition->out_of_range = true;
			partition->checked = false;
			return false;
		case RECO_MESSAGE_UNREADABLE:
			if (partition->stuck)
				return false;
			partition->stuck = true;
			partition->at_end = false;

			/* its offset is that of a set of messages: they are passed one at a time */
			message->offset = Max(message->offset, partition->next);
			partition->next = message->offset + 1;
			return true;
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

/*
 * Where the partitions of these messages go on behind them, palloc'd.  What
 * is known of the partitions stays as it is until that is committed.
 */
RecoCheckpoint *
reco_partitions_advance(const RecoPartitions *partitions, const RecoMessage *messages,
						int count, int *ncheckpoints)
{
	int			most = Min(count, partitions->count);
	RecoCheckpoint *checkpoints = palloc0(most * sizeof(RecoCheckpoint));
	int		   *newest = palloc(most * sizeof(int));	/* of a checkpoint: index of its last message */
	int		   *previous = palloc(count * sizeof(int)); /* of a message: the one before in its partition */
	int		   *place = palloc0(partitions->count * sizeof(int));	/* of a partition: its checkpoint + 1 */
	int			n = 0;

	for (int i = 0; i < count; i++)
	{
		int32		number = messages[i].partition;
		bool		known = place[number] > 0;
		int			k = known ? place[number] - 1 : n++;

		previous[i] = known ? newest[k] : -1;
		newest[k] = i;
		place[number] = k + 1;
	}
	for (int k = 0; k < n; k++)
	{
		const RecoMessage *message = &messages[newest[k]];
		RecoTrail  *trail = palloc0(sizeof(RecoTrail));

		trail->newest = -1;
		if (partitions->at[message->partition].trail != NULL)
			*trail = *partitions->at[message->partition].trail;
		reco_trail_extend(trail, messages, previous, newest[k]);
		checkpoints[k].position.partition = message->partition;
		checkpoints[k].position.offset = message->offset +
			(message->kind == RECO_MESSAGE_END ? 0 : 1);
		checkpoints[k].trail = trail;
	}
	*ncheckpoints = n;
	return checkpoints;
}

/* That is committed. */
void
reco_partitions_advanced(RecoPartitions *partitions, const RecoCheckpoint *checkpoints, int count)
{
	for (int i = 0; i < count; i++)
	{
		RecoPartition *partition = &partitions->at[checkpoints[i].position.partition];

		if (partition->trail == NULL)
			partition->trail = MemoryContextAlloc(partitions->context, sizeof(RecoTrail));
		*partition->trail = *checkpoints[i].trail;
		partition->changed = false;
	}
}

/* Is there anything of the past left to read? */
bool
reco_partitions_past_is_left(const RecoPartitions *partitions)
{
	for (int i = 0; i < partitions->count; i++)
	{
		const RecoPartition *partition = &partitions->at[i];

		if (partition->replay_end < 0 ||
			(!partition->at_end && partition->next < partition->replay_end))
			return true;
	}
	return false;
}

/*
 * The seconds that a partition is behind, whose messages up to high are to be
 * taken: by the last one taken, or as long as none is, by how long they wait.
 */
static double
seconds_behind(RecoPartition *partition, int64 high)
{
	if (high <= partition->next)
	{
		partition->behind_since = 0;
		return 0;
	}
	if (partition->behind_since == 0)
	{
		partition->behind_since = reco_monotonic_now();
		partition->behind_time = partition->time;
	}
	if (partition->time == partition->behind_time)
		return reco_monotonic_since(partition->behind_since) / 1000.0;
	return (double) (GetCurrentTimestamp() - partition->time) / USECS_PER_SEC;
}

/*
 * How far reading is behind; -1: not known, as of a partition that cannot be
 * read.  Kafka gives no message behind the first one of an open transaction:
 * what it keeps so counts, too.
 */
void
reco_partitions_lag(RecoPartitions *partitions, RecoKafka *kafka,
					int64 *messages, double *seconds)
{
	bool		known = partitions->count > 0;

	*messages = 0;
	*seconds = known ? 0 : -1;
	for (int i = 0; i < partitions->count; i++)
	{
		RecoPartition *partition = &partitions->at[i];
		int64		high = Max(reco_kafka_high(kafka, i), partition->replay_end);
		bool		held = partition->at_end && high > partition->next;

		if (!held)
			partition->held_since = 0;
		else if (partition->held_since == 0 || partition->held_at != partition->next)
			partition->held_since = reco_monotonic_now();
		partition->held_at = partition->next;
		if (partition->unread_since != 0)
		{
			known = false;
			*seconds = Max(*seconds, reco_monotonic_since(partition->unread_since) / 1000.0);
			continue;
		}
		*seconds = Max(*seconds, seconds_behind(partition, high));
		if (high > partition->next)
			*messages += Min(high - partition->next, PG_INT64_MAX - *messages);
	}
	if (!known)
		*messages = -1;
}

/* The number of partitions that have not been read for so many ms, and the first of them. */
int
reco_partitions_unread(const RecoPartitions *partitions, int64 ms, int *first)
{
	int			count = 0;

	for (int i = 0; i < partitions->count; i++)
	{
		RecoMoment	since = partitions->at[i].unread_since;

		if (since == 0 || reco_monotonic_since(since) < ms)
			continue;
		if (count++ == 0)
			*first = i;
	}
	return count;
}

/*
 * The number of partitions of which Kafka holds messages, but has given none
 * for seconds though it answers, and the first of them.
 */
int
reco_partitions_held(const RecoPartitions *partitions, int *first)
{
	int			count = 0;

	for (int i = 0; i < partitions->count; i++)
	{
		RecoMoment	since = partitions->at[i].held_since;

		if (since == 0 || reco_monotonic_since(since) < HELD_MS)
			continue;
		if (count++ == 0)
			*first = i;
	}
	return count;
}
