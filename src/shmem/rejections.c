/*-------------------------------------------------------------------------
 *
 * rejections.c
 *	  How many of the last messages were rejected or below retention, and why.
 *
 * The ingest worker records each batch after its commit; nobody else writes.
 * Two windows are kept in buckets: the last minute, and within it the last
 * 10,000 messages, which show at once when a busy topic goes bad.  While no
 * message arrives the verdict stays: only good messages can change it.
 *
 * Reasons are counted from the first rejection after a minute without any.  The
 * table of reasons is small: a new one replaces the rarest and inherits its
 * count (the space-saving algorithm), so that the most frequent one is found
 * however many there are.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/monotonic.h"
#include "common/text_clean.h"
#include "shmem/rejections.h"
#include "shmem/shmem.h"
#include "shmem/versioned.h"

#define WINDOW_US (60 * 1000 * 1000)
#define SLICES 12				/* of the minute */
#define SLICE_US (5 * 1000 * 1000)
#define CHUNKS 10				/* of the last messages, each of at least: */
#define CHUNK_MESSAGES 1000

typedef struct Bucket
{
	RecoMoment	begun;			/* 0: never */
	uint64		messages;
	uint64		rejected;
} Bucket;

typedef struct Reason
{
	uint64		count;
	char		text[RECO_REASON_LENGTH];
} Reason;

typedef struct RejectionHistory
{
	pg_atomic_uint32 version;
	RecoMoment	noted_at;		/* the last batch */
	RecoMoment	slice_begun;
	int			slice;			/* the ones being filled */
	int			chunk;
	Bucket		slices[SLICES];
	Bucket		chunks[CHUNKS];
	Reason		reasons[RECO_REJECTION_REASONS];
} RejectionHistory;

static RejectionHistory *history = NULL;

static void
rejections_init(LWLock *lock)
{
	pg_atomic_init_u32(&history->version, 0);
}

const RecoShmemArea reco_rejections_area = {
	.name = "reco_rejections",.size = sizeof(RejectionHistory),.address = (void **) &history,
	.init = rejections_init
};

/* Count a message of a batch that was rejected or below retention. */
void
reco_rejections_add(RecoRejections *rejections, const char *reason)
{
	int			i = 0;

	rejections->rejected++;
	while (i < rejections->nreasons &&
		   strncmp(rejections->reasons[i].text, reason, RECO_REASON_LENGTH - 1) != 0)
		i++;
	if (i == RECO_REJECTION_REASONS)
		return;
	if (i == rejections->nreasons)
	{
		strlcpy(rejections->reasons[i].text, reason, RECO_REASON_LENGTH);
		rejections->reasons[i].count = 0;
		rejections->nreasons++;
	}
	rejections->reasons[i].count++;
}

static void
rejections_fill_bucket(Bucket *bucket, const RecoRejections *rejections, RecoMoment now)
{
	if (bucket->begun == 0)
		bucket->begun = now;
	bucket->messages += rejections->messages;
	bucket->rejected += rejections->rejected;
}

/* The sum of the newest buckets that began after "since", up to "enough" messages. */
static Bucket
rejections_sum(const Bucket *buckets, int n, int newest, RecoMoment since, uint64 enough)
{
	Bucket		total = {0};

	for (int i = 0; i < n && total.messages < enough; i++)
	{
		const Bucket *bucket = &buckets[(newest + n - i) % n];

		if (bucket->begun == 0 || bucket->begun < since)
			break;
		total.messages += bucket->messages;
		total.rejected += bucket->rejected;
	}
	return total;
}

static Bucket
rejections_last_minute(const RejectionHistory *from, RecoMoment since)
{
	return rejections_sum(from->slices, SLICES, from->slice, since, PG_UINT64_MAX);
}

static void
rejections_count_reason(const char *text, uint64 count)
{
	Reason	   *rarest = &history->reasons[0];
	char		clean[sizeof(rarest->text)];

	reco_text_copy(clean, text, sizeof(clean));
	for (int i = 0; i < RECO_REJECTION_REASONS; i++)
	{
		Reason	   *reason = &history->reasons[i];

		if (strcmp(reason->text, clean) == 0)
		{
			reason->count += count;
			return;
		}
		if (reason->count < rarest->count)
			rarest = reason;
	}
	strcpy(rarest->text, clean);
	rarest->count += count;
}

/* Record a batch that has been committed. */
void
reco_rejections_note(const RecoRejections *rejections)
{
	RecoMoment	now = reco_monotonic_now();

	if (rejections->messages == 0)
		return;
	reco_versioned_begin(&history->version);
	if (rejections_last_minute(history, now - WINDOW_US).rejected == 0)
		memset(history->reasons, 0, sizeof(history->reasons));
	for (int i = 0; i < rejections->nreasons; i++)
		rejections_count_reason(rejections->reasons[i].text, rejections->reasons[i].count);

	if (now - history->slice_begun >= SLICE_US)
	{
		history->slice = (history->slice + 1) % SLICES;
		history->slices[history->slice] = (Bucket) {0};
		history->slice_begun = now;
	}
	if (history->chunks[history->chunk].messages >= CHUNK_MESSAGES)
	{
		history->chunk = (history->chunk + 1) % CHUNKS;
		history->chunks[history->chunk] = (Bucket) {0};
	}
	rejections_fill_bucket(&history->slices[history->slice], rejections, now);
	rejections_fill_bucket(&history->chunks[history->chunk], rejections, now);
	history->noted_at = now;
	reco_versioned_end(&history->version);
}

static bool
rejections_are_too_many(const Bucket *bucket)
{
	return bucket->rejected * 100 > bucket->messages;
}

/* A summary of the last messages, for reports. */
RecoRejectionSummary
reco_rejections_recent(void)
{
	RejectionHistory copy;
	RecoRejectionSummary recent = {0};
	RecoMoment	now = reco_monotonic_now();
	Bucket		minute;
	Bucket		last;
	uint64		most = 0;

	reco_versioned_read(&history->version, &copy, history, sizeof(copy));
	if (now - copy.noted_at > WINDOW_US)
		now = copy.noted_at;
	minute = rejections_last_minute(&copy, now - WINDOW_US);
	last = rejections_sum(copy.chunks, CHUNKS, copy.chunk, now - WINDOW_US, CHUNKS * CHUNK_MESSAGES);
	if (rejections_are_too_many(&last) && !rejections_are_too_many(&minute))
		minute = last;

	recent.too_many = rejections_are_too_many(&minute);
	recent.messages = minute.messages;
	recent.rejected = minute.rejected;
	for (int i = 0; i < RECO_REJECTION_REASONS; i++)
	{
		if (copy.reasons[i].count <= most)
			continue;
		most = copy.reasons[i].count;
		strlcpy(recent.reason, copy.reasons[i].text, sizeof(recent.reason));
	}
	return recent;
}
