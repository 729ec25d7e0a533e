/*-------------------------------------------------------------------------
 *
 * partition_check.c
 *	  Does Kafka still hold what was read of the partitions?
 *
 * Before reading of a partition continues, and again whenever it may have been
 * replaced (see reco_consumer_disturbances), the last message read is probed: one
 * short fetch for all partitions.  Nearly always it is the same, and the check is
 * done.  Otherwise the marks of older messages are searched for the point where
 * the logs diverge, and reco_verdict() decides how to continue.
 *
 * Waits for Kafka for a limited time, outside of any transaction.  Partitions
 * that Kafka does not answer for stay unchecked, and are not read, until another
 * call.  Those without a leader are not even probed: librdkafka then requests
 * metadata several times a second, which unchecks all partitions (see
 * reco_consumer_disturbances), and each wait would delay reading the others.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/monotonic.h"
#include "kafka/metadata.h"
#include "kafka/partition_check.h"
#include "kafka/probe.h"
#include "kafka/verdict.h"
#include "miscadmin.h"
#include "shmem/metrics.h"

/* The longest timeout of a probe, and the longest pause before the next one; ms. */
#define LONGEST_TIMEOUT 8000
#define LONGEST_GAP 10000

/* The search in the marks of one partition. */
typedef struct Search
{
	int			number;			/* the partition's */
	RecoEvidence evidence;
	RecoMark	marks[RECO_TRAIL_MAX];
	int			count;
	int			same;			/* the last mark known to match, or -1 */
	int			differs;		/* the first one known to differ, or count */
	bool		failed;			/* Kafka did not answer */
} Search;

static void
check_aim_probe(RecoProbe *probe, int number, const RecoMark *mark)
{
	probe->position.partition = number;
	probe->position.offset = mark->offset;
}

static bool
check_is_same(const RecoProbe *probe, const RecoMark *mark)
{
	return probe->found == mark->offset && probe->hash == mark->hash;
}

/*
 * Messages that librdkafka must decompress first may take longer than the usual
 * timeout, so each probe without an answer makes the next timeout longer.  The
 * pause before that lets the other partitions be read most of the time.
 */
static void
check_note_answer(const RecoPartitions *partitions, RecoPartition *partition, bool answered)
{
	if (answered)
	{
		partition->probe_timeout = 0;
		return;
	}
	partition->probe_timeout = Min(Max(2 * partition->probe_timeout, RECO_METADATA_TIMEOUT), LONGEST_TIMEOUT);
	partition->probe_due = partitions->count > 1 ?
		reco_monotonic_after(Min(4 * partition->probe_timeout, LONGEST_GAP)) : 0;
}

static int
check_timeout(const RecoPartition *partition)
{
	return Min(Max(2 * partition->probe_timeout, RECO_METADATA_TIMEOUT), LONGEST_TIMEOUT);
}

/* Probe the messages read last: of the slow partitions, which did not answer last time, or of the others. */
static void
check_probe_last(RecoPartitions *partitions, RecoConsumer *consumer, const bool *wanted, bool slow, bool *suspect)
{
	RecoProbe  *probes = palloc(partitions->count * sizeof(RecoProbe));
	int			timeout = RECO_METADATA_TIMEOUT;
	int			count = 0;

	for (int i = 0; i < partitions->count; i++)
	{
		const RecoPartition *partition = &partitions->at[i];

		if (!wanted[i] || (partition->probe_timeout > 0) != slow ||
			(slow && !reco_monotonic_has_passed(partition->probe_due)))
			continue;
		timeout = Max(timeout, check_timeout(partition));
		check_aim_probe(&probes[count++], i, &partition->trail->marks[partition->trail->count - 1]);
	}
	if (count > 0)
		reco_probe(consumer, probes, count, timeout);
	for (int k = 0; k < count; k++)
	{
		RecoPartition *partition = &partitions->at[probes[k].position.partition];

		check_note_answer(partitions, partition, probes[k].answered);
		if (!probes[k].answered)
			continue;
		partition->checked = check_is_same(&probes[k], &partition->trail->marks[partition->trail->count - 1]);
		suspect[probes[k].position.partition] = !partition->checked;
	}
}

/*
 * Compare the messages read last.  A partition of which nothing was read passes,
 * unless it is in another cluster.
 */
