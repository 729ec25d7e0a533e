/*-------------------------------------------------------------------------
 *
 * mirror_writer.h
 *	  Writing the delta of catalog and mirror to the mirror.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECO_MIRROR_WRITER_H
#define RECO_MIRROR_WRITER_H

#include "executor/tuptable.h"
#include "utils/tuplestore.h"

/*
 * What to do with a row of the mirror; SKIPPED: nothing, because the key
 * cannot be a product ID.
 */
typedef enum RecoDeltaKind
{
	RECO_DELTA_GONE = 'g', RECO_DELTA_MOVED = 'm', RECO_DELTA_NEW = 'n', RECO_DELTA_SKIPPED = 's'
} RecoDeltaKind;

/* Rows (kind, a RecoDeltaKind as text; product_id; category); outlives transactions. */
typedef struct RecoMirrorDelta
{
	MemoryContext context;
	Tuplestorestate *rows;
	TupleTableSlot *slot;		/* for reading rows */
} RecoMirrorDelta;

extern RecoMirrorDelta *reco_mirror_delta_create(void);
extern void reco_mirror_delta_free(RecoMirrorDelta *delta);

/*
 * Write the next rows, at most limit (0: all), and bring the lists up to date,
 * in transactions of its own.  Returns the number of products written; *more:
 * there may be more rows.
 */
extern int	reco_mirror_delta_write(RecoMirrorDelta *delta, int limit, const char *catalog, bool *more);

#endif							/* RECO_MIRROR_WRITER_H */
