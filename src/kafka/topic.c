/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  The topic's partitions, and where reading of each continues.
 *
 * A topic without offsets in reco.offsets is new: after the first start, a crash
 * or a promotion.  It is read from the first messages since horizon -
 * reco.max_future, and until what is there now has been read, the past is being
 * "replayed".  A partition that appears later is read from its beginning.  One
 * that was read before is checked first (partition_check.c): if Kafka does not
 * hold what was read, or what is to be read next, there is a warning, and
 * reading continues with what is there.
 *
 * Kafka is asked outside of any transaction and for a limited time; what fails
 * is tried again at the next poll.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/guc.h"
#include "common/monotonic.h"
#include "common/spi.h"
#include "engine/write.h"
#include "kafka/metadata.h"
#include "kafka/offset_table.h"
#include "kafka/partition_check.h"
#include "kafka/poll.h"
#include "kafka/topic.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TIMEOUT RECO_METADATA_TIMEOUT

/* Limit of partitions without an answer that a poll waits for. */
#define MAX_TIMEOUTS 2

/* Milliseconds between polls of the topic, and after a failed one. */
#define POLL_INTERVAL 2000
#define RETRY_INTERVAL 2000

/*
 * A topic that so many polls in a row did not find, or found with fewer
 * partitions, has been deleted: a broker with stale metadata says so just once.
 */
#define POLLS_TO_MISS 3

static RecoPartitions partitions = {NULL, NULL, 0};
static RecoTopicState topic_state = {NULL, false};

static bool other_cluster = false;	/* reco.offsets refers to another one */
static bool topic_changed = false;	/* reco.kafka_topic is out of date */
static uint32 disturbances = 0; /* when the partitions were last unchecked */

static RecoMoment poll_due = 0;
static int	polls_missed = 0;

/* Forget all state in memory. */
static void
topic_reset(void)
{
	if (partitions.context == NULL)
		partitions.context = AllocSetContextCreate(TopMemoryContext, "reco topic",
												   ALLOCSET_SMALL_SIZES);
	MemoryContextReset(partitions.context);
	partitions.at = NULL;
	partitions.count = 0;
	topic_state.cluster = NULL;
	topic_state.replaying = false;
}

/* Start again from reco.offsets, for a new consumer or another topic. */
void
reco_topic_forget(void)
{
	topic_reset();
	poll_due = 0;
	polls_missed = 0;
}

/* Has the topic been missing so long that it must have been deleted? */
static bool
topic_is_missing(void)
{
	return polls_missed >= POLLS_TO_MISS;
}

/* Store changed checkpoints; all: store all, and delete what else is stored of the topic. */
static void
topic_store(const char *topic, bool all)
{
	RecoCheckpoint *checkpoints = palloc(partitions.count * sizeof(RecoCheckpoint));
	int			count = 0;

	for (int i = 0; i < partitions.count; i++)
	{
		RecoPartition *partition = &partitions.at[i];

		if (!partition->checked || !(all || partition->changed))
			continue;
		checkpoints[count].position.partition = i;
		checkpoints[count].position.offset = partition->next;
		checkpoints[count++].trail = partition->trail;
	}
	if (count == 0 && !all && !topic_changed)
		return;
	reco_sql_begin();
	if (all)
		reco_offsets_forget(topic);
	reco_offsets_store(topic, checkpoints, count);
	reco_offsets_store_topic(topic, &topic_state);
	reco_sql_commit();
	for (int i = 0; i < count; i++)
		partitions.at[checkpoints[i].position.partition].changed = false;
	topic_changed = false;
}

/*
 * Ask for a partition's watermarks; false if Kafka does not answer.  Few may be
 * waited for in vain, lest they delay the others.
 */
static bool
topic_ask_range(RecoConsumer *consumer, int number, int *timeouts_left, int64 *low, int64 *high)
{
	if (*timeouts_left <= 0 || !reco_metadata_has_leader(consumer, number))
		return false;
	if (reco_metadata_range(consumer, number, TIMEOUT, low, high))
		return true;
	(*timeouts_left)--;
	return false;
}

