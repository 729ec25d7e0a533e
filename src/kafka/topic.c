/*-------------------------------------------------------------------------
 *
 * topic.c
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
 * fails is tried again at the next look.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "engine/state.h"
#include "kafka/offset_table.h"
#include "kafka/partition_position.h"
#include "kafka/topic.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How long to wait for Kafka's answer, in milliseconds. */
#define TIMEOUT 1000

/* Looks at the topic's partitions: when all is well, and when it is not. */
#define LOOK_INTERVAL 2000
#define RETRY_INTERVAL 2000

/*
 * A topic that so many looks in a row did not find, or found with fewer
 * partitions, has been deleted: a broker that lags behind says so once.
 */
#define LOOKS_TO_MISS 3

static RecoPartitions partitions = {NULL, NULL, 0};
static RecoTopic current = {NULL, false};

static RecoMoment next_look = 0;
static int	looks_missed = 0;

/* Forget all that is in memory. */
static void
reset(void)
{
	if (partitions.context == NULL)
		partitions.context = AllocSetContextCreate(TopMemoryContext, "reco topic",
												   ALLOCSET_SMALL_SIZES);
	MemoryContextReset(partitions.context);
	partitions.at = NULL;
	partitions.count = 0;
	current.cluster = NULL;
	current.replaying = false;
}

/* Begin from reco.offsets again; the consumer has gone, or another topic is set. */
void
reco_topic_forget(void)
{
	reset();
	next_look = 0;
	looks_missed = 0;
}

/* Store where all partitions go on, and have Kafka read them from there. */
static bool
go_on(RecoKafka *kafka, const char *topic, bool anew)
{
	RecoPosition *positions = reco_partitions_positions(&partitions);

	reco_sql_begin();
	if (anew)
		reco_offsets_forget(topic);
	reco_offsets_store(topic, positions, partitions.count);
	reco_topic_store(topic, &current);
	reco_sql_commit();
	reco_shared_set_replaying(current.replaying);
	return reco_kafka_assign(kafka, positions, partitions.count);
}

/* Partitions that go on nowhere yet are read from their beginning. */
static bool
start_at_beginning(RecoKafka *kafka)
{
	for (int i = 0; i < partitions.count; i++)
	{
		int64		low,
					high;

		if (partitions.at[i].next >= 0)
			continue;
		if (!reco_kafka_range(kafka, i, TIMEOUT, &low, &high))
			return false;
		partitions.at[i].next = low;
	}
	return true;
}

/* What is in the partitions by now is the past. */
static bool
find_replay_ends(RecoKafka *kafka, int64 *lows)
{
	for (int i = 0; i < partitions.count; i++)
	{
		if (!reco_kafka_range(kafka, i, TIMEOUT, &lows[i], &partitions.at[i].replay_end))
			return false;
	}
	return true;
}

/* All partitions are read from their first message since a time. */
static bool
start_at_time(RecoKafka *kafka, const char *topic, TimestampTz time)
{
	RecoPosition *positions = reco_partitions_positions(&partitions);
	int64	   *lows = palloc(partitions.count * sizeof(int64));
	int			incomplete = 0;

	/* the ends first: a message that comes in between is read */
	if (!find_replay_ends(kafka, lows) ||
		!reco_kafka_find_time(kafka, positions, partitions.count, time, TIMEOUT * 5))
		return false;

	for (int i = 0; i < partitions.count; i++)
	{
		int			number = positions[i].partition;
		RecoPartition *partition = &partitions.at[number];

		partition->next = positions[i].offset;
		if (partition->next < 0)
			partition->next = partition->replay_end;
		else if (lows[number] > 0 && partition->next == lows[number])
			incomplete++;
	}
	if (incomplete > 0)
		ereport(WARNING,
				(errmsg("%d of %d partitions of topic \"%s\" may no longer hold all messages since %s",
						incomplete, partitions.count, topic, timestamptz_to_str(time)),
				 errhint("Let Kafka keep messages for at least reco.retention + reco.trending_window + reco.max_future.")));
	return true;
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
	partitions.count = 0;
	reco_partitions_resize(&partitions, count);
	current.replaying = false;
	if (start_at_beginning(kafka) && go_on(kafka, topic, true))
		return true;
	partitions.count = 0;
	return false;
}

/* Take over the offsets of a topic; those that are missing are found out. */
static bool
resume(RecoKafka *kafka, const char *topic, const RecoPosition *stored, int nstored)
{
	int64	   *lows = palloc(partitions.count * sizeof(int64));

	for (int i = 0; i < nstored; i++)
		partitions.at[stored[i].partition].next = stored[i].offset;
	if (!start_at_beginning(kafka) ||
		(current.replaying && !find_replay_ends(kafka, lows)))
		return false;
	current.replaying = reco_partitions_past_is_left(&partitions);
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
	bool		fewer = false;
	bool		done;

	if (cluster == NULL)
		return false;
	reset();
	reco_sql_begin();
	reco_state_lock();
	reco_state_read(&state);
	nstored = reco_offsets_load(topic, partitions.context, &stored);
	before = reco_topic_load(topic, partitions.context);
	reco_sql_commit();

	current.cluster = MemoryContextStrdup(partitions.context, cluster);
	current.replaying = before.replaying;
	for (int i = 0; i < nstored; i++)
		fewer = fewer || stored[i].partition >= count;
	if (fewer && !recreated && ++looks_missed < LOOKS_TO_MISS)
		return false;

	reco_partitions_resize(&partitions, count);
	if (nstored == 0 || is_other_cluster(topic, before.cluster, cluster))
	{
		done = start_at_time(kafka, topic, state.horizon - reco_max_future * USECS_PER_SEC);
		current.replaying = done && reco_partitions_past_is_left(&partitions);
		done = done && go_on(kafka, topic, true);
	}
	else if (recreated || fewer)
		done = begin_again(kafka, topic, count);
	else
		done = resume(kafka, topic, stored, nstored);
	if (!done)
		partitions.count = 0;
	return done;
}

