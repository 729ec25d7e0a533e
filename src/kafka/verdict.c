/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  What happened to a partition, judged by its contents.
 *
 * The next offset and Kafka's watermarks do not tell whether a tail was lost or
 * the topic created again; the marks of what was read (see trail.c) do.  If a
 * message matches, so do all before it; if one differs, so do all after it.  So
 * the logs diverge between "same" and "differs".  There the messages' times
 * decide: what was written after the loss is later than all that was read.
 *
 * A pure function: test/unit has a table of cases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka/verdict.h"

/* The offset, within least .. most, at which the logs diverge. */
static int64
verdict_parting(const RecoEvidence *evidence, int64 least, int64 most)
{
	if (evidence->later < 0)
		return most;
	return Min(Max(evidence->later, least), most);
}

/* There is another message at an offset that was read. */
static RecoVerdict
verdict_judge_other(const RecoEvidence *evidence)
{
	RecoVerdict verdict = {RECO_FATE_NEW, evidence->low, 0, 0};

	if (evidence->same >= 0)
	{
		verdict.fate = RECO_FATE_OVERWRITTEN;
		verdict.next = verdict_parting(evidence, evidence->same + 1, evidence->differs);
		verdict.unsure = evidence->differs - evidence->same - 1;
	}
	else if (evidence->first < evidence->low)
	{
		/* the marks that could tell a lost tail from a new log have expired: times decide */
		verdict.next = verdict_parting(evidence, evidence->low, evidence->differs);
		verdict.unsure = evidence->differs - evidence->low;
	}
	else
		verdict.lost = evidence->low;	/* expired in the new log */
	return verdict;
}

/* The log ends before the next offset, and no other message is known. */
static RecoVerdict
verdict_judge_short(const RecoEvidence *evidence)
{
	RecoVerdict verdict = {RECO_FATE_SHORT, evidence->high, 0, 0};

	if (evidence->same >= 0)
	{
		verdict.fate = RECO_FATE_CUT;
		verdict.next = verdict_parting(evidence, evidence->same + 1, evidence->high);
		verdict.unsure = evidence->high - evidence->same - 1;
	}
	else if (evidence->low == evidence->high)
		return verdict;
	else if (evidence->first >= evidence->high)
	{
		/* nothing in it can have been read */
		verdict.fate = RECO_FATE_NEW;
		verdict.next = evidence->low;
	}
	else
	{
		verdict.next = verdict_parting(evidence, evidence->low, evidence->high);
		verdict.unsure = evidence->high - evidence->low;
	}
	return verdict;
}

RecoVerdict
reco_verdict(const RecoEvidence *evidence)
{
	RecoVerdict verdict = {RECO_FATE_SAME, evidence->next, 0, 0};

	if (evidence->other_cluster && (evidence->differs >= 0 || evidence->same < 0))
	{
		verdict.fate = RECO_FATE_FOREIGN;
		verdict.next = -1;
	}
	else if (evidence->differs >= 0)
		verdict = verdict_judge_other(evidence);
	else if (evidence->next > evidence->high)
		verdict = verdict_judge_short(evidence);
	else if (evidence->next < evidence->low)
	{
		verdict.fate = RECO_FATE_EXPIRED;
		verdict.next = evidence->low;
		verdict.lost = evidence->low - evidence->next;
	}
	return verdict;
}