/* Something that is derived from partitions' watermarks. */
typedef struct RangeQuestion
{
	bool		(*is_open) (const RecoPartition *partition);	/* does it lack it? */
	void		(*answer) (RecoPartition *partition, int64 low, int64 high);
	int			turn;			/* start with another partition each time */
} RangeQuestion;

/* Ask a question of the partitions; false: some did not answer. */
static bool
topic_ask_ranges(RecoConsumer *consumer, RangeQuestion *question)
{
	int			timeouts_left = MAX_TIMEOUTS;
	bool		done = true;

	question->turn++;
	for (int i = 0; i < partitions.count; i++)
	{
		int			number = (question->turn + i) % partitions.count;
		RecoPartition *partition = &partitions.at[number];
		int64		low,
					high;

		if (!question->is_open(partition))
			continue;
		if (topic_ask_range(consumer, number, &timeouts_left, &low, &high))
			question->answer(partition, low, high);
		else
			done = false;
	}
	return done;
}

static bool
partition_lacks_beginning(const RecoPartition *partition)
{
	return partition->next < 0 && !partition->by_time;
}

static void
partition_set_beginning(RecoPartition *partition, int64 low, int64 high)
{
	partition->next = low;
	partition->checked = partition->changed = true;
}

/* Set new partitions to their beginning; false: some did not answer. */
static bool
topic_start_at_beginning(RecoConsumer *consumer)
{
	static RangeQuestion question = {partition_lacks_beginning, partition_set_beginning};

	return topic_ask_ranges(consumer, &question);
}

static bool
partition_lacks_replay_end(const RecoPartition *partition)
{
	return partition->replay_end < 0;
}

static void
partition_set_replay_end(RecoPartition *partition, int64 low, int64 high)
{
	partition->replay_low = low;
	partition->replay_end = high;
}

/* Set the end of the past to the current high watermarks; false: some did not answer. */
static bool
topic_find_replay_ends(RecoConsumer *consumer)
{
	static RangeQuestion question = {partition_lacks_replay_end, partition_set_replay_end};

	return topic_ask_ranges(consumer, &question);
}

/*
 * Set partitions that are read by time to positions found by time; returns the
 * number of those that may lack messages since then.
 */
static int
topic_apply_positions(const RecoPosition *positions, int count)
{
	int			incomplete = 0;

	for (int i = 0; i < count; i++)
	{
		int			number = positions[i].partition;
		RecoPartition *partition = &partitions.at[number];

		partition->next = positions[i].offset;
		if (partition->next < 0)
			partition->next = partition->replay_end;
		else if (partition->replay_low > 0 && partition->next == partition->replay_low)
			incomplete++;
		partition->by_time = false;
		partition->checked = partition->changed = true;
	}
	return incomplete;
}

/* List the partitions that are to be read by time, and whose watermarks are known. */
static int
topic_list_by_time(RecoPosition *positions)
{
	int			count = 0;

	for (int i = 0; i < partitions.count; i++)
	{
		if (partitions.at[i].by_time && partitions.at[i].replay_end >= 0)
			positions[count++].partition = i;
	}
	return count;
}

/*
 * Set partitions that are read by time to their first message since the horizon;
 * false: some did not answer.
 */
static bool
topic_start_at_time(RecoConsumer *consumer, const char *topic)
{
	RecoPosition *positions = palloc(partitions.count * sizeof(RecoPosition));
	RecoWrite  *write;
	TimestampTz time;
	bool		done;
	int			count;
	int			incomplete;

	reco_sql_begin();
	write = reco_write_begin(NoLock);
	time = reco_write_state(write)->horizon - reco_max_future * USECS_PER_SEC;
	reco_write_end(write);
	reco_sql_commit();

	/* the ends first, so that a message that arrives in between is read */
	done = topic_find_replay_ends(consumer);
	count = topic_list_by_time(positions);
	if (count == 0 ||
		!reco_metadata_find_time(consumer, positions, count, reco_poll_stamp(time), TIMEOUT * 5))
		return false;
	incomplete = topic_apply_positions(positions, count);
	if (incomplete > 0)
		ereport(WARNING,
				(errmsg("%d of %d partitions of topic \"%s\" may no longer hold all messages since %s",
						incomplete, partitions.count, topic, timestamptz_to_str(time)),
				 errhint("Configure Kafka to keep messages for at least reco.retention + reco.trending_window + reco.max_future.")));
	topic_state.replaying = reco_partitions_past_is_left(&partitions);
	topic_changed = true;
	return done;
}

