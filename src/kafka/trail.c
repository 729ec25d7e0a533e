/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  The trail of a partition: marks of messages that were read.
 *
 * An offset alone does not tell whether a partition is still the one that was
 * read: it may have lost its tail and grown again, or the topic may have been
 * created again.  So beside the next offset reco.offsets has marks: offsets with
 * a hash of the message there.  Each of the newest messages has one, so that the
 * loss of a short tail is recognized exactly; further back, down to the first
 * message read, the distance from the end grows by about half from one mark to
 * the next.
 *
 * No I/O, no transaction.  Only messages that get a mark are hashed, some dozens
 * in a partition, however large the batch is.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "kafka/trail.h"

#define HEADER offsetof(RecoTrail, marks)

/*
 * Uses the hash function that hash partitioning relies on, since that does not
 * change between versions of PostgreSQL.
 */
uint64
reco_trail_hash(const RecoMessage *message)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) &message->stamp,
										   sizeof(message->stamp), message->payload == NULL);

	/* hash the length of the key, too, to tell it from the payload */
	hash = hash_bytes_extended((const unsigned char *) message->key, message->key_length,
							   hash ^ message->key_length);
	return hash_bytes_extended((const unsigned char *) message->payload, message->length, hash);
}

/*
 * Set the trail to these marks, sorted by offset, without those whose neighbors
 * are close enough to each other: the one before is at most half as far again
 * from the end as the one behind.
 */
static void
trail_thin(RecoTrail *trail, RecoMark *marks, int count)
{
	int64		end = marks[count - 1].offset + 1;
	int64		distance = 0;	/* of the last one kept */
	int			kept = 0;

	/* from the newest back, into the end of the array */
	for (int i = count - 1; i >= 0; i--)
	{
		if (kept >= RECO_TRAIL_DENSE && i > 0 &&
			(end - marks[i - 1].offset <= distance + distance / 2 || kept == RECO_TRAIL_MAX - 1))
			continue;
		distance = end - marks[i].offset;
		kept++;
		marks[count - kept] = marks[i];
	}
	memcpy(trail->marks, marks + count - kept, kept * sizeof(RecoMark));
	trail->count = kept;
}

/*
 * Add a partition's messages of a batch: the one at "last", the one before it at
 * previous[last], and so on until -1.
 */
void
reco_trail_extend(RecoTrail *trail, const RecoMessage *messages, const int *previous, int last)
{
	RecoMark	fresh[RECO_TRAIL_MAX];
	RecoMark	marks[2 * RECO_TRAIL_MAX];
	const RecoMessage *first = NULL;
	int64		seen = 0;
	int64		due = 1;
	int64		newest = -1;
	int			nfresh = 0;
	int			n;

	for (int i = last; i >= 0; i = previous[i])
	{
		const RecoMessage *message = &messages[i];

		if (message->kind != RECO_MESSAGE_DATA)
			continue;
		first = message;
		newest = Max(newest, message->stamp);
		if (++seen < due || nfresh == RECO_TRAIL_MAX - 1)
			continue;
		fresh[nfresh].offset = message->offset;
		fresh[nfresh++].hash = reco_trail_hash(message);
		due = seen < RECO_TRAIL_DENSE ? seen + 1 : seen + seen / 2;
	}
	if (nfresh == 0)
		return;
	reco_trail_cut(trail, first->offset);
	if (trail->count == 0 && fresh[nfresh - 1].offset != first->offset)
	{
		fresh[nfresh].offset = first->offset;
		fresh[nfresh++].hash = reco_trail_hash(first);
	}
	n = trail->count;
	trail->newest = Max(trail->newest, newest);
	memcpy(marks, trail->marks, n * sizeof(RecoMark));
	while (nfresh > 0)
		marks[n++] = fresh[--nfresh];
	trail_thin(trail, marks, n);
}

/* Drop the marks from an offset on. */
void
reco_trail_cut(RecoTrail *trail, int64 next)
{
	while (trail->count > 0 && trail->marks[trail->count - 1].offset >= next)
		trail->count--;
	if (trail->count == 0)
		trail->newest = -1;
}

/* Pack a trail for reco.offsets. */
bytea *
reco_trail_pack(const RecoTrail *trail)
{
	Size		size = HEADER + trail->count * sizeof(RecoMark);
	bytea	   *packed = palloc(VARHDRSZ + size);

	SET_VARSIZE(packed, VARHDRSZ + size);
	memcpy(VARDATA(packed), trail, size);
	return packed;
}

/* Unpack a trail from reco.offsets; false if it is not valid. */
bool
reco_trail_unpack(RecoTrail *trail, const bytea *packed)
{
	Size		size = VARSIZE_ANY_EXHDR(packed);

	trail->count = 0;
	trail->newest = -1;
	if (size < HEADER || size > sizeof(RecoTrail))
		return false;
	memcpy(trail, VARDATA_ANY(packed), size);
	if (trail->count < 0 || trail->count > RECO_TRAIL_MAX ||
		size != HEADER + trail->count * sizeof(RecoMark))
	{
		trail->count = 0;
		return false;
	}
	for (int i = 0; i < trail->count; i++)
	{
		if (trail->marks[i].offset < 0 || trail->marks[i].offset == PG_INT64_MAX ||
			(i > 0 && trail->marks[i].offset <= trail->marks[i - 1].offset))
		{
			trail->count = 0;
			return false;
		}
	}
	return true;
}
