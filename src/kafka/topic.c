/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  Which partitions the topic has, and where each of them goes on.
 *
 * A topic without offsets in reco.offsets is new here: that is so after the
 * first start, a crash or a promotion.  It is read from the messages as of
 * horizon - reco.max_future on, and until what is there now has been read,
 * the past is "replayed".  A partition that appears later is read from its
 * beginning.  One that was read before is checked first (partition_check.c):
 * where Kafka does not hold what was read, or what is to be read next, a
 * warning says so, and reading goes on with what is there.
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
#include "engine/write.h"
#include "kafka/offset_table.h"
#include "kafka/partition_check.h"
#include "kafka/topic.h"
#include "shmem/metrics.h"
#include "shmem/worker_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TIMEOUT RECO_KAFKA_PATIENCE

/* So many partitions that do not answer are waited for at one look. */
#define PATIENCE 2

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

static bool other_cluster = false;	/* reco.offsets refer to another one */
static bool topic_changed = false;	/* what is in reco.kafka_topic is not current */
static uint32 disturbances = 0; /* when the partitions were last unchecked */

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

/* Has the topic been missing for so long that it must have been deleted? */
static bool
is_missing(void)
{
	return looks_missed >= LOOKS_TO_MISS;
}

/* Store where partitions go on, if that has changed; all: and forget what else is stored. */
static void
store(const char *topic, bool all)
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
	reco_topic_store(topic, &current);
	reco_sql_commit();
	for (int i = 0; i < count; i++)
		partitions.at[checkpoints[i].position.partition].changed = false;
	topic_changed = false;
}

/*
 * The range that a partition holds; false if Kafka does not say.  One that does
 * not answer must not keep the others from it: "patience" counts down.
 */
static bool
ask_range(RecoKafka *kafka, int number, int *patience, int64 *low, int64 *high)
{
	if (*patience <= 0 || !reco_kafka_has_leader(kafka, number))
		return false;
	if (reco_kafka_range(kafka, number, TIMEOUT, low, high))
		return true;
	(*patience)--;
	return false;
}

/* What is asked of partitions, and which of them still lack it. */
typedef struct RangeQuestion
{
	bool		(*is_open) (const RecoPartition *partition);
	void		(*answer) (RecoPartition *partition, int64 low, int64 high);
	int			turn;			/* each time another partition comes first */
} RangeQuestion;

/* Ask it; false: some do not say. */
static bool
ask_ranges(RecoKafka *kafka, RangeQuestion *question)
{
	int			patience = PATIENCE;
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
		if (ask_range(kafka, number, &patience, &low, &high))
			question->answer(partition, low, high);
		else
			done = false;
	}
	return done;
}

static bool
lacks_beginning(const RecoPartition *partition)
{
	return partition->next < 0 && !partition->by_time;
}

static void
take_beginning(RecoPartition *partition, int64 low, int64 high)
{
	partition->next = low;
	partition->checked = partition->changed = true;
}

/* Partitions that are new are read from their beginning; false: some cannot yet. */
static bool
start_at_beginning(RecoKafka *kafka)
{
	static RangeQuestion question = {lacks_beginning, take_beginning};

	return ask_ranges(kafka, &question);
}

static bool
lacks_replay_end(const RecoPartition *partition)
{
	return partition->replay_end < 0;
}

static void
take_replay_end(RecoPartition *partition, int64 low, int64 high)
{
	partition->replay_low = low;
	partition->replay_end = high;
}

/* What is in the partitions by now is the past; false: some do not say. */
static bool
find_replay_ends(RecoKafka *kafka)
{
	static RangeQuestion question = {lacks_replay_end, take_replay_end};

	return ask_ranges(kafka, &question);
}

/* Let the partitions that are read by time begin with their first message since then. */
static int
take_positions(const RecoPosition *positions, int count)
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

/* Partitions that are to be read by time, and have said what they hold. */
static int
list_by_time(RecoPosition *positions)
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
 * Some partitions are read from their first message since the horizon on;
 * false: some of them cannot yet.
 */
static bool
start_at_time(RecoKafka *kafka, const char *topic)
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

	/* the ends first: a message that comes in between is read */
	done = find_replay_ends(kafka);
	count = list_by_time(positions);
	if (count == 0 ||
		!reco_kafka_find_time(kafka, positions, count, reco_kafka_stamp(time), TIMEOUT * 5))
		return false;
	incomplete = take_positions(positions, count);
	if (incomplete > 0)
		ereport(WARNING,
				(errmsg("%d of %d partitions of topic \"%s\" may no longer hold all messages since %s",
						incomplete, partitions.count, topic, timestamptz_to_str(time)),
				 errhint("Let Kafka keep messages for at least reco.retention + reco.trending_window + reco.max_future.")));
	current.replaying = reco_partitions_past_is_left(&partitions);
	topic_changed = true;
	return done;
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
			 errhint("Partitions that hold what was read before are read on, others as by a new installation. If they hold copies of messages read before, TRUNCATE reco.activity and reco.offsets while reco.enabled is off.")));
	return true;
}

/*
 * The topic has been found: take over what reco.offsets says of its
 * partitions.  Those of a topic of which nothing is known are read by time.
 */
