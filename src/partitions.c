/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  Which partitions the topic has, and where each of them goes on.
 *
 * A topic without offsets in reco.offsets is new here: that is so after the
 * first start, a crash or a promotion.  It is read from the messages as of
 * horizon - reco.max_future on, and until what is there now has been read,
 * the past is "replayed".  A partition that appears later is read from its
 * beginning.  Where Kafka does not hold what is to be read next, a warning
 * says so, and reading goes on with what is there.
 *
 * Kafka is asked outside of any transaction and for a limited time; what
 * fails is tried again at the next look.  Positions are changed in memory as
 * messages are taken, and in reco.offsets together with their events.
 *
 *-------------------------------------------------------------------------
 */
#include "compat.h"

#include "guc.h"
#include "miscadmin.h"
#include "offsets.h"
#include "partitions.h"
#include "shared.h"
#include "sql.h"
#include "state.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How long to wait for Kafka's answer, in milliseconds. */
#define TIMEOUT 1000

/* Looks at the topic's partitions: when all is well, and when it is not. */
#define LOOK_INTERVAL 5000
#define RETRY_INTERVAL 2000

/* A topic that so many looks in a row did not find has been deleted. */
#define LOOKS_TO_MISS 3

typedef struct Partition
{
	int64		next;			/* offset of the next message to take; -1: not known */
	int64		replay_end;		/* what is before is the past */
	TimestampTz time;			/* of the last message taken */
	bool		at_end;			/* Kafka says that nothing is left */
	bool		out_of_range;	/* Kafka says that it does not hold next */
} Partition;

static MemoryContext context = NULL;
static Partition *partitions = NULL;
static int	npartitions = 0;
static RecoTopic current = {NULL, false};

static TimestampTz next_look = 0;
static int	looks_missed = 0;

/* Begin from reco.offsets again; the consumer has gone, or another topic is set. */
void
reco_partitions_forget(void)
{
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "reco partitions",
										ALLOCSET_SMALL_SIZES);
	MemoryContextReset(context);
	partitions = NULL;
	npartitions = 0;
	current.cluster = NULL;
	current.replaying = false;
	next_look = 0;
	looks_missed = 0;
}

int
reco_partitions_count(void)
{
	return npartitions;
}

/* The partitions' positions, palloc'd. */
static RecoPosition *
make_positions(void)
{
	RecoPosition *positions = palloc(npartitions * sizeof(RecoPosition));

	for (int i = 0; i < npartitions; i++)
	{
		positions[i].partition = i;
		positions[i].offset = partitions[i].next;
	}
	return positions;
}

/* Store where all partitions go on, and have Kafka read them from there. */
static bool
go_on(RecoKafka *kafka, const char *topic, bool anew)
{
	RecoPosition *positions = make_positions();

	reco_sql_begin();
	if (anew)
		reco_offsets_forget(topic);
	reco_offsets_store(topic, positions, npartitions);
	reco_topic_store(topic, &current);
	reco_sql_commit();
	reco_shared_set_replaying(current.replaying);
	return reco_kafka_assign(kafka, positions, npartitions);
}

/* Room for so many partitions; what is known of the first ones stays. */
static void
resize(int count)
{
	Partition  *resized = MemoryContextAllocZero(context, count * sizeof(Partition));

	for (int i = 0; i < count; i++)
	{
		if (i < npartitions)
			resized[i] = partitions[i];
		else
			resized[i].next = -1;
	}
	partitions = resized;
	npartitions = count;
}

/* Partitions that go on nowhere yet are read from their beginning. */
static bool
start_at_beginning(RecoKafka *kafka)
{
	for (int i = 0; i < npartitions; i++)
	{
		int64		low,
					high;

		if (partitions[i].next >= 0)
			continue;
		if (!reco_kafka_range(kafka, i, TIMEOUT, &low, &high))
			return false;
		partitions[i].next = low;
	}
	return true;
}

/* What is in the partitions by now is the past. */
static bool
find_replay_ends(RecoKafka *kafka, int64 *lows)
{
	for (int i = 0; i < npartitions; i++)
	{
		if (!reco_kafka_range(kafka, i, TIMEOUT, &lows[i], &partitions[i].replay_end))
			return false;
	}
	return true;
}

