/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  What was read of a partition, by marks of some of its messages.
 *
 * An offset alone does not tell whether a partition is still the one that was
 * read: it may have lost its tail and grown again, or the topic may have been
 * created again.  So beside the next offset reco.offsets keeps marks of messages:
 * offset, and a hash of what stood there.  The newest messages all have one, so
 * that the loss of a short tail is told to the message; from there back to the
 * first message read each is about half as far again from the end as the one
 * before.
 *
 * No I/O, no transaction.  Of a batch only the messages that get a mark are
 * hashed, some dozens of a partition however large the batch is.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include "common/hashfn.h"
#include "kafka/trail.h"

#define HEADER offsetof(RecoTrail, marks)

/*
 * The hash function is the one that hash partitioning relies on, so it does
 * not change between versions of PostgreSQL.
 */
uint64
reco_trail_hash(const RecoMessage *message)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) &message->stamp,
										   sizeof(message->stamp), message->payload == NULL);

	/* lengths, so that no byte moves from key to payload unnoticed */
	hash = hash_bytes_extended((const unsigned char *) message->key, message->key_length,
							   hash ^ message->key_length);
	return hash_bytes_extended((const unsigned char *) message->payload, message->length, hash);
}

/*
 * Take over marks, which are by offset, but those that are not needed: the one
 * before is not half as far again from the end as the one behind.
 */
static void
thin(RecoTrail *trail, RecoMark *marks, int count)
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
 * Add the messages of a partition, out of those of a batch: the one at "last",
 * the one before it at previous[last], and so on until -1.
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
	thin(trail, marks, n);
}

/* Forget the marks of messages from an offset on. */
void
reco_trail_cut(RecoTrail *trail, int64 next)
{
	while (trail->count > 0 && trail->marks[trail->count - 1].offset >= next)
		trail->count--;
	if (trail->count == 0)
		trail->newest = -1;
}

/* As reco.offsets holds it. */
bytea *
reco_trail_pack(const RecoTrail *trail)
{
	Size		size = HEADER + trail->count * sizeof(RecoMark);
	bytea	   *packed = palloc(VARHDRSZ + size);

	SET_VARSIZE(packed, VARHDRSZ + size);
	memcpy(VARDATA(packed), trail, size);
	return packed;
}

/* Take over what reco.offsets holds; false if that is no trail. */
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
