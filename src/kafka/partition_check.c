/*-------------------------------------------------------------------------
 *
 * partition_check.c
 *	  Does Kafka still hold what was read of the partitions?
 *
 * Before a partition is read on, and again whenever it may have become another
 * one meanwhile (see reco_kafka_disturbances), the message that was read last is
 * looked at: one short fetch, all partitions at once.  Nearly always it is the
 * same, and that is all.  Where it is not, the marks of older messages are
 * searched for the place where the log parted from the one that was read, and
 * reco_verdict() says what follows.
 *
 * Kafka is waited for, for a limited time, outside of any transaction.
 * Partitions that Kafka says nothing of stay unchecked, and are not read, until
 * another call.  One without a leader is not even asked for: as long as there is
 * one, librdkafka asks for metadata several times a second, which unchecks all
 * (see reco_kafka_disturbances), and each wait for it would keep the others from
 * being read.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/monotonic.h"
#include "kafka/partition_check.h"
#include "kafka/verdict.h"
#include "miscadmin.h"
#include "shmem/metrics.h"

/* An answer is waited for up to this, and the next look is no later than this; ms. */
#define LONGEST_PATIENCE 8000
#define LONGEST_GAP 10000

/* The search in the marks of one partition. */
typedef struct Search
{
	int			number;			/* of the partition */
	RecoEvidence evidence;
	RecoMark	marks[RECO_TRAIL_MAX];
	int			count;
	int			same;			/* the last mark known to be the same, or -1 */
	int			differs;		/* the first one known to differ, or count */
	bool		failed;			/* Kafka does not answer */
} Search;

static void
aim(RecoProbe *probe, int number, const RecoMark *mark)
{
	probe->position.partition = number;
	probe->position.offset = mark->offset;
}

static bool
is_same(const RecoProbe *probe, const RecoMark *mark)
{
	return probe->found == mark->offset && probe->hash == mark->hash;
}

/*
 * Messages that librdkafka has to inflate first may take longer than the usual
 * patience, so each look that was in vain makes the next one longer.  Meanwhile
 * the others are to be read for most of the time.
 */
static void
note_answer(const RecoPartitions *partitions, RecoPartition *partition, bool answered)
{
	if (answered)
	{
		partition->patience = 0;
		return;
	}
	partition->patience = Min(Max(2 * partition->patience, RECO_KAFKA_PATIENCE), LONGEST_PATIENCE);
	partition->look_due = partitions->count > 1 ? reco_monotonic_after(Min(4 * partition->patience, LONGEST_GAP)) : 0;
}

static int
patience_with(const RecoPartition *partition)
{
	return Min(Max(2 * partition->patience, RECO_KAFKA_PATIENCE), LONGEST_PATIENCE);
}

/* Look at the messages read last; of those which were answered last time, or of the others. */
static void
probe_last(RecoPartitions *partitions, RecoKafka *kafka, const bool *wanted, bool slow, bool *suspect)
{
	RecoProbe  *probes = palloc(partitions->count * sizeof(RecoProbe));
	int			patience = RECO_KAFKA_PATIENCE;
	int			count = 0;

	for (int i = 0; i < partitions->count; i++)
	{
		const RecoPartition *partition = &partitions->at[i];

		if (!wanted[i] || (partition->patience > 0) != slow ||
			(slow && !reco_monotonic_has_passed(partition->look_due)))
			continue;
		patience = Max(patience, patience_with(partition));
		aim(&probes[count++], i, &partition->trail->marks[partition->trail->count - 1]);
	}
	if (count > 0)
		reco_kafka_probe(kafka, probes, count, patience);
	for (int k = 0; k < count; k++)
	{
		RecoPartition *partition = &partitions->at[probes[k].position.partition];

		note_answer(partitions, partition, probes[k].answered);
		if (!probes[k].answered)
			continue;
		partition->checked = is_same(&probes[k], &partition->trail->marks[partition->trail->count - 1]);
		suspect[probes[k].position.partition] = !partition->checked;
	}
}

/*
 * Compare the messages read last.  A partition of which nothing was read has
 * nothing to compare; but in another cluster it is not taken for the same.
 */