/* All partitions are read from their first message since a time. */
static bool
start_at_time(RecoKafka *kafka, const char *topic, TimestampTz time)
{
	RecoPosition *positions = make_positions();
	int64	   *lows = palloc(npartitions * sizeof(int64));
	int			incomplete = 0;

	/* the ends first: a message that comes in between is read */
	if (!find_replay_ends(kafka, lows) ||
		!reco_kafka_find_time(kafka, positions, npartitions, time, TIMEOUT * 5))
		return false;

	for (int i = 0; i < npartitions; i++)
	{
		int			number = positions[i].partition;
		Partition  *partition = &partitions[number];

		partition->next = positions[i].offset;
		if (partition->next < 0)
			partition->next = partition->replay_end;
		else if (lows[number] > 0 && partition->next == lows[number])
			incomplete++;
	}
	if (incomplete > 0)
		ereport(WARNING,
				(errmsg("%d of %d partitions of topic \"%s\" may no longer hold all messages since %s",
						incomplete, npartitions, topic, timestamptz_to_str(time)),
				 errhint("Let Kafka keep messages for at least reco.retention + reco.trending_window + reco.max_future.")));
	return true;
}

/* Is there anything of the past left to read? */
static bool
past_is_left(void)
{
	for (int i = 0; i < npartitions; i++)
	{
		if (!partitions[i].at_end && partitions[i].next < partitions[i].replay_end)
			return true;
	}
	return false;
}

/* Is this another cluster than the one that reco.offsets refer to? */
static bool
is_other_cluster(const char *topic, const char *before, const char *now)
{
	if (before == NULL || strcmp(before, now) == 0)
		return false;
	ereport(WARNING,
			(errmsg("reco.kafka_brokers leads to another Kafka cluster than before"),
			 errdetail("The cluster is \"%s\"; the offsets of topic \"%s\" refer to cluster \"%s\".",
					   now, topic, before),
			 errhint("The topic is read as by a new installation. If it holds copies of messages read before, TRUNCATE reco.activity and reco.offsets while reco.enabled is off.")));
	return true;
}

/* The topic is not the one that the offsets refer to: read it from its beginning. */
static bool
begin_again(RecoKafka *kafka, const char *topic, int count)
{
	ereport(WARNING,
			(errmsg("topic \"%s\" has been deleted and created again", topic),
			 errdetail("It is read from its beginning.")));
	npartitions = 0;
	resize(count);
	current.replaying = false;
	if (start_at_beginning(kafka) && go_on(kafka, topic, true))
		return true;
	npartitions = 0;
	return false;
}

/* Take over the offsets of a topic; those that are missing are found out. */
static bool
resume(RecoKafka *kafka, const char *topic, const RecoPosition *stored, int nstored)
{
	int64	   *lows = palloc(npartitions * sizeof(int64));

	for (int i = 0; i < nstored; i++)
		partitions[stored[i].partition].next = stored[i].offset;
	if (!start_at_beginning(kafka) ||
		(current.replaying && !find_replay_ends(kafka, lows)))
		return false;
	current.replaying = past_is_left();
	return go_on(kafka, topic, false);
}

/* The topic has been found: where do its partitions go on? */
static bool
begin(RecoKafka *kafka, const char *topic, int count, bool recreated)
{
	RecoPosition *stored;
	int			nstored;
	RecoState	state;
	RecoTopic	before;
	char	   *cluster = reco_kafka_cluster(kafka, TIMEOUT);
	bool		done;

	if (cluster == NULL)
		return false;
	reco_sql_begin();
	reco_state_lock();
	reco_state_read(&state);
	nstored = reco_offsets_load(topic, context, &stored);
	before = reco_topic_load(topic, context);
	reco_sql_commit();

	current.cluster = MemoryContextStrdup(context, cluster);
	current.replaying = before.replaying;
	for (int i = 0; i < nstored; i++)
		recreated = recreated || stored[i].partition >= count;

	resize(count);
	if (nstored == 0 || is_other_cluster(topic, before.cluster, cluster))
	{
		done = start_at_time(kafka, topic, state.horizon - reco_max_future * USECS_PER_SEC);
		current.replaying = done && past_is_left();
		done = done && go_on(kafka, topic, true);
	}
	else if (recreated)
		done = begin_again(kafka, topic, count);
	else
		done = resume(kafka, topic, stored, nstored);
	if (!done)
		npartitions = 0;
	return done;
}

