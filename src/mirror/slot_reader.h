/*-------------------------------------------------------------------------
 *
 * slot_reader.h
 *	  The output plugin and the slot reader: which products changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SLOT_READER_H
#define RECO_SLOT_READER_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "mirror/source_table.h"

typedef struct RecoDecode RecoDecode;

/* What was read since the last confirmation: which products changed, not how. */
typedef struct RecoChanges
{
	const Datum *keys;			/* values of the key column's type */
	int			nkeys;
	bool		everything;		/* the keys do not tell all: compare the whole */
	bool		more;			/* WAL beyond position is waiting */
	XLogRecPtr	position;		/* all that committed before it is included */
	TimestampTz committed_at;	/* the oldest of the changes; 0: none */
} RecoChanges;

/* Make the slot; NULL when the open transactions did not end in time. */
extern RecoDecode *reco_decode_open(int timeout_ms);
extern void reco_decode_close(RecoDecode *decode);

/* Whose tables matter from here on. */
extern void reco_decode_watch(RecoDecode *decode, const RecoSource *source);
extern bool reco_decode_may_have_missed(RecoDecode *decode);

/* Read on, a bounded way; then wait until settled, apply, and confirm. */
extern const RecoChanges *reco_decode_read(RecoDecode *decode);
extern bool reco_decode_settled(RecoDecode *decode);
extern void reco_decode_confirm(RecoDecode *decode);
extern void reco_decode_tell_blocker(const char *catalog);

#endif							/* RECO_SLOT_READER_H */
