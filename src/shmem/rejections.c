/*-------------------------------------------------------------------------
 *
 * rejections.c
 *	  How many of the last messages were rejected or late, and why.
 *
 * The ingest worker notes each batch after its commit; nobody else writes.
 * Two windows are kept in buckets: the last minute, and within it the last
 * 10,000 messages, in which a busy topic shows at once what has begun.  Where
 * no message comes the judgement stays: only good ones can change it.
 *
 * Reasons are counted from the first refusal after a clean minute.  There is
 * room for some; one that is new takes the place of the rarest and inherits
 * its count (the space-saving algorithm), so the most frequent is found
 * whatever the texts hold.
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
#define CHUNKS 10				/* of at least so many messages: */
#define CHUNK_MESSAGES 1000

typedef struct Bucket
{
	RecoMoment	begun;			/* 0: never */
	uint64		messages;
	uint64		refused;
} Bucket;

typedef struct Reason
{
	uint64		count;
	char		text[RECO_REASON_LENGTH];
} Reason;

typedef struct RecoRejections
{
	pg_atomic_uint32 version;
	RecoMoment	noted_at;		/* the last batch */
	RecoMoment	slice_begun;
	int			slice;			/* that is filled */
	int			chunk;
	Bucket		slices[SLICES];
	Bucket		chunks[CHUNKS];
	Reason		reasons[RECO_REJECTION_REASONS];
} RecoRejections;

static RecoRejections *rejections = NULL;

static void
rejections_init(LWLock *lock)
{
	pg_atomic_init_u32(&rejections->version, 0);
}

const RecoShmemArea reco_rejections_area = {
	.name = "reco_rejections",.size = sizeof(RecoRejections),.address = (void **) &rejections,
	.init = rejections_init
};

/* One message of a batch was refused. */
void
reco_refusals_add(RecoRefusals *refusals, const char *reason)
{
	int			i = 0;

	refusals->refused++;
	while (i < refusals->nreasons &&
		   strncmp(refusals->reasons[i].text, reason, RECO_REASON_LENGTH - 1) != 0)
		i++;
	if (i == RECO_REJECTION_REASONS)
		return;
	if (i == refusals->nreasons)
	{
		strlcpy(refusals->reasons[i].text, reason, RECO_REASON_LENGTH);
		refusals->reasons[i].count = 0;
		refusals->nreasons++;
	}
	refusals->reasons[i].count++;
}

static void
fill(Bucket *bucket, const RecoRefusals *refusals, RecoMoment now)
{
	if (bucket->begun == 0)
		bucket->begun = now;
	bucket->messages += refusals->messages;
	bucket->refused += refusals->refused;
}

/* Sum up the newest buckets that are not older than a minute, up to a number of messages. */
static Bucket
sum(const Bucket *buckets, int n, int newest, RecoMoment since, uint64 enough)
{
	Bucket		total = {0};

	for (int i = 0; i < n && total.messages < enough; i++)
	{
		const Bucket *bucket = &buckets[(newest + n - i) % n];

		if (bucket->begun == 0 || bucket->begun < since)
			break;
		total.messages += bucket->messages;
		total.refused += bucket->refused;
	}
	return total;
}

static Bucket
last_minute(const RecoRejections *from, RecoMoment since)
{
	return sum(from->slices, SLICES, from->slice, since, PG_UINT64_MAX);
}

static void
count_reason(const char *text, uint64 count)
{
	Reason	   *rarest = &rejections->reasons[0];
	char		clean[sizeof(rarest->text)];

	reco_text_copy(clean, text, sizeof(clean));
	for (int i = 0; i < RECO_REJECTION_REASONS; i++)
	{
		Reason	   *reason = &rejections->reasons[i];

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

/* A batch has been committed. */
void
reco_rejections_note(const RecoRefusals *refusals)
{
	RecoMoment	now = reco_monotonic_now();

	if (refusals->messages == 0)
		return;
	reco_versioned_begin(&rejections->version);
	if (last_minute(rejections, now - WINDOW_US).refused == 0)
		memset(rejections->reasons, 0, sizeof(rejections->reasons));
	for (int i = 0; i < refusals->nreasons; i++)
		count_reason(refusals->reasons[i].text, refusals->reasons[i].count);

	if (now - rejections->slice_begun >= SLICE_US)
	{
		rejections->slice = (rejections->slice + 1) % SLICES;
		rejections->slices[rejections->slice] = (Bucket) {0};
		rejections->slice_begun = now;
	}
	if (rejections->chunks[rejections->chunk].messages >= CHUNK_MESSAGES)
	{
		rejections->chunk = (rejections->chunk + 1) % CHUNKS;
		rejections->chunks[rejections->chunk] = (Bucket) {0};
	}
	fill(&rejections->slices[rejections->slice], refusals, now);
	fill(&rejections->chunks[rejections->chunk], refusals, now);
	rejections->noted_at = now;
	reco_versioned_end(&rejections->version);
}

static bool
is_too_many(const Bucket *bucket)
{
	return bucket->refused * 100 > bucket->messages;
}

/* How it is with the last messages. */
RecoRejecting
reco_rejections_recent(void)
{
	RecoRejections copy;
	RecoRejecting recent = {0};
	RecoMoment	now = reco_monotonic_now();
	Bucket		minute;
	Bucket		last;
	uint64		most = 0;

	reco_versioned_read(&rejections->version, &copy, rejections, sizeof(copy));
	if (now - copy.noted_at > WINDOW_US)
		now = copy.noted_at;
	minute = last_minute(&copy, now - WINDOW_US);
	last = sum(copy.chunks, CHUNKS, copy.chunk, now - WINDOW_US, CHUNKS * CHUNK_MESSAGES);
	if (is_too_many(&last) && !is_too_many(&minute))
		minute = last;

	recent.too_many = is_too_many(&minute);
	recent.messages = minute.messages;
	recent.refused = minute.refused;
	for (int i = 0; i < RECO_REJECTION_REASONS; i++)
	{
		if (copy.reasons[i].count <= most)
			continue;
		most = copy.reasons[i].count;
		strlcpy(recent.reason, copy.reasons[i].text, sizeof(recent.reason));
	}
	return recent;
}