static void
compare_last(RecoPartitions *partitions, RecoKafka *kafka, bool other_cluster, bool *suspect)
{
	bool	   *wanted = palloc0(partitions->count * sizeof(bool));

	for (int i = 0; i < partitions->count; i++)
	{
		RecoPartition *partition = &partitions->at[i];
		const RecoTrail *trail = partition->trail;

		suspect[i] = false;
		if (partition->checked || partition->by_time || partition->next < 0 ||
			!reco_kafka_has_leader(kafka, i))
			continue;
		if (partition->out_of_range)
			suspect[i] = true;
		else if (trail != NULL && trail->count > 0)
			wanted[i] = true;
		else if (other_cluster)
			suspect[i] = true;
		else
			partition->checked = true;
	}
	/* in this order, for one that is slow now is to be looked at again later */
	probe_last(partitions, kafka, wanted, true, suspect);
	probe_last(partitions, kafka, wanted, false, suspect);
}

/* Begin a search among the marks that Kafka can hold; false if it does not answer. */
static bool
begin_search(Search *search, const RecoPartitions *partitions, RecoKafka *kafka, int number,
			 bool other_cluster)
{
	const RecoPartition *partition = &partitions->at[number];
	const RecoTrail *trail = partition->trail;
	RecoEvidence *evidence = &search->evidence;

	memset(search, 0, sizeof(Search));
	search->number = number;
	evidence->next = partition->next;
	evidence->first = trail != NULL && trail->count > 0 ? trail->marks[0].offset : -1;
	evidence->other_cluster = other_cluster;
	if (!reco_kafka_range(kafka, number, RECO_KAFKA_PATIENCE, &evidence->low, &evidence->high))
		return false;
	for (int i = 0; trail != NULL && i < trail->count; i++)
	{
		if (trail->marks[i].offset >= evidence->low && trail->marks[i].offset < evidence->high)
			search->marks[search->count++] = trail->marks[i];
	}
	search->same = -1;
	search->differs = search->count;
	return true;
}

/* Take what was found at a mark. */
static void
step(Search *search, const RecoProbe *probe)
{
	int			middle = (search->same + search->differs) / 2;
	const RecoMark *mark = &search->marks[middle];

	if (!probe->answered)
		search->failed = true;
	else if (is_same(probe, mark))
		search->same = middle;
	else if (probe->found == mark->offset)
		search->differs = middle;
	else
	{
		/* compacted away, or of no message: it tells nothing */
		search->count--;
		search->differs--;
		memmove(&search->marks[middle], &search->marks[middle + 1],
				(search->count - middle) * sizeof(RecoMark));
	}
}

/* All searches together, by halves: a dozen of fetches in turn at most. */
static void
run_searches(Search *searches, int count, RecoPartitions *partitions, RecoKafka *kafka)
{
	RecoProbe  *probes = palloc(count * sizeof(RecoProbe));
	int			patience = RECO_KAFKA_PATIENCE;
	int			running;

	for (int i = 0; i < count; i++)
		patience = Max(patience, patience_with(&partitions->at[searches[i].number]));

	do
	{
		running = 0;
		for (int i = 0; i < count; i++)
		{
			Search	   *search = &searches[i];

			if (!search->failed && search->differs - search->same > 1)
				aim(&probes[running++], search->number,
					&search->marks[(search->same + search->differs) / 2]);
		}
		if (running > 0)
			reco_kafka_probe(kafka, probes, running, patience);
		for (int i = 0, k = 0; k < running; i++)
		{
			if (!searches[i].failed && searches[i].differs - searches[i].same > 1)
				step(&searches[i], &probes[k++]);
		}
		CHECK_FOR_INTERRUPTS();
	} while (running > 0);
}

/* Complete the evidence; false if Kafka does not answer. */
static bool
end_search(Search *search, const RecoPartitions *partitions, RecoKafka *kafka)
{
	const RecoTrail *trail = partitions->at[search->number].trail;
	RecoEvidence *evidence = &search->evidence;
	RecoPosition position = {search->number, -1};

	if (search->failed)
		return false;
	evidence->same = search->same >= 0 ? search->marks[search->same].offset : -1;
	evidence->differs = search->differs < search->count ? search->marks[search->differs].offset : -1;
	evidence->later = -1;
	if (trail == NULL || trail->newest < 0 ||
		(evidence->differs < 0 && evidence->next <= evidence->high))
		return true;
	if (!reco_kafka_find_time(kafka, &position, 1, trail->newest + 1, RECO_KAFKA_PATIENCE))
		return false;
	evidence->later = position.offset;
	return true;
}