/* There are more partitions than before. */
static bool
add_partitions(RecoKafka *kafka, const char *topic, int count)
{
	int			before = npartitions;

	resize(count);
	if (start_at_beginning(kafka) && go_on(kafka, topic, false))
		return true;
	npartitions = before;
	return false;
}

/*
 * Kafka does not hold what a partition's next message was to be: go on with
 * its first one.
 */
static void
skip_gap(const char *topic, int number, int64 low, int64 high)
{
	Partition  *partition = &partitions[number];
	int64		next = partition->next;

	partition->out_of_range = false;
	if (next >= low && next <= high)
		return;
	partition->next = low;
	partition->replay_end = Min(partition->replay_end, high);
	if (next < low)
	{
		reco_shared_count(RECO_COUNT_LOST, low - next);
		ereport(WARNING,
				(errmsg("%lld messages of partition %d of topic \"%s\" are lost",
						(long long) (low - next), number, topic),
				 errdetail("Kafka no longer holds offsets %lld to %lld, which were not read yet.",
						   (long long) next, (long long) (low - 1)),
				 errhint("Let Kafka keep messages for longer than reco may be away.")));
	}
	else
		ereport(WARNING,
				(errmsg("partition %d of topic \"%s\" has no offset %lld any more",
						number, topic, (long long) next),
				 errdetail("Its messages end at offset %lld: it was truncated, or the topic created again. It is read from its beginning.",
						   (long long) high)));
}

/* Find new places for the partitions that Kafka could not read on. */
static bool
repair(RecoKafka *kafka, const char *topic)
{
	int			gaps = 0;

	for (int i = 0; i < npartitions; i++)
	{
		int64		low,
					high;

		if (!partitions[i].out_of_range)
			continue;
		if (!reco_kafka_range(kafka, i, TIMEOUT, &low, &high))
			return false;
		skip_gap(topic, i, low, high);
		gaps++;
	}
	return gaps == 0 || go_on(kafka, topic, false);
}

static bool
look(RecoKafka *kafka, const char *topic)
{
	int			count = reco_kafka_partitions(kafka, TIMEOUT);
	bool		recreated = looks_missed >= LOOKS_TO_MISS;

	if (count == 0)
		looks_missed++;
	if (count <= 0)
		return false;
	looks_missed = 0;
	if (npartitions == 0)
		return begin(kafka, topic, count, recreated);
	if (recreated || count < npartitions)
		return begin_again(kafka, topic, count);
	if (count > npartitions && !add_partitions(kafka, topic, count))
		return false;
	return repair(kafka, topic);
}

/*
 * See what has become of the topic, when it is time to.  Not to be called
 * while messages that were taken are not written.  Returns the milliseconds
 * until the next look.
 */
long
reco_partitions_look(RecoKafka *kafka, const char *topic)
{
	if (GetCurrentTimestamp() >= next_look)
	{
		bool		done = look(kafka, topic);

		next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												done ? LOOK_INTERVAL : RETRY_INTERVAL);
	}
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_look);
}

/*
 * Take note of a message, or of an event; returns whether it is to be
 * written.  After a new start of a partition messages may come twice.
 */
bool
reco_partitions_take(const RecoMessage *message)
{
	Partition  *partition;

	if (message->partition >= npartitions)
		return false;
	partition = &partitions[message->partition];
	switch (message->kind)
	{
		case RECO_MESSAGE_OUT_OF_RANGE:
			partition->out_of_range = true;
			next_look = 0;
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

/* All that was taken is written: when the past has been read, say so. */
void
reco_partitions_written(const char *topic)
{
	if (!current.replaying || past_is_left())
		return;
	current.replaying = false;
	reco_sql_begin();
	reco_topic_store(topic, &current);
	reco_sql_commit();
	reco_shared_set_replaying(false);
}

/* How far reading is behind; -1: not known. */
void
reco_partitions_lag(RecoKafka *kafka, int64 *messages, double *seconds)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz oldest = now;

	*messages = 0;
	for (int i = 0; i < npartitions; i++)
	{
		Partition  *partition = &partitions[i];
		int64		high = Max(reco_kafka_high(kafka, i), partition->replay_end);

		if (partition->at_end || high <= partition->next)
			continue;
		*messages += high - partition->next;
		if (partition->time != 0)
			oldest = Min(oldest, partition->time);
	}
	if (npartitions == 0)
		*messages = -1;
	*seconds = *messages < 0 ? -1 : (double) (now - oldest) / USECS_PER_SEC;
}
