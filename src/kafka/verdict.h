/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  What a partition went through, judged by what is in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VERDICT_H
#define RECO_VERDICT_H

/* What is known of a partition; offsets, -1: none or not known. */
typedef struct RecoEvidence
{
	int64		next;			/* of the next message to read */
	int64		first;			/* of the first message ever read */
	int64		low;			/* the first offset that Kafka holds */
	int64		high;			/* the offset that its next message gets */
	int64		same;			/* the greatest that still holds what was read there */
	int64		differs;		/* the least above it that holds another message */
	int64		later;			/* the first message that is later than all that were read */
	bool		other_cluster;
} RecoEvidence;

typedef enum RecoFate
{
	RECO_FATE_SAME,				/* nothing happened */
	RECO_FATE_EXPIRED,			/* messages went before they were read */
	RECO_FATE_CUT,				/* lost messages that were read, at its end */
	RECO_FATE_OVERWRITTEN,		/* lost them, and has got others in their place */
	RECO_FATE_NEW,				/* created again */
	RECO_FATE_SHORT,			/* ends before next, and nothing tells why */
	RECO_FATE_FOREIGN			/* of another cluster: to be read by time */
} RecoFate;

typedef struct RecoVerdict
{
	RecoFate	fate;
	int64		next;			/* where to read on; -1: as of the horizon's time */
	int64		lost;			/* offsets that were not read and are gone */
	int64		unsure;			/* offsets before next that may have been read, or not */
} RecoVerdict;

extern RecoVerdict reco_verdict(const RecoEvidence *evidence);

#endif							/* RECO_VERDICT_H */
