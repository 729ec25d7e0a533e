/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  What happened to a partition, judged by its contents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_VERDICT_H
#define RECO_VERDICT_H

/* What is known about a partition; offsets, -1: none or unknown. */
typedef struct RecoEvidence
{
	int64		next;			/* of the next message to read */
	int64		first;			/* of the first message ever read */
	int64		low;			/* low watermark: the first offset that Kafka has */
	int64		high;			/* high watermark: the offset of its next message */
	int64		same;			/* the greatest that has the message that was read */
	int64		differs;		/* the least above it that has another message */
	int64		later;			/* of the first message later than all that were read */
	bool		other_cluster;
} RecoEvidence;

typedef enum RecoFate
{
	RECO_FATE_SAME,				/* nothing happened */
	RECO_FATE_EXPIRED,			/* messages expired before they were read */
	RECO_FATE_CUT,				/* its tail, which was read, is lost */
	RECO_FATE_OVERWRITTEN,		/* its tail is lost, and others were written since */
	RECO_FATE_NEW,				/* created again */
	RECO_FATE_SHORT,			/* ends before next for an unknown reason */
	RECO_FATE_FOREIGN			/* in another cluster: to be read by time */
} RecoFate;

typedef struct RecoVerdict
{
	RecoFate	fate;
	int64		next;			/* where to continue; -1: by the horizon's time */
	int64		lost;			/* number of offsets that expired unread */
	int64		unsure;			/* number of offsets for which the times decided */
} RecoVerdict;

extern RecoVerdict reco_verdict(const RecoEvidence *evidence);

#endif							/* RECO_VERDICT_H */
