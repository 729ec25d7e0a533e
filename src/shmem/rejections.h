/*-------------------------------------------------------------------------
 *
 * rejections.h
 *	  How many of the last messages were rejected or late, and why.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REJECTIONS_H
#define RECO_REJECTIONS_H

#define RECO_REJECTION_REASONS 16

/* Why a message that is no longer wanted is dropped. */
#define RECO_REASON_LATE "timestamp is earlier than the horizon: older than reco.retention"

#define RECO_REASON_LENGTH 160

/* What became of a batch; texts are cut. */
typedef struct RecoRefusals
{
	uint64		messages;
	uint64		refused;		/* rejected or late */
	int			nreasons;
	struct
	{
		char		text[RECO_REASON_LENGTH];
		uint64		count;
	}			reasons[RECO_REJECTION_REASONS];
} RecoRefusals;

/* The recent messages, and the most frequent reason. */
typedef struct RecoRejecting
{
	bool		too_many;		/* more than one in a hundred */
	uint64		messages;
	uint64		refused;
	char		reason[RECO_REASON_LENGTH];
} RecoRejecting;

extern const struct RecoShmemArea reco_rejections_area;

extern void reco_refusals_add(RecoRefusals *refusals, const char *reason);
extern void reco_rejections_note(const RecoRefusals *refusals);
extern RecoRejecting reco_rejections_recent(void);

#endif							/* RECO_REJECTIONS_H */
