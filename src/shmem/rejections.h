/*-------------------------------------------------------------------------
 *
 * rejections.h
 *	  How many of the last messages were rejected or below retention, and why.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_REJECTIONS_H
#define RECO_REJECTIONS_H

#define RECO_REJECTION_REASONS 16

/* The reason for which a message below retention is dropped. */
#define RECO_REASON_BELOW_RETENTION "timestamp is earlier than the horizon: older than reco.retention"

#define RECO_REASON_LENGTH 160

/* The rejections of a batch; texts are truncated. */
typedef struct RecoRejections
{
	uint64		messages;
	uint64		rejected;		/* or below retention */
	int			nreasons;
	struct
	{
		char		text[RECO_REASON_LENGTH];
		uint64		count;
	}			reasons[RECO_REJECTION_REASONS];
} RecoRejections;

/* The recent messages, with the most frequent reason. */
typedef struct RecoRejectionSummary
{
	bool		too_many;		/* more than one in a hundred */
	uint64		messages;
	uint64		rejected;
	char		reason[RECO_REASON_LENGTH];
} RecoRejectionSummary;

extern const struct RecoShmemArea reco_rejections_area;

extern void reco_rejections_add(RecoRejections *rejections, const char *reason);
extern void reco_rejections_note(const RecoRejections *rejections);
extern RecoRejectionSummary reco_rejections_recent(void);

#endif							/* RECO_REJECTIONS_H */