/* Is this another cluster than the one that reco.offsets refers to? */
static bool
topic_is_other_cluster(const char *topic, const char *before, const char *now)
{
	if (before == NULL || strcmp(before, now) == 0)
		return false;
	ereport(WARNING,
			(errmsg("reco.kafka_brokers refers to another Kafka cluster than before"),
			 errdetail("The cluster is \"%s\"; the offsets of topic \"%s\" refer to cluster \"%s\".",
					   now, topic, before),
			 errhint("Reading continues in partitions that contain what was read before; others are read as by a new installation.  If they contain copies of messages read before, TRUNCATE reco.activity and reco.offsets while reco.enabled is off.")));
	return true;
}

/*
 * The topic has been found: load its partitions' checkpoints.  Without any they
 * are read by time.
 */
static bool
topic_begin(RecoConsumer *consumer, const char *topic, int count)
{
	RecoCheckpoint *stored;
	int			nstored;
	RecoTopicState before;
	char	   *cluster = reco_metadata_cluster(consumer, TIMEOUT);

	if (cluster == NULL)
		return false;
	topic_reset();
	reco_sql_begin();
	nstored = reco_offsets_load(topic, partitions.context, &stored);
	before = reco_offsets_load_topic(topic, partitions.context);
	reco_sql_commit();

	for (int i = 0; i < nstored; i++)
	{
		if (stored[i].position.partition >= count && !topic_is_missing())
			return false;
	}
	topic_state.cluster = MemoryContextStrdup(partitions.context, cluster);
	topic_state.replaying = before.replaying;
	other_cluster = topic_is_other_cluster(topic, before.cluster, cluster);
	topic_changed = before.cluster == NULL || other_cluster;

	reco_partitions_resize(&partitions, count);
	for (int i = 0; i < nstored; i++)
	{
		RecoPartition *partition;

		if (stored[i].position.partition >= count)
			continue;
		partition = &partitions.at[stored[i].position.partition];
		partition->next = stored[i].position.offset;
		partition->trail = stored[i].trail;
	}
	for (int i = 0; i < count; i++)
	{
		partitions.at[i].by_time = nstored == 0 || (other_cluster && partitions.at[i].next < 0);
		if (topic_state.replaying || nstored == 0 || other_cluster)
			partitions.at[i].replay_end = -1;
	}
	return true;
}

/* The number of partitions has changed. */
static void
topic_resize(RecoConsumer *consumer, int count)
{
	for (int i = count; i < partitions.count; i++)
		reco_poll_stop(consumer, i);
	reco_partitions_resize(&partitions, count);
}

/* Have all partitions checked, since they may have been replaced. */
static void
topic_uncheck(RecoConsumer *consumer)
{
	disturbances = reco_consumer_disturbances(consumer);
	for (int i = 0; i < partitions.count; i++)
		partitions.at[i].checked = false;
}

/*
 * Resume reading all partitions, after checking that Kafka holds what was read of
 * them.  all: see topic_store.  Returns false if some could not be resumed.
 */
static bool
topic_resume(RecoConsumer *consumer, const char *topic, bool all)
{
	bool		done;
	bool		by_time = false;

	for (int i = 0; i < partitions.count; i++)
	{
		RecoPartition *partition = &partitions.at[i];

		if (partition->running && (!partition->checked || partition->stuck))
		{
			reco_poll_stop(consumer, i);
			partition->running = partition->stuck = false;
		}
	}
	done = reco_partitions_check(&partitions, consumer, topic, other_cluster);
	for (int i = 0; i < partitions.count; i++)
		by_time = by_time || partitions.at[i].by_time;
	if (by_time)
		done = topic_start_at_time(consumer, topic) && done;
	else if (topic_state.replaying)
		done = topic_find_replay_ends(consumer) && done;
	done = topic_start_at_beginning(consumer) && done;

	topic_store(topic, all);
	reco_service_set_replaying(topic_state.replaying);
	for (int i = 0; i < partitions.count; i++)
	{
		RecoPartition *partition = &partitions.at[i];

		if (partition->checked && !partition->running)
		{
			reco_poll_start(consumer, i, partition->next);
			partition->running = true;
		}
		if (partition->running && reco_metadata_has_leader(consumer, i))
			partition->unread_since = 0;
		else if (partition->unread_since == 0)
			partition->unread_since = reco_monotonic_now();
	}
	return done;
}