/* There are more partitions than before. */
static bool
add_partitions(RecoKafka *kafka, const char *topic, int count)
{
	int			before = partitions.count;

	reco_partitions_resize(&partitions, count);
	if (start_at_beginning(kafka) && go_on(kafka, topic, false))
		return true;
	partitions.count = before;
	return false;
}

/*
 * Kafka does not hold what a partition's next message was to be: go on with
 * its first one.  A partition that ends before it was truncated, as after the
 * loss of a broker, and what it still holds has been read; one that begins at 0
 * was rather created again.
 */
static void
skip_gap(const char *topic, int number, int64 low, int64 high)
{
	RecoPartition *partition = &partitions.at[number];
	int64		next = partition->next;
	bool		truncated = next > high && low > 0;

	partition->out_of_range = false;
	if (next >= low && next <= high)
		return;
	partition->next = truncated ? high : low;
	partition->replay_end = Min(partition->replay_end, high);
	if (next < low)
	{
		reco_counter_add(RECO_COUNT_LOST, low - next);
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
				 truncated ?
				 errdetail("It holds offsets %lld to %lld: it was truncated, and is read on from its end.",
						   (long long) low, (long long) (high - 1)) :
				 errdetail("It holds offsets 0 to %lld: the topic was created again, and is read from its beginning.",
						   (long long) (high - 1))));
}

/* Find new places for the partitions that Kafka could not read on. */
static bool
repair(RecoKafka *kafka, const char *topic)
{
	int64	   *lows = palloc(partitions.count * sizeof(int64));
	int64	   *highs = palloc(partitions.count * sizeof(int64));
	bool		gaps = false;

	for (int i = 0; i < partitions.count; i++)
	{
		if (partitions.at[i].out_of_range &&
			!reco_kafka_range(kafka, i, TIMEOUT, &lows[i], &highs[i]))
			return false;
		gaps = gaps || partitions.at[i].out_of_range;
	}
	for (int i = 0; i < partitions.count; i++)
	{
		if (partitions.at[i].out_of_range)
			skip_gap(topic, i, lows[i], highs[i]);
	}
	return !gaps || go_on(kafka, topic, false);
}

/* Ask for the partitions, and do what the answer calls for. */
static bool
look(RecoKafka *kafka, const char *topic)
{
	int			count = reco_kafka_partitions(kafka, TIMEOUT);
	bool		recreated = looks_missed >= LOOKS_TO_MISS;
	bool		done;

	if (count >= 0 && count < Max(1, partitions.count))
		looks_missed++;
	if (count <= 0 || (count < partitions.count && looks_missed < LOOKS_TO_MISS))
		return false;

	if (partitions.count == 0)
		done = begin(kafka, topic, count, recreated);
	else if (recreated || count < partitions.count)
		done = begin_again(kafka, topic, count);
	else if (count > partitions.count)
		done = add_partitions(kafka, topic, count);
	else
		done = repair(kafka, topic);
	if (done)
		looks_missed = 0;
	return done;
}

/*
 * See what has become of the topic, when it is time to.  Not to be called
 * while messages that were taken are not written.  Returns the milliseconds
 * until the next look.
 */
long
reco_topic_look(RecoKafka *kafka, const char *topic)
{
	if (reco_monotonic_has_passed(next_look))
	{
		bool		done = look(kafka, topic);

		next_look = reco_monotonic_after(done ? LOOK_INTERVAL : RETRY_INTERVAL);
	}
	return reco_monotonic_left(next_look);
}

/* Take note of a message; returns whether it is to be written. */
bool
reco_topic_take(const RecoMessage *message)
{
	if (message->kind == RECO_MESSAGE_OUT_OF_RANGE)
		next_look = 0;
	return reco_partitions_take(&partitions, message);
}

/* All that was taken is written: when the past has been read, say so. */
void
reco_topic_written(const char *topic)
{
	if (!current.replaying || reco_partitions_past_is_left(&partitions))
		return;
	current.replaying = false;
	reco_sql_begin();
	reco_topic_store(topic, &current);
	reco_sql_commit();
	reco_shared_set_replaying(false);
}

/* The number of partitions; 0: not known yet. */
int
reco_topic_partitions(void)
{
	return partitions.count;
}

/* How far reading is behind; -1: not known. */
void
reco_topic_lag(RecoKafka *kafka, int64 *messages, double *seconds)
{
	reco_partitions_lag(&partitions, kafka, messages, seconds);
}
