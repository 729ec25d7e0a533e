/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  What a partition went through, judged by what is in it.
 *
 * A partition's offset and the range that Kafka holds do not tell whether a
 * tail was lost or the topic created again; the marks of what was read (see
 * trail.c) do.  In one and the same log what is before a message that is still
 * there is still there, and what is behind one that is another is another.  So
 * "same" and "differs" enclose the place where the log parted from the one that
 * was read.  Between them the messages' times decide: what came after the
 * loss is later than all that was read before.
 *
 * A function of its argument alone: test/unit has a table of cases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka/verdict.h"

/* The offset at which the log parted, which is one of least .. most. */
static int64
parting(const RecoEvidence *evidence, int64 least, int64 most)
{
	if (evidence->later < 0)
		return most;
	return Min(Max(evidence->later, least), most);
}

/* Another message stands where one was read. */
static RecoVerdict
judge_other(const RecoEvidence *evidence)
{
	RecoVerdict verdict = {RECO_FATE_NEW, evidence->low, 0, 0};

	if (evidence->same >= 0)
	{
		verdict.fate = RECO_FATE_OVERWRITTEN;
		verdict.next = parting(evidence, evidence->same + 1, evidence->differs);
		verdict.unsure = evidence->differs - evidence->same - 1;
	}
	else if (evidence->first < evidence->low)
	{
		/* what could tell a lost tail from a new log has expired: times decide */
		verdict.next = parting(evidence, evidence->low, evidence->differs);
		verdict.unsure = evidence->differs - evidence->low;
	}
	else
		verdict.lost = evidence->low;	/* of the new log */
	return verdict;
}

/* The log ends before the next offset, and no other message is known. */
static RecoVerdict
judge_short(const RecoEvidence *evidence)
{
	RecoVerdict verdict = {RECO_FATE_SHORT, evidence->high, 0, 0};

	if (evidence->same >= 0)
	{
		verdict.fate = RECO_FATE_CUT;
		verdict.next = parting(evidence, evidence->same + 1, evidence->high);
		verdict.unsure = evidence->high - evidence->same - 1;
	}
	else if (evidence->low == evidence->high)
		return verdict;
	else if (evidence->first >= evidence->high)
	{
		/* nothing of what it holds can have been read */
		verdict.fate = RECO_FATE_NEW;
		verdict.next = evidence->low;
	}
	else
	{
		verdict.next = parting(evidence, evidence->low, evidence->high);
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
		verdict = judge_other(evidence);
	else if (evidence->next > evidence->high)
		verdict = judge_short(evidence);
	else if (evidence->next < evidence->low)
	{
		verdict.fate = RECO_FATE_EXPIRED;
		verdict.next = evidence->low;
		verdict.lost = evidence->low - evidence->next;
	}
	return verdict;
}