/* Request the partitions, and apply changes. */
static bool
topic_poll(RecoConsumer *consumer, const char *topic)
{
	int			count = reco_metadata_partitions(consumer, TIMEOUT);
	bool		missing = topic_is_missing();
	bool		all = false;

	if (count >= 0 && count < Max(1, partitions.count))
		polls_missed++;
	if (count <= 0 || (count < partitions.count && !missing))
		return false;

	if (partitions.count == 0)
	{
		if (!topic_begin(consumer, topic, count))
		{
			polls_missed++;
			return false;
		}
		all = true;
		topic_uncheck(consumer);
	}
	else if (count != partitions.count)
	{
		all = count < partitions.count;
		topic_resize(consumer, count);
	}
	if (missing || reco_topic_is_disturbed(consumer))
		topic_uncheck(consumer);
	polls_missed = 0;
	return topic_resume(consumer, topic, all);
}

/*
 * Poll the topic for changes, if due.  Must not be called while polled messages
 * have not been written.  Returns the milliseconds until the next poll.
 */
long
reco_topic_poll(RecoConsumer *consumer, const char *topic)
{
	if (reco_monotonic_has_passed(poll_due))
	{
		bool		done = topic_poll(consumer, topic);

		poll_due = reco_monotonic_after(done ? POLL_INTERVAL : RETRY_INTERVAL);
	}
	return reco_monotonic_left(poll_due);
}

/* May the messages polled last be of other partitions than those checked? */
bool
reco_topic_is_disturbed(RecoConsumer *consumer)
{
	if (partitions.count == 0 || reco_consumer_disturbances(consumer) == disturbances)
		return false;
	poll_due = 0;
	return true;
}

/* Advance a position by a message; returns whether it is to be written. */
bool
reco_topic_accept(RecoMessage *message)
{
	if (message->kind == RECO_MESSAGE_OUT_OF_RANGE || message->kind == RECO_MESSAGE_UNREADABLE)
		poll_due = 0;
	return reco_partitions_accept(&partitions, message);
}

/* The checkpoints after these messages, palloc'd; to be stored with them. */
RecoCheckpoint *
reco_topic_advance(const RecoMessage *messages, int count, int *ncheckpoints)
{
	return reco_partitions_advance(&partitions, messages, count, ncheckpoints);
}

/* The checkpoints have been committed. */
void
reco_topic_committed(const RecoCheckpoint *checkpoints, int count)
{
	reco_partitions_committed(&partitions, checkpoints, count);
}

/* All polled messages have been written: end the replay if the past has been read. */
void
reco_topic_end_replay(const char *topic)
{
	if (!topic_state.replaying || reco_partitions_past_is_left(&partitions))
		return;
	topic_state.replaying = false;
	reco_sql_begin();
	reco_offsets_store_topic(topic, &topic_state);
	reco_sql_commit();
	reco_service_set_replaying(false);
}

/* The number of partitions; 0: unknown yet. */
int
reco_topic_partitions(void)
{
	return partitions.count;
}

/* The lag; -1: unknown. */
void
reco_topic_lag(RecoConsumer *consumer, int64 *messages, double *seconds)
{
	reco_partitions_lag(&partitions, consumer, messages, seconds);
}

/* See reco_partitions_unread. */
int
reco_topic_unread(int64 ms, int *first)
{
	return reco_partitions_unread(&partitions, ms, first);
}

/* See reco_partitions_held. */
int
reco_topic_held(int *first)
{
	return reco_partitions_held(&partitions, first);
}