static void
check_compare_last(RecoPartitions *partitions, RecoConsumer *consumer, bool other_cluster, bool *suspect)
{
	bool	   *wanted = palloc0(partitions->count * sizeof(bool));

	for (int i = 0; i < partitions->count; i++)
	{
		RecoPartition *partition = &partitions->at[i];
		const RecoTrail *trail = partition->trail;

		suspect[i] = false;
		if (partition->checked || partition->by_time || partition->next < 0 ||
			!reco_metadata_has_leader(consumer, i))
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
	/* slow ones first: one that becomes slow now is to be probed again later */
	check_probe_last(partitions, consumer, wanted, true, suspect);
	check_probe_last(partitions, consumer, wanted, false, suspect);
}

/* Begin a search among the marks in Kafka's range; false if it does not answer. */
static bool
search_begin(Search *search, const RecoPartitions *partitions, RecoConsumer *consumer, int number,
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
	if (!reco_metadata_range(consumer, number, RECO_METADATA_TIMEOUT, &evidence->low, &evidence->high))
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

/* Apply the probe of the middle mark. */
static void
search_step(Search *search, const RecoProbe *probe)
{
	int			middle = (search->same + search->differs) / 2;
	const RecoMark *mark = &search->marks[middle];

	if (!probe->answered)
		search->failed = true;
	else if (check_is_same(probe, mark))
		search->same = middle;
	else if (probe->found == mark->offset)
		search->differs = middle;
	else
	{
		/* compacted away, or a control message: drop the mark */
		search->count--;
		search->differs--;
		memmove(&search->marks[middle], &search->marks[middle + 1],
				(search->count - middle) * sizeof(RecoMark));
	}
}

/* Run all binary searches in parallel: at most a dozen rounds of fetches. */
static void
search_run_all(Search *searches, int count, RecoPartitions *partitions, RecoConsumer *consumer)
{
	RecoProbe  *probes = palloc(count * sizeof(RecoProbe));
	int			timeout = RECO_METADATA_TIMEOUT;
	int			running;

	for (int i = 0; i < count; i++)
		timeout = Max(timeout, check_timeout(&partitions->at[searches[i].number]));

	do
	{
		running = 0;
		for (int i = 0; i < count; i++)
		{
			Search	   *search = &searches[i];

			if (!search->failed && search->differs - search->same > 1)
				check_aim_probe(&probes[running++], search->number,
								&search->marks[(search->same + search->differs) / 2]);
		}
		if (running > 0)
			reco_probe(consumer, probes, running, timeout);
		for (int i = 0, k = 0; k < running; i++)
		{
			if (!searches[i].failed && searches[i].differs - searches[i].same > 1)
				search_step(&searches[i], &probes[k++]);
		}
		CHECK_FOR_INTERRUPTS();
	} while (running > 0);
}

/* Complete the evidence; false if Kafka does not answer. */
static bool
search_end(Search *search, const RecoPartitions *partitions, RecoConsumer *consumer)
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
	if (!reco_metadata_find_time(consumer, &position, 1, trail->newest + 1, RECO_METADATA_TIMEOUT))
		return false;
	evidence->later = position.offset;
	return true;
}

static void
search_warn(const char *topic, const Search *search, const RecoVerdict *verdict)
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
					 errdetail("Kafka no longer has offsets %lld to %lld, which had not been read yet.",
							   (long long) evidence->next, (long long) (verdict->next - 1)),
					 errhint("Configure Kafka to keep messages for longer than reco may be down.")));
			break;
		case RECO_FATE_CUT:
		case RECO_FATE_SHORT:
			ereport(WARNING,
					(errmsg("partition %d of topic \"%s\" has no offset %lld any more",
							search->number, topic, (long long) evidence->next),
					 errdetail("It ends before offset %lld: it has lost messages that had been read.  Reading continues at offset %lld.",
							   (long long) evidence->high, (long long) verdict->next)));
			break;
		case RECO_FATE_OVERWRITTEN:
			ereport(WARNING,
					(errmsg("partition %d of topic \"%s\" holds other messages than were read",
							search->number, topic),
					 errdetail("It has lost its last messages and got others since, from offset %lld on.  Reading continues there.",
							   (long long) verdict->next)));
			break;
		case RECO_FATE_NEW:
			ereport(WARNING,
					(errmsg("topic \"%s\" has been deleted and created again", topic),
					 errdetail("Partition %d contains other messages than were read.  It is read from its beginning, offset %lld.",
							   search->number, (long long) verdict->next)));
			break;
	}
	if (verdict->unsure > 0)
		ereport(LOG,
				(errmsg("partition %d of topic \"%s\": the times of messages decided among %lld offsets",
						search->number, topic, (long long) verdict->unsure)));
}

/* Let the partition continue where the verdict says. */
static void
search_apply(RecoPartitions *partitions, const char *topic, const Search *search)
{
	RecoPartition *partition = &partitions->at[search->number];
	RecoVerdict verdict = reco_verdict(&search->evidence);

	search_warn(topic, search, &verdict);
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
 * Check the unchecked partitions that have a next offset; they must not be
 * running.  Sets by_time for those that must be read by time.  Returns false if
 * some could not be checked.
 */
bool
reco_partitions_check(RecoPartitions *partitions, RecoConsumer *consumer, const char *topic,
					  bool other_cluster)
{
	static int	turn = 0;		/* start with another one each time, in case one does not answer */
	bool	   *suspect = palloc(partitions->count * sizeof(bool));
	Search	   *searches = palloc(partitions->count * sizeof(Search));
	RecoMoment	end = reco_monotonic_after(3 * RECO_METADATA_TIMEOUT);
	bool		complete = true;
	int			count = 0;

	check_compare_last(partitions, consumer, other_cluster, suspect);
	turn++;
	for (int i = 0; i < partitions->count && !reco_monotonic_has_passed(end); i++)
	{
		int			number = (turn + i) % partitions->count;

		if (suspect[number] &&
			search_begin(&searches[count], partitions, consumer, number, other_cluster))
			count++;
	}
	search_run_all(searches, count, partitions, consumer);
	for (int i = 0; i < count; i++)
	{
		if (searches[i].failed)
			check_note_answer(partitions, &partitions->at[searches[i].number], false);
		if (search_end(&searches[i], partitions, consumer))
			search_apply(partitions, topic, &searches[i]);
	}
	for (int i = 0; i < partitions->count; i++)
		complete = complete && (partitions->at[i].checked || partitions->at[i].by_time ||
								partitions->at[i].next < 0);
	return complete;
}
