/*-------------------------------------------------------------------------
 *
 * slot_reader.h
 *	  The slot reader: decodes WAL to find which products changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_SLOT_READER_H
#define RECO_SLOT_READER_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "mirror/source_table.h"

typedef struct RecoSlotReader RecoSlotReader;

/* The products changed since the last confirmation. */
typedef struct RecoChanges
{
	const Datum *keys;			/* values of the key column's type */
	int			nkeys;
	bool		everything;		/* the keys are incomplete: compare all */
	bool		more;			/* there is more WAL to read */
	XLogRecPtr	position;		/* all commits before it are included */
	TimestampTz committed_at;	/* time of the first commit; 0: none */
} RecoChanges;

/* Create the slot; NULL if the open transactions did not end in time. */
extern RecoSlotReader *reco_slot_reader_open(int timeout_ms);
extern void reco_slot_reader_close(RecoSlotReader *reader);

/* The tables to watch from now on. */
extern void reco_slot_reader_watch(RecoSlotReader *reader, const RecoSource *source);
extern bool reco_slot_reader_may_have_missed(RecoSlotReader *reader);

/* Read a bounded amount; then wait until it is settled, apply it, and confirm. */
extern const RecoChanges *reco_slot_reader_read(RecoSlotReader *reader);
extern bool reco_slot_reader_is_settled(RecoSlotReader *reader);
extern void reco_slot_reader_confirm(RecoSlotReader *reader);
extern void reco_slot_reader_report_blocker(const char *catalog);

#endif							/* RECO_SLOT_READER_H */
