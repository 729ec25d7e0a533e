/*-------------------------------------------------------------------------
 *
 * partition_position.c
 *	  How far each partition of the topic has been read.
 *
 * Memory only: positions advance as messages are polled, and are stored in
 * reco.offsets together with the messages' events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka/metadata.h"
#include "kafka/partition_position.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Kafka delivers messages within this time, unless a transaction holds them; in milliseconds. */
#define HELD_MS 5000

/* Change the number of partitions; the state of those that remain is kept. */
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
 * Advance a position by a message, or an event; returns whether it is to be
 * written.  After a partition was started anew messages may come twice.
 */
bool
reco_partitions_accept(RecoPartitions *partitions, RecoMessage *message)
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

			/* its offset is that of a record batch, which is skipped message by message */
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
 * The checkpoints after these messages, palloc'd.  The partitions' trails change
 * only when they are committed.
 */
RecoCheckpoint *
reco_partitions_advance(const RecoPartitions *partitions, const RecoMessage *messages,
						int count, int *ncheckpoints)
{
	int			most = Min(count, partitions->count);
	RecoCheckpoint *checkpoints = palloc0(most * sizeof(RecoCheckpoint));
	int		   *newest = palloc(most * sizeof(int));	/* of a checkpoint: index of its last message */
	int		   *previous = palloc(count * sizeof(int)); /* of a message: the one before it in the partition */
	int		   *index = palloc0(partitions->count * sizeof(int));	/* of a partition: its checkpoint + 1 */
	int			n = 0;

	for (int i = 0; i < count; i++)
	{
		int32		number = messages[i].partition;
		bool		known = index[number] > 0;
		int			k = known ? index[number] - 1 : n++;

		previous[i] = known ? newest[k] : -1;
		newest[k] = i;
		index[number] = k + 1;
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

/* The checkpoints have been committed. */
void
reco_partitions_committed(RecoPartitions *partitions, const RecoCheckpoint *checkpoints, int count)
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

/* Is part of the past still to be read? */
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
 * A partition's lag in seconds, if its messages up to high are to be read: by the
 * time of the last one read, or while none is, by how long they have waited.
 */
static double
partition_seconds_behind(RecoPartition *partition, int64 high)
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
 * The lag of all partitions; -1: unknown, if one cannot be read.  Messages that
 * Kafka holds back because of an open transaction count, too.
 */
void
reco_partitions_lag(RecoPartitions *partitions, RecoConsumer *consumer,
					int64 *messages, double *seconds)
{
	bool		known = partitions->count > 0;

	*messages = 0;
	*seconds = known ? 0 : -1;
	for (int i = 0; i < partitions->count; i++)
	{
		RecoPartition *partition = &partitions->at[i];
		int64		high = Max(reco_metadata_high(consumer, i), partition->replay_end);
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
		*seconds = Max(*seconds, partition_seconds_behind(partition, high));
		if (high > partition->next)
			*messages += Min(high - partition->next, PG_INT64_MAX - *messages);
	}
	if (!known)
		*messages = -1;
}

/* The number of partitions that could not be read for at least ms, and the first of them. */
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
 * The number of partitions of which Kafka answers, but has held messages back
 * for HELD_MS, and the first of them.
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