static void
warn(const char *topic, const Search *search, const RecoVerdict *verdict)
{
	const RecoEvidence *evidence = &search->evidence;

	switch (verdict->fate)
	{
		case RECO_FATE_SAME:
		case RECO_FATE_FOREIGN:
			break;
		case RECO_FATE_EXPIRED:
			ereport(WARNING,
					(errmsg("%lld messages of partition %d of topic \"%s\" are lost",
							(long long) verdict->lost, search->number, topic),
					 errdetail("Kafka no longer holds offsets %lld to %lld, which were not read yet.",
							   (long long) evidence->next, (long long) (verdict->next - 1)),
					 errhint("Let Kafka keep messages for longer than reco may be away.")));
			break;
		case RECO_FATE_CUT:
		case RECO_FATE_SHORT:
			ereport(WARNING,
					(errmsg("partition %d of topic \"%s\" has no offset %lld any more",
							search->number, topic, (long long) evidence->next),
					 errdetail("It ends before offset %lld: it lost its last messages, which had been read, and is read on from offset %lld.",
							   (long long) evidence->high, (long long) verdict->next)));
			break;
		case RECO_FATE_OVERWRITTEN:
			ereport(WARNING,
					(errmsg("partition %d of topic \"%s\" holds other messages than were read",
							search->number, topic),
					 errdetail("It lost its last messages and has got others since, as from offset %lld on, from where it is read on.",
							   (long long) verdict->next)));
			break;
		case RECO_FATE_NEW:
			ereport(WARNING,
					(errmsg("topic \"%s\" has been deleted and created again", topic),
					 errdetail("Partition %d holds other messages than were read. It is read from its beginning, offset %lld.",
							   search->number, (long long) verdict->next)));
			break;
	}
	if (verdict->unsure > 0)
		ereport(LOG,
				(errmsg("partition %d of topic \"%s\": the times of messages decided among %lld offsets",
						search->number, topic, (long long) verdict->unsure)));
}

/* Let the partition go on where the verdict says. */
static void
apply(RecoPartitions *partitions, const char *topic, const Search *search)
{
	RecoPartition *partition = &partitions->at[search->number];
	RecoVerdict verdict = reco_verdict(&search->evidence);

	warn(topic, search, &verdict);
	if (verdict.lost > 0)
		reco_metrics_add(RECO_METRIC_LOST, verdict.lost);
	partition->changed = partition->changed || verdict.next != partition->next;
	partition->next = verdict.next;
	partition->replay_end = Min(partition->replay_end, search->evidence.high);
	partition->out_of_range = false;
	partition->at_end = false;
	partition->by_time = verdict.fate == RECO_FATE_FOREIGN;
	if (partition->by_time)
		partition->replay_end = -1;
	partition->checked = !partition->by_time;
	if (partition->trail != NULL)
		reco_trail_cut(partition->trail,
					   verdict.fate == RECO_FATE_NEW || partition->by_time ? 0 : verdict.next);
}

/*
 * Check the partitions that are not, of those that know where they go on; they
 * must not be running.  Where a partition has to be read by time, by_time is
 * set.  False: some could not be checked.
 */
bool
reco_partitions_check(RecoPartitions *partitions, RecoKafka *kafka, const char *topic,
					  bool other_cluster)
{
	static int	turn = 0;		/* so that none that does not answer keeps others from it */
	bool	   *suspect = palloc(partitions->count * sizeof(bool));
	Search	   *searches = palloc(partitions->count * sizeof(Search));
	RecoMoment	end = reco_monotonic_after(3 * RECO_KAFKA_PATIENCE);
	bool		complete = true;
	int			count = 0;

	compare_last(partitions, kafka, other_cluster, suspect);
	turn++;
	for (int i = 0; i < partitions->count && !reco_monotonic_has_passed(end); i++)
	{
		int			number = (turn + i) % partitions->count;

		if (suspect[number] &&
			begin_search(&searches[count], partitions, kafka, number, other_cluster))
			count++;
	}
	run_searches(searches, count, partitions, kafka);
	for (int i = 0; i < count; i++)
	{
		if (searches[i].failed)
			note_answer(partitions, &partitions->at[searches[i].number], false);
		if (end_search(&searches[i], partitions, kafka))
			apply(partitions, topic, &searches[i]);
	}
	for (int i = 0; i < partitions->count; i++)
		complete = complete && (partitions->at[i].checked || partitions->at[i].by_time ||
								partitions->at[i].next < 0);
	return complete;
}