static bool
begin(RecoKafka *kafka, const char *topic, int count)
{
	RecoCheckpoint *stored;
	int			nstored;
	RecoTopic	before;
	char	   *cluster = reco_kafka_cluster(kafka, TIMEOUT);

	if (cluster == NULL)
		return false;
	reset();
	reco_sql_begin();
	nstored = reco_offsets_load(topic, partitions.context, &stored);
	before = reco_topic_load(topic, partitions.context);
	reco_sql_commit();

	for (int i = 0; i < nstored; i++)
	{
		if (stored[i].position.partition >= count && !is_missing())
			return false;
	}
	current.cluster = MemoryContextStrdup(partitions.context, cluster);
	current.replaying = before.replaying;
	other_cluster = is_other_cluster(topic, before.cluster, cluster);
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
		if (current.replaying || nstored == 0 || other_cluster)
			partitions.at[i].replay_end = -1;
	}
	return true;
}

/* There are more partitions than before, or fewer. */
static void
resize(RecoKafka *kafka, int count)
{
	for (int i = count; i < partitions.count; i++)
		reco_kafka_stop(kafka, i);
	reco_partitions_resize(&partitions, count);
}

/* All partitions are to be checked: they may be others than they were. */
static void
uncheck(RecoKafka *kafka)
{
	disturbances = reco_kafka_disturbances(kafka);
	for (int i = 0; i < partitions.count; i++)
		partitions.at[i].checked = false;
}

/*
 * Have all partitions read from where they go on, once it is known that Kafka
 * holds what was read of them.  all: what is stored of others is forgotten.
 */
static bool
go_on(RecoKafka *kafka, const char *topic, bool all)
{
	bool		done;
	bool		by_time = false;

	for (int i = 0; i < partitions.count; i++)
	{
		RecoPartition *partition = &partitions.at[i];

		if (partition->running && (!partition->checked || partition->stuck))
		{
			reco_kafka_stop(kafka, i);
			partition->running = partition->stuck = false;
		}
	}
	done = reco_partitions_check(&partitions, kafka, topic, other_cluster);
	for (int i = 0; i < partitions.count; i++)
		by_time = by_time || partitions.at[i].by_time;
	if (by_time)
		done = start_at_time(kafka, topic) && done;
	else if (current.replaying)
		done = find_replay_ends(kafka) && done;
	done = start_at_beginning(kafka) && done;

	store(topic, all);
	reco_service_set_replaying(current.replaying);
	for (int i = 0; i < partitions.count; i++)
	{
		RecoPartition *partition = &partitions.at[i];

		if (partition->checked && !partition->running)
		{
			reco_kafka_start(kafka, i, partition->next);
			partition->running = true;
		}
		if (partition->running && reco_kafka_has_leader(kafka, i))
			partition->unread_since = 0;
		else if (partition->unread_since == 0)
			partition->unread_since = reco_monotonic_now();
	}
	return done;
}

/* Ask for the partitions, and do what the answer calls for. */
static bool
look(RecoKafka *kafka, const char *topic)
{
	int			count = reco_kafka_partitions(kafka, TIMEOUT);
	bool		missing = is_missing();
	bool		all = false;

	if (count >= 0 && count < Max(1, partitions.count))
		looks_missed++;
	if (count <= 0 || (count < partitions.count && !missing))
		return false;

	if (partitions.count == 0)
	{
		if (!begin(kafka, topic, count))
		{
			looks_missed++;
			return false;
		}
		all = true;
		uncheck(kafka);
	}
	else if (count != partitions.count)
	{
		all = count < partitions.count;
		resize(kafka, count);
	}
	if (missing || reco_topic_is_disturbed(kafka))
		uncheck(kafka);
	looks_missed = 0;
	return go_on(kafka, topic, all);
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

/* May what was consumed last be of other partitions than those that were checked? */
bool
reco_topic_is_disturbed(RecoKafka *kafka)
{
	if (partitions.count == 0 || reco_kafka_disturbances(kafka) == disturbances)
		return false;
	next_look = 0;
	return true;
}

/* Take note of a message; returns whether it is to be written. */
bool
reco_topic_take(RecoMessage *message)
{
	if (message->kind == RECO_MESSAGE_OUT_OF_RANGE || message->kind == RECO_MESSAGE_UNREADABLE)
		next_look = 0;
	return reco_partitions_take(&partitions, message);
}

/* Where the partitions go on behind these messages, palloc'd; to be stored with them. */
RecoCheckpoint *
reco_topic_advance(const RecoMessage *messages, int count, int *ncheckpoints)
{
	return reco_partitions_advance(&partitions, messages, count, ncheckpoints);
}

/* That is committed. */
void
reco_topic_advanced(const RecoCheckpoint *checkpoints, int count)
{
	reco_partitions_advanced(&partitions, checkpoints, count);
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
	reco_service_set_replaying(false);
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

/* How many partitions cannot be read, and the first of them: see reco_partitions_unread. */
int
reco_topic_unread(int64 ms, int *first)
{
	return reco_partitions_unread(&partitions, ms, first);
}

/* How many partitions stand, and the first of them: see reco_partitions_held. */
int
reco_topic_held(int *first)
{
	return reco_partitions_held(&partitions, first);
}
